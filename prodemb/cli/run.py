"""The whole job, and how it begins with a catalog of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import say, show
from prodemb.cli.options import DeviceOption
from prodemb.cli.progress import show_progress


def run(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(help="Pipeline files; by default pipelines/brand.toml and category.toml.", show_default=False),
    ] = None,
    finetune: Annotated[
        bool, typer.Option(help="Fine-tune CLIP for the categories too. Without it what was fine-tuned stays as it is.")
    ] = True,
    device: DeviceOption = None,
) -> None:
    """Do the whole job: embed, train, fine-tune, score. What is done is not done again."""
    from prodemb.job.pipeline import own_pipeline, read_pipeline
    from prodemb.job.run import run as run_pipelines

    chosen = (
        [read_pipeline(path) for path in pipelines] if pipelines else [own_pipeline("brand"), own_pipeline("category")]
    )
    chosen = [pipeline.replaced({"embed": {"device": device}}, source="--device") for pipeline in chosen]
    for item in run_pipelines(chosen, finetuned=finetune, progress=show_progress):
        show(item)


def init(
    catalog: Annotated[str, typer.Argument(help="Your own catalog: Parquet, CSV, TSV or JSON lines.")],
    out: Annotated[Path, typer.Option(help="The folder for the pipeline files.")] = Path("pipelines"),
) -> None:
    """Look at your own catalog, guess which column is what, and write pipelines that are ready to run."""
    from prodemb.job.init import guess, write_pipelines

    found = guess(catalog)
    for line in found.lines():
        say(line)
    written = write_pipelines(found, out)
    for line in written.lines():
        say(line)
