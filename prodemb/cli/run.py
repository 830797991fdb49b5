"""`prodemb run`: the whole job."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import show
from prodemb.cli.options import DeviceOption
from prodemb.cli.progress import show_progress


def run(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Pipeline files. Default: pipelines/brand.toml and pipelines/category.toml.", show_default=False
        ),
    ] = None,
    finetune: Annotated[
        bool,
        typer.Option(help="Fine-tune CLIP on the categories, or leave it, and what was fine-tuned before, as it is."),
    ] = True,
    device: DeviceOption = None,
) -> None:
    """Run the whole job: embed, train, fine-tune, score, report. Completed steps are skipped."""
    from prodemb.cli.report.run import run_lines
    from prodemb.job.pipeline import own_pipeline, read_pipeline
    from prodemb.job.run import run as run_pipelines

    chosen = (
        [read_pipeline(path) for path in pipelines] if pipelines else [own_pipeline("brand"), own_pipeline("category")]
    )
    chosen = [pipeline.replaced({"embed": {"device": device}}, source="--device") for pipeline in chosen]
    show(run_lines(run_pipelines(chosen, finetune=finetune, progress=show_progress)))
