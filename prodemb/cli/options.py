"""Arguments that several commands take, and the pipeline that they choose."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prodemb.cli.display import say
from prodemb.core.errors import ConfigError

if TYPE_CHECKING:
    from prodemb.job.pipeline import Pipeline

Device = Literal["auto", "cpu", "cuda"]
CatalogArgument = Annotated[
    str | None,
    typer.Argument(
        help="A file, folder or glob with the standard column names: Parquet, CSV, TSV or JSON lines. "
        "By default the pipeline's own, or the generated sample.",
        show_default=False,
    ),
]
PipelineOption = Annotated[
    Path | None,
    typer.Option("--pipeline", help="A pipeline file; by default the project's own, if any.", show_default=False),
]
ModelOption = Annotated[
    str | None,
    typer.Option(help="A checkpoint folder, a Hugging Face hub id, or `bundled`.", show_default=False),
]
DeviceOption = Annotated[
    Device | None, typer.Option(help="Where to run; `auto` is CUDA where there is one.", show_default=False)
]


def chosen_pipeline(
    target: Literal["brand", "category"] | None, *, path: Path | None, catalog: str | None = None
) -> "Pipeline":
    """The file given; for a catalog given alone, all defaults; else the project's own pipeline.

    Args:
        target: what the command is about; None where it makes no difference.
    """
    from prodemb.job.pipeline import Pipeline, own_pipeline, read_pipeline

    if path is not None:
        chosen = read_pipeline(path)
        if target is not None and chosen.target != target:
            raise ConfigError(f"{path}: target: found {chosen.target!r}, but this command wants {target!r}")
    else:
        default = target or "brand"
        chosen = own_pipeline(default) if catalog is None else Pipeline(target=default)
    return chosen.replaced({"catalog": {"path": catalog}}, source="command line")


def make_sample(pipeline: "Pipeline") -> None:
    """Generate the sample catalog where the pipeline reads it and it is not there."""
    from prodemb.job.sample import SAMPLE_PRODUCTS, ensure_sample

    started = time.perf_counter()
    if ensure_sample(pipeline):
        seconds = time.perf_counter() - started
        say(f"generated a sample catalog of {SAMPLE_PRODUCTS:,} products in {seconds:.1f} s: {pipeline.catalog.path}")
