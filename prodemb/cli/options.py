"""Arguments and options that several commands take, and the pipeline that they choose."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from prodemb.cli.display import say
from prodemb.core.errors import ConfigError, ShardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from prodemb.job.pipeline import Pipeline

Target = Literal["brand", "category"]
Device = Literal["auto", "cpu", "cuda"]
CatalogArgument = Annotated[
    str | None,
    typer.Argument(
        help="A feed of any format that `prodemb read` shows: a file, a folder or a quoted glob. "
        "Default: the project's own pipeline, or the generated sample.",
        show_default=False,
    ),
]
ShardsArgument = Annotated[Path, typer.Argument(help="A shard set, or a folder of shard sets.")]
ShardsOption = Annotated[
    Path | None,
    typer.Option("--shards", help="The shard set to train on. Default: the pipeline's.", show_default=False),
]
HeadOption = Annotated[
    str | None,
    typer.Option("--out", help="The folder for the head. Default: the pipeline's.", show_default=False),
]
HeadsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--head",
        help="The folder of a head; repeat it for a second head. Default: the pipelines' own heads.",
        show_default=False,
    ),
]
PipelineOption = Annotated[
    Path | None,
    typer.Option("--pipeline", help="A pipeline file. Default: the project's own, if any.", show_default=False),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="A checkpoint folder, a Hugging Face hub id, or `bundled`.", show_default=False),
]
DeviceOption = Annotated[
    Device | None,
    typer.Option("--device", help="Default: `auto`, which is CUDA where there is a GPU.", show_default=False),
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels",
        help="A file of labels, as `prodemb label` writes it, filled in. Default: the pipelines' own, if any.",
        show_default=False,
    ),
]
EngineOption = Annotated[
    Literal["local", "ray"] | None,
    typer.Option(
        "--engine", help="`local`, this machine, or `ray`, a Ray cluster. Default: the pipeline's.", show_default=False
    ),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="The Ray cluster's head, host:port, or `auto`. Default: RAY_ADDRESS, else a Ray started for this run.",
        show_default=False,
    ),
]
TaxonomyOption = Annotated[
    str | None,
    typer.Option("--taxonomy", help="Google's taxonomy file, as `prodemb taxonomy` downloads it.", show_default=False),
]


def existing_shards(shards: Path) -> Path:
    """The argument SHARDS.

    Raises:
        ShardError: there is no such folder; says where the shards of the project's own pipelines are.
    """
    if shards.is_dir():
        return shards
    from prodemb.job.pipeline import own_pipeline

    wanted = "shards, as `prodemb embed` writes them"
    with suppress(ConfigError):
        own = dict.fromkeys(own_pipeline(target).embed.out for target in get_args(Target))
        if found := [folder for folder in own if Path(folder).is_dir()]:
            wanted = f"shards; those of the project's own pipelines are in {' and '.join(found)}"
    raise ShardError(f"{shards}: no such folder; wanted {wanted}")


def chosen_pipeline(target: Target | None, *, path: Path | None, catalog: str | None = None) -> "Pipeline":
    """The pipeline file given; with a catalog and no file, all defaults; else the project's own pipeline.

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


def chosen_heads(heads: list[str] | None, *, default: "Callable[[], list[Path]]") -> list[Path]:
    """The folders of the heads of `--head`, fetched where they are in a bucket; else the default ones."""
    from prodemb.storage.desk import folder_to_read

    return [folder_to_read(head) for head in heads] if heads else default()


def make_sample(pipeline: "Pipeline") -> Path | None:
    """Generate the sample catalog if the pipeline reads it and it has not been generated yet; its file if so."""
    from prodemb.job.sample import SAMPLE_PRODUCTS, generate_sample, is_sample_missing

    if not is_sample_missing(pipeline):
        return None
    started = time.perf_counter()
    path = generate_sample()
    seconds = time.perf_counter() - started
    say(f"generated a sample catalog of {SAMPLE_PRODUCTS:,} products in {seconds:.1f} s: {path}")
    return path
