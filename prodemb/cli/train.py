"""Training: the heads, and CLIP itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodemb.cli.display import say, show
from prodemb.cli.options import (
    CatalogArgument,
    Device,
    DeviceOption,
    ModelOption,
    PipelineOption,
    chosen_pipeline,
    make_sample,
)
from prodemb.cli.progress import show_progress

if TYPE_CHECKING:
    from prodemb.job.pipeline import Pipeline
    from prodemb.job.train import TrainReport


def train_brand(
    shards: Annotated[Path | None, typer.Option(help="The shard set to train on.", show_default=False)] = None,
    out: Annotated[str | None, typer.Option(help="The head's folder.", show_default=False)] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
) -> None:
    """Stage two: train the brand head on a shard set."""
    _train(chosen_pipeline("brand", path=pipeline), shards=shards, out=out, device=device)


def train_category(
    shards: Annotated[Path | None, typer.Option(help="The shard set to train on.", show_default=False)] = None,
    out: Annotated[str | None, typer.Option(help="The head's folder.", show_default=False)] = None,
    taxonomy: Annotated[
        str | None, typer.Option(help="A taxonomy-with-ids file of Google's.", show_default=False)
    ] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
) -> None:
    """Stage two: train the category head on a shard set; on the fine-tuned one if it is there."""
    chosen = chosen_pipeline("category", path=pipeline)
    chosen = chosen.replaced({"train": {"taxonomy": taxonomy}}, source="command line")
    _train(chosen, shards=shards, out=out, device=device)


def finetune_category(
    catalog: CatalogArgument = None,
    model: ModelOption = None,
    taxonomy: Annotated[
        str | None, typer.Option(help="A taxonomy-with-ids file of Google's.", show_default=False)
    ] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
    again: Annotated[
        bool,
        typer.Option("--overwrite", help="From the start, also where the checkpoint would be kept or is finished."),
    ] = False,
) -> None:
    """Fine-tune CLIP on the catalog's categories, regenerate its shards, and train the category head on them.

    Several GPUs are used without being asked, one process each (`processes` in the pipeline's finetune table sets
    another number). For several machines start it on each as `accelerate launch -m prodemb.cli finetune-category`;
    they need one file system, with the catalog and the checkpoint's folder at the same paths.
    """
    from prodemb.cli.report import embed_lines, finetune_lines
    from prodemb.finetune.processes import is_first_process
    from prodemb.job.embed import embed_catalog, with_checkpoint
    from prodemb.job.finetune import finetune_category as finetune_clip

    chosen = chosen_pipeline("category", path=pipeline, catalog=catalog)
    settings = {"embed": {"model": model, "device": device}, "train": {"taxonomy": taxonomy}}
    chosen = chosen.replaced(settings, source="command line")
    make_sample(chosen)
    tuned = finetune_clip(chosen, progress=show_progress, again=again)
    if not is_first_process():
        return
    for line in finetune_lines(tuned, config=chosen.finetune):
        say(line)
    embedded = embed_catalog(chosen, config=with_checkpoint(chosen), replace=True, progress=show_progress)
    for line in embed_lines(embedded, folder=Path(chosen.finetune.shards)):
        say(line)
    _train(chosen, shards=Path(chosen.finetune.shards), out=None, device=device)


def _train(pipeline: "Pipeline", *, shards: Path | None, out: str | None, device: Device | None) -> None:
    from prodemb.job.train import head_shards, train

    chosen = pipeline.replaced({"train": {"out": out}, "embed": {"device": device}}, source="command line")
    report = train(chosen, shards=shards or head_shards(chosen), folder=chosen.head_folder, progress=show_progress)
    _show_head(report, pipeline=chosen)


def _show_head(report: "TrainReport", *, pipeline: "Pipeline") -> None:
    from prodemb.category.tables import category_lines, category_tables
    from prodemb.cli.report import alias_lines, brand_tables, head_lines, head_table
    from prodemb.job.score import frozen_card

    if report.aliases is not None:
        for line in alias_lines(report.aliases, path=Path(pipeline.brands.aliases)):
            say(line)
    before = frozen_card(pipeline, tuned=report.head.card)
    show(head_table(report.head.card, title=f"{pipeline.target.capitalize()} head", before=before))
    for table in (*brand_tables(report.head.card), *category_tables(report.head.card)):
        show(table)
    for line in (*category_lines(report.head.card), *head_lines(report)):
        say(line)
