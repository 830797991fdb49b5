"""`prodemb brands`: the alias file."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import finished, show, started
from prodemb.cli.options import CatalogArgument, PipelineOption, chosen_pipeline, make_sample
from prodemb.cli.progress import show_progress
from prodemb.core.errors import CatalogError


def brands(
    catalog: CatalogArgument = None,
    aliases: Annotated[
        str | None,
        typer.Argument(help="The alias file to update, CSV or Parquet. Default: the pipeline's.", show_default=False),
    ] = None,
    shards: Annotated[
        Path | None,
        typer.Option(
            help="A shard set of this catalog, to compare brands by their text vectors too.", show_default=False
        ),
    ] = None,
    pipeline: PipelineOption = None,
) -> None:
    """Group the supplied brands under canonical brands, in an alias file that you can edit."""
    from prodemb.catalog.reader import open_catalog
    from prodemb.cli.report.brands import alias_lines
    from prodemb.job.brands import update_aliases
    from prodemb.shards.reader import open_shard_set
    from prodemb.storage.desk import file_to_read

    chosen = chosen_pipeline(None, path=pipeline, catalog=catalog)
    chosen = chosen.replaced({"brands": {"aliases": aliases}}, source="command line")
    make_sample(chosen)
    started("brands", where=chosen.brands.aliases)
    opened = open_catalog(chosen.catalog)
    if "brand" not in opened.columns:
        raise CatalogError(f"{opened.name}: no column for the supplied brand; map one in [catalog] columns")
    columns = ["brand", "title", "cat1", "cat2", "cat3"]
    shard_set = open_shard_set(shards) if shards is not None else None
    batches = opened.batches(8192, columns=columns)
    table = update_aliases(chosen.brands, batches=batches, progress=show_progress, shards=shard_set)
    finished(table)
    show(alias_lines(table, path=file_to_read(chosen.brands.aliases)))
