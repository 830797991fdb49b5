"""`prodemb sample` and `prodemb taxonomy`: what a project without a catalog or a taxonomy begins with."""

import time
from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import finished, say, started
from prodemb.core.text import counted


def sample(
    folder: Annotated[Path, typer.Argument(help="The folder for catalog.parquet and images/.")],
    products: Annotated[int, typer.Option(min=1, help="How many products.")] = 3000,
    seed: Annotated[int, typer.Option(help="Another seed gives another catalog.")] = 5,
) -> None:
    """Generate a catalog with pictures, messy supplied values and gold labels."""
    from prodemb.sample.catalog import write_sample

    started("sample", where=folder)
    began = time.perf_counter()
    path = write_sample(folder, num_products=products, seed=seed)
    finished(path)
    say(f"{counted(products, 'product')} in {time.perf_counter() - began:.1f} s: {path}")


def taxonomy(
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    locale: Annotated[str, typer.Option(help="Language and country, such as en-US or fr-FR.")] = "en-US",
) -> None:
    """Download Google's product taxonomy with category ids."""
    from prodemb.taxonomy.taxonomy import fetch_taxonomy

    started("taxonomy", where=out)
    fetched = fetch_taxonomy(locale, out=out)
    finished(fetched)
    say(f"{counted(len(fetched), 'category', 'categories')}: {out}")
