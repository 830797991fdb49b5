"""`prodemb train-brand`, `train-category` and `finetune-category`: training the heads, and CLIP itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodemb.cli.display import finished, show, started
from prodemb.cli.options import (
    CatalogArgument,
    Device,
    DeviceOption,
    EngineOption,
    HeadOption,
    LabelsOption,
    ModelOption,
    PipelineOption,
    RayAddressOption,
    ShardsOption,
    TaxonomyOption,
    chosen_pipeline,
    make_sample,
)
from prodemb.cli.progress import show_progress

if TYPE_CHECKING:
    from prodemb.job.pipeline import Pipeline


def train_brand(
    shards: ShardsOption = None,
    out: HeadOption = None,
    labels: LabelsOption = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
) -> None:
    """Train the brand head on a shard set, and compare it with baselines."""
    chosen = chosen_pipeline("brand", path=pipeline).replaced({"train": {"labels": labels}}, source="command line")
    _train(chosen, shards=shards, out=out, device=device)


def train_category(
    shards: ShardsOption = None,
    out: HeadOption = None,
    taxonomy: TaxonomyOption = None,
    labels: LabelsOption = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
) -> None:
    """Train the category head on a shard set, and compare it with baselines.

    By default it trains on the shards of the fine-tuned CLIP if there are any of the same catalog.
    """
    chosen = chosen_pipeline("category", path=pipeline)
    chosen = chosen.replaced({"train": {"taxonomy": taxonomy, "labels": labels}}, source="command line")
    _train(chosen, shards=shards, out=out, device=device)


def finetune_category(
    catalog: CatalogArgument = None,
    model: ModelOption = None,
    taxonomy: TaxonomyOption = None,
    labels: LabelsOption = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    ray_address: RayAddressOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that share every batch. Default: one per GPU; without GPUs one, on a Ray cluster one per "
            "machine.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Retrain from scratch even if a finished checkpoint exists.")
    ] = False,
) -> None:
    """Fine-tune CLIP on the catalog's categories, then embed the catalog with it and train the category head.

    All GPUs of the machine are used, one process per GPU, or with `--engine ray` those of a Ray cluster. The catalog is
    then embedded by the engine and the workers that the embed table sets.

    To use several machines without Ray, start `accelerate launch -m prodemb.cli finetune-category` on each of them.

    Several machines need one file system, with the catalog and the checkpoint folder at the same paths.
    """
    from prodemb.cli.report.embed import embed_lines
    from prodemb.cli.report.finetune import finetune_lines
    from prodemb.finetune.processes import is_first_process
    from prodemb.job.embed import embed_catalog, with_checkpoint
    from prodemb.job.finetune import finetune_category as finetune_clip

    chosen = chosen_pipeline("category", path=pipeline, catalog=catalog)
    running = {"engine": engine, "ray_address": ray_address, "workers": workers}
    settings = {"embed": {"model": model, "device": device}, "train": {"taxonomy": taxonomy, "labels": labels}}
    chosen = chosen.replaced(settings | {"finetune": running}, source="command line")
    make_sample(chosen)
    started("finetune-category", where=chosen.finetune.out)
    tuned = finetune_clip(chosen, progress=show_progress, overwrite=overwrite)
    if not is_first_process():
        return
    finished(tuned)
    show(finetune_lines(tuned, config=chosen.finetune))
    shards = Path(chosen.finetune.shards)
    started("embed", where=shards)
    embedded = embed_catalog(chosen, config=with_checkpoint(chosen), replace=True, progress=show_progress)
    finished(embedded)
    show(embed_lines(embedded, folder=shards))
    _train(chosen, shards=shards, out=None, device=device)


def _train(pipeline: "Pipeline", *, shards: Path | None, out: str | None, device: Device | None) -> None:
    from prodemb.cli.report.heads import figures, train_lines
    from prodemb.job.score import frozen_card
    from prodemb.job.train import head_shards, train
    from prodemb.storage.desk import folder_to_write

    chosen = pipeline.replaced({"train": {"out": out}, "embed": {"device": device}}, source="command line")
    started(f"train-{chosen.target}", where=chosen.head_name)
    folder = folder_to_write(chosen.head_name)
    report = train(chosen, shards=shards or head_shards(chosen), folder=folder, progress=show_progress)
    finished(report)
    card = report.head.card
    show(figures(card, frozen=frozen_card(chosen, tuned=card)))
    show(train_lines(report, pipeline=chosen))
