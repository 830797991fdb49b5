"""`prodemb init`: the first step with a catalog of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import finished, show, started
from prodemb.cli.options import TaxonomyOption
from prodemb.cli.read import taxonomies_of


def init(
    catalog: Annotated[str, typer.Argument(help="A file, folder or quoted glob, of any format that `read` takes.")],
    out: Annotated[Path, typer.Option(help="The folder for the pipeline files.")] = Path("pipelines"),
    taxonomy: TaxonomyOption = None,
) -> None:
    """Guess the columns of your catalog and write pipelines for it. `prodemb run` then runs them."""
    from prodemb.cli.report.init import guess_lines, written_lines
    from prodemb.job.init import guess, write_pipelines

    started("init", where=out)
    found = guess(catalog, taxonomies=taxonomies_of(taxonomy))
    show(guess_lines(found))
    written = write_pipelines(found, out)
    finished(written)
    show(written_lines(written))
