"""`prodemb report`: one HTML page about what was made."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import finished, say, started
from prodemb.cli.progress import show_progress


def report(
    out: Annotated[
        str | None,
        typer.Option(help="The HTML file to write. Default: report.html beside the predictions.", show_default=False),
    ] = None,
    pipelines: Annotated[
        list[Path] | None,
        typer.Option(
            "--pipeline",
            help="A pipeline file; repeat it for a second one. Default: the project's own, if any.",
            show_default=False,
        ),
    ] = None,
    audit: Annotated[
        str | None,
        typer.Option(
            help="Findings of `prodemb audit` to show. Default: audit.parquet beside the predictions, if any.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write one HTML page: what came in, what was learned, what came out, and products to look at."""
    from prodemb.job.pipeline import own_pipeline, read_pipeline
    from prodemb.job.report import make_report, report_path
    from prodemb.storage.desk import file_to_read, file_to_write

    chosen = (
        [read_pipeline(path) for path in pipelines] if pipelines else [own_pipeline("brand"), own_pipeline("category")]
    )
    path = report_path(chosen) if out is None else file_to_write(out)
    started("report", where=path)
    findings = None if audit is None else file_to_read(audit)
    made = make_report(chosen, out=path, audit=findings, progress=show_progress)
    finished(made)
    say(f"report at {made.out}{', already up to date' if made.was_done else ''}: open it in a browser")
