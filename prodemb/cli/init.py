"""`prodemb init`: the first step with a catalog of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import show


def init(
    catalog: Annotated[str, typer.Argument(help="Parquet, CSV, TSV or JSON lines: a file, a folder or a quoted glob.")],
    out: Annotated[Path, typer.Option(help="The folder for the pipeline files.")] = Path("pipelines"),
) -> None:
    """Guess the columns of your catalog and write pipelines for it. `prodemb run` then runs them."""
    from prodemb.cli.report.init import guess_lines, written_lines
    from prodemb.job.init import guess, write_pipelines

    found = guess(catalog)
    show(guess_lines(found))
    show(written_lines(write_pipelines(found, out)))
