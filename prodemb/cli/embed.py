"""Making shard sets, looking into them and checking them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from prodemb.cli.display import say, show
from prodemb.cli.options import (
    CatalogArgument,
    DeviceOption,
    ModelOption,
    PipelineOption,
    chosen_pipeline,
    make_sample,
)
from prodemb.cli.progress import show_progress
from prodemb.core.errors import ConfigError


def embed(
    catalog: CatalogArgument = None,
    out: Annotated[str | None, typer.Option(help="The shard set's folder.", show_default=False)] = None,
    model: ModelOption = None,
    revision: Annotated[str | None, typer.Option(help="Of a hub id.", show_default=False)] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the pictures again that failed before.")
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Fetch every picture again, also where its address has not changed."),
    ] = False,
    fine_tuned: Annotated[
        bool,
        typer.Option("--fine-tuned", help="With the fine-tuned checkpoint of the category pipeline, into its own set."),
    ] = False,
) -> None:
    """Stage one: bring shards of CLIP vectors to the state of a catalog; only what is new is encoded."""
    from prodemb.cli.report import embed_lines
    from prodemb.job.embed import embed_catalog, with_checkpoint

    ignored = {"--out": out, "--model": model, "--revision": revision}
    if fine_tuned and (found := [option for option, value in ignored.items() if value is not None]):
        raise ConfigError(
            f"--fine-tuned: found {', '.join(found)} beside it; wanted it alone, for the checkpoint and its "
            "shard set are the pipeline's [finetune] out and shards"
        )
    chosen = chosen_pipeline("category" if fine_tuned else None, path=pipeline, catalog=catalog)
    settings = {"out": out, "model": model, "revision": revision, "device": device}
    chosen = chosen.replaced({"embed": settings}, source="command line")
    config = with_checkpoint(chosen) if fine_tuned else chosen.embed
    make_sample(chosen)
    again: Literal["none", "absent", "all"] = "all" if refresh else "absent" if retry_failed else "none"
    # The set belongs to the checkpoint: one of another was left by a run that was killed before it made its own.
    report = embed_catalog(chosen, config=config, progress=show_progress, replace=fine_tuned, again=again)
    for line in embed_lines(report, folder=Path(config.out)):
        say(line)


def inspect(shards: Annotated[Path, typer.Argument(help="A shard set, or a folder of shard sets.")]) -> None:
    """Show what shards hold: counts, features, dimension, fingerprint, sizes, and why vectors are absent."""
    from prodemb.cli.report import absence_table, shard_set_table
    from prodemb.shards.format import read_manifest
    from prodemb.shards.reader import find_shard_folders

    for folder in find_shard_folders(shards):
        manifest = read_manifest(folder)
        show(shard_set_table(manifest, folder=folder))
        show(absence_table(manifest))


def verify(shards: Annotated[Path, typer.Argument(help="A shard set, or a folder of shard sets.")]) -> None:
    """Check every byte of shards and manifests; `prodemb embed` makes again just what is wrong."""
    from prodemb.shards.reader import find_shard_folders
    from prodemb.shards.verify import verify as trouble_in

    with show_progress("Verifying") as on_progress:
        lines = trouble_in(shards, progress=on_progress)
    for line in lines:
        say(line)
    if lines:
        raise typer.Exit(1)
    for folder in find_shard_folders(shards):
        say(f"{folder}: all is right")
