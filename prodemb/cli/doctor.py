"""`prodemb doctor`: whether everything that a run needs is there and works."""

from functools import partial
from typing import Annotated

import typer

from prodemb.cli.display import answer, finished, started
from prodemb.cli.options import DeviceOption, ModelOption, PipelineOption
from prodemb.cli.progress import show_progress
from prodemb.cli.statuses import FAILED
from prodemb.core.errors import ConfigError


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
    from prodemb.job.pipeline import Pipeline, own_pipeline, read_pipeline

    own = [partial(own_pipeline, "brand"), partial(own_pipeline, "category")]
    settings = {"model": model, "revision": revision, "device": device}
    chosen: list[Pipeline] = []
    errors: list[str] = []
    started("doctor", where=pipeline)
    for read in own if pipeline is None else [partial(read_pipeline, pipeline)]:
        try:
            chosen.append(read().replaced({"embed": settings}, source="command line"))
        except ConfigError as error:
            errors.append(str(error))
    first = chosen[0].embed.device if chosen else device or "auto"
    found = examine(chosen, device=first, fetch=fetch, progress=show_progress, setting_errors=errors)
    wrong = problems(found)
    finished(found)
    answer(doctor_lines(found, wrong=wrong))
    if wrong:
        raise typer.Exit(FAILED)
