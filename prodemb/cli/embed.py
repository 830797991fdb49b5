"""`prodemb embed`: a catalog to a shard set."""

from typing import Annotated, Literal

import typer

from prodemb.cli.display import answer, finished, show, started
from prodemb.cli.options import (
    CatalogArgument,
    DeviceOption,
    EngineOption,
    ModelOption,
    PipelineOption,
    RayAddressOption,
    chosen_pipeline,
    make_sample,
)
from prodemb.cli.progress import show_progress
from prodemb.core.errors import ConfigError
from prodemb.storage.address import place


def embed(
    catalog: CatalogArgument = None,
    out: Annotated[
        str | None, typer.Option(help="The folder for the shard set. Default: the pipeline's.", show_default=False)
    ] = None,
    model: ModelOption = None,
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit of a hub id.", show_default=False)
    ] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    ray_address: RayAddressOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try the failed pictures again.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Fetch every picture again, even if its URL has not changed.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Count what is to be done, measure a sample, show how long it will take."),
    ] = False,
    fine_tuned: Annotated[
        bool,
        typer.Option("--fine-tuned", help="Use the category pipeline's fine-tuned CLIP, and its own shard set."),
    ] = False,
) -> None:
    """Encode a catalog with CLIP into shards. Only new and changed products are encoded."""
    from prodemb.cli.report.embed import embed_lines
    from prodemb.job.embed import embed_catalog, estimate_catalog, with_checkpoint

    ignored = {"--out": out, "--model": model, "--revision": revision}
    if fine_tuned and (taken := [option for option, value in ignored.items() if value is not None]):
        raise ConfigError(
            f"--fine-tuned: found it together with {', '.join(taken)}; wanted it without, because the checkpoint and "
            "its shard set are the pipeline's [finetune] out and shards"
        )
    chosen = chosen_pipeline("category" if fine_tuned else None, path=pipeline, catalog=catalog)
    settings = {"out": out, "model": model, "revision": revision, "device": device}
    running = {"engine": engine, "ray_address": ray_address}
    chosen = chosen.replaced({"embed": settings | running}, source="command line")
    config = with_checkpoint(chosen) if fine_tuned else chosen.embed
    sample = make_sample(chosen)
    started("embed", where=config.out)
    retry: Literal["none", "failed", "all"] = "all" if refresh else "failed" if retry_failed else "none"
    if dry_run:
        from prodemb.cli.report.estimate import estimate_lines

        found = estimate_catalog(chosen, config=config, progress=show_progress, replace=fine_tuned, retry=retry)
        finished(found)
        answer(estimate_lines(found, sample=sample))
        return
    # The set belongs to the checkpoint: vectors of another one are left from a run that was killed after fine-tuning.
    report = embed_catalog(chosen, config=config, progress=show_progress, replace=fine_tuned, retry=retry)
    finished(report)
    show(embed_lines(report, folder=place(config.out)))
