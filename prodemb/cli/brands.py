"""What needs a catalog or less, and no model: samples, taxonomies and canonical brands."""

import time
from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import say
from prodemb.cli.options import CatalogArgument, PipelineOption, chosen_pipeline, make_sample
from prodemb.cli.progress import show_progress
from prodemb.core.errors import CatalogError
from prodemb.core.text import counted


def sample(
    folder: Annotated[Path, typer.Argument(help="Where catalog.parquet and images/ go.")],
    products: Annotated[int, typer.Option(min=1, help="How many products.")] = 3000,
    seed: Annotated[int, typer.Option(help="Another seed gives another catalog.")] = 5,
) -> None:
    """Generate a catalog with pictures, messy supplied values and gold labels."""
    from prodemb.sample.catalog import write_sample

    started = time.perf_counter()
    path = write_sample(folder, num_products=products, seed=seed)
    say(f"{counted(products, 'product')} in {time.perf_counter() - started:.1f} s: {path}")


def taxonomy(
    out: Annotated[Path, typer.Argument(help="Where the file goes.")],
    locale: Annotated[str, typer.Option(help="Language and country, such as en-US or fr-FR.")] = "en-US",
) -> None:
    """Fetch Google's product taxonomy with ids."""
    from prodemb.taxonomy.taxonomy import fetch_taxonomy

    say(f"{counted(len(fetch_taxonomy(locale, out=out)), 'category', 'categories')}: {out}")


def brands(
    catalog: CatalogArgument = None,
    aliases: Annotated[
        str | None, typer.Argument(help="The alias file, CSV or Parquet; it is updated.", show_default=False)
    ] = None,
    shards: Annotated[
        Path | None,
        typer.Option(
            help="A shard set of this catalog; brands with like text vectors are compared too.", show_default=False
        ),
    ] = None,
    pipeline: PipelineOption = None,
) -> None:
    """Decide the canonical brand of every supplied brand string; a person can edit the file."""
    from prodemb.catalog.reader import open_catalog
    from prodemb.cli.report import alias_lines
    from prodemb.job.brands import update_aliases
    from prodemb.shards.reader import open_shard_set

    chosen = chosen_pipeline(None, path=pipeline, catalog=catalog)
    chosen = chosen.replaced({"brands": {"aliases": aliases}}, source="command line")
    make_sample(chosen)
    opened = open_catalog(chosen.catalog)
    if "brand" not in opened.columns:
        raise CatalogError(f"{opened.name}: has no column for the supplied brand; map one: [catalog] columns")
    columns = ["brand", "title", "cat1", "cat2", "cat3"]
    shard_set = open_shard_set(shards) if shards is not None else None
    batches = opened.batches(8192, columns=columns)
    table = update_aliases(chosen.brands, batches=batches, progress=show_progress, shards=shard_set)
    for line in alias_lines(table, path=Path(chosen.brands.aliases)):
        say(line)
