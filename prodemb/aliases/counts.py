"""Counting the supplied brand strings of a catalog as it streams past, with a sample of each string's products."""

from collections.abc import Iterable

import polars as pl
import pyarrow as pa

from prodemb.core.errors import CatalogError

TITLE_LENGTH = 96
"""Characters of a title that are kept as evidence; brands stand near its start."""

_CATEGORIES = ("cat1", "cat2", "cat3")
_COMPACT_ROWS = 200_000
_SEED = 20_210_921

EXAMPLES = pl.List(pl.Struct({"title": pl.String, "category": pl.String}))
"""The type of the evidence column: a few products of one supplied string."""


def count_supplied(batches: Iterable[pa.Table], *, examples: int) -> pl.DataFrame:
    """Count every distinct supplied brand of a catalog.

    Memory grows with the number of distinct strings and never with the number of products: of each string at most
    `examples` different products are kept, chosen by the hash of their text (a bottom-k sample), so that neither the
    order nor the batching of the catalog changes the result.

    Args:
        batches: tables with the column brand and, where there are any, title and cat1 to cat3.
        examples: the largest number of sampled products per string.

    Returns:
        supplied (String), products (Int64), examples (list of {title, category}), sorted by supplied.

    Raises:
        CatalogError: a batch has no brand column.
    """
    counts: list[pl.DataFrame] = []
    samples: list[pl.DataFrame] = []
    pending = 0
    for batch in batches:
        products = _products_of(batch)
        counts.append(products.group_by("supplied").agg(products=pl.len().cast(pl.Int64)))
        samples.append(_smallest(products, examples=examples))
        pending += counts[-1].height + samples[-1].height
        if pending > max(_COMPACT_ROWS, counts[0].height + samples[0].height):
            counts, samples = [_total(counts)], [_smallest(pl.concat(samples), examples=examples)]
            pending = 0
    if not counts:
        return pl.DataFrame(schema={"supplied": pl.String, "products": pl.Int64, "examples": EXAMPLES})
    sampled = _smallest(pl.concat(samples), examples=examples)
    listed = sampled.group_by("supplied", maintain_order=True).agg(examples=pl.struct("title", "category"))
    return _total(counts).join(listed, on="supplied", how="left").sort("supplied")


def _products_of(batch: pa.Table) -> pl.DataFrame:
    """supplied, title, category and a hash of all three, for each product with a supplied brand."""
    if "brand" not in batch.column_names:
        raise CatalogError(f"catalog: found the columns {', '.join(batch.column_names)}, wanted also 'brand'")
    present = [name for name in ("brand", "title", *_CATEGORIES) if name in batch.column_names]
    frame = pl.DataFrame(pl.from_arrow(batch.select(present))).with_columns(pl.col(present).cast(pl.String))
    levels = [name for name in _CATEGORIES if name in present]
    path = pl.concat_str(levels, separator=" > ", ignore_nulls=True) if levels else pl.lit(None, pl.String)
    title = pl.col("title").str.slice(0, TITLE_LENGTH) if "title" in present else pl.lit(None, pl.String)
    products = frame.select(supplied="brand", title=title, category=pl.when(path != "").then(path))
    return products.drop_nulls("supplied").with_columns(hash=pl.struct("supplied", "title", "category").hash(_SEED))


def _smallest(products: pl.DataFrame, *, examples: int) -> pl.DataFrame:
    """For each string the different products with the smallest hashes."""
    different = products.unique(["supplied", "title", "category"], keep="any").sort("supplied", "hash", "title")
    return different.group_by("supplied", maintain_order=True).head(examples)


def _total(counts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(counts).group_by("supplied").agg(pl.col("products").sum())
