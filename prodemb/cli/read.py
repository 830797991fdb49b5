"""`prodemb read`: what a feed is, what is made of it, and what is lost on the way."""

from typing import TYPE_CHECKING, Annotated

import typer

from prodemb.cli.display import answer, finished, show, started
from prodemb.cli.options import PipelineOption, TaxonomyOption
from prodemb.core.text import counted

if TYPE_CHECKING:
    from prodemb.taxonomy.taxonomy import Taxonomy


def read(
    feed: Annotated[
        str, typer.Argument(help="A file, folder or glob: CSV, TSV, JSON, XML, Parquet or Excel, packed or not.")
    ],
    out: Annotated[
        str | None,
        typer.Argument(help="Where to write the products as a standard catalog (Parquet).", show_default=False),
    ] = None,
    pipeline: PipelineOption = None,
    taxonomy: TaxonomyOption = None,
) -> None:
    """Show what a feed is, which column is taken for what, and how many products come out; with OUT, write them."""
    from prodemb.catalog.overview import read_through
    from prodemb.catalog.reader import CatalogConfig, open_catalog
    from prodemb.cli.report.read import overview_lines
    from prodemb.storage.desk import file_to_write

    if pipeline is not None:
        from prodemb.job.pipeline import read_pipeline

        config = read_pipeline(pipeline).catalog.model_copy(update={"path": feed})
    else:
        # What repeats an id is told below, and is no reason to show nothing.
        config = CatalogConfig(path=feed, bad_ids="drop")
    started("read", where=out)
    path = None if out is None else file_to_write(out)
    overview = read_through(open_catalog(config, taxonomies=taxonomies_of(taxonomy)), out=path)
    finished(overview)
    if out is None:
        answer(overview_lines(overview))
    else:
        show(overview_lines(overview))
        show([f"wrote {counted(overview.num_products, 'product')}: {out}"])


def taxonomies_of(path: str | None) -> "list[Taxonomy]":
    """The bundled part of the taxonomy, and the one in a file."""
    from prodemb.storage.desk import file_to_read
    from prodemb.taxonomy.taxonomy import read_taxonomy, sample_taxonomy

    return [sample_taxonomy(), *([read_taxonomy(file_to_read(path))] if path is not None else [])]
