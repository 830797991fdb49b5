"""`prodemb doctor`: whether everything that a run needs is there and works."""

from typing import Annotated

import typer

from prodemb.cli.display import answer, finished, started
from prodemb.cli.options import DeviceOption, ModelOption, PipelineOption
from prodemb.cli.progress import show_progress
from prodemb.cli.statuses import FAILED


def doctor(
    model: ModelOption = None,
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit of a hub id.", show_default=False)
    ] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download checkpoints of the hub that are not in its cache yet.")
    ] = False,
) -> None:
    """Check versions, device, checkpoints, shards, heads and disks, and say what to do about what is wrong."""
    from prodemb.cli.report.doctor import doctor_lines, problems
    from prodemb.job.doctor import examine
    from prodemb.job.pipeline import own_pipeline, read_pipeline

    chosen = [own_pipeline("brand"), own_pipeline("category")] if pipeline is None else [read_pipeline(pipeline)]
    settings = {"model": model, "revision": revision, "device": device}
    chosen = [each.replaced({"embed": settings}, source="command line") for each in chosen]
    started("doctor", where=pipeline)
    found = examine(chosen, device=chosen[0].embed.device, fetch=fetch, progress=show_progress)
    wrong = problems(found)
    finished(found)
    answer(doctor_lines(found, wrong=wrong))
    if wrong:
        raise typer.Exit(FAILED)
