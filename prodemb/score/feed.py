"""A Google Merchant supplemental feed from predictions: the ids, categories and brands that are certain enough."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.aliases.junk import UNBRANDED, UNKNOWN
from prodemb.core.bounded import opened_parquet
from prodemb.core.errors import ConfigError
from prodemb.core.files import replacing
from prodemb.core.text import FORMULA
from prodemb.score.diff import CHANGE
from prodemb.score.folder import prediction_files
from prodemb.score.predictions import is_predictions

HEADER = ("id", "google_product_category", "brand")
"""Columns of the feed, as Google's product data specification names them."""
MIN_CONFIDENCE = 0.9
"""The default of `write_feed`'s `min_confidence`."""

_READ = ("product_id", "category_id", "category_confidence", "brand", "brand_confidence")
_SEPARATOR = "\t"
_HEADER_LINE = f"{_SEPARATOR.join(HEADER)}\n".encode()
_CONTROLS = r"[\p{Cc}\p{Zl}\p{Zp}]+"
"""Tabs, line breaks of any kind and other control characters."""


@dataclass(frozen=True, kw_only=True)
class FeedReport:
    """What was written to a feed, in products, and what was not."""

    out: Path
    min_confidence: float
    num_written: int
    num_categories: int
    """Written products with a category."""
    num_brands: int
    """Written products with a brand."""
    num_left_out: int
    """Products with neither a category nor a brand that is certain enough."""
    num_changed_ids: int
    """Written products whose id is not as it was, for safety: Google matches products by id and will miss them."""


def write_feed(predictions: Path, out: Path, *, min_confidence: float = MIN_CONFIDENCE) -> FeedReport:
    """Write a tab-separated supplemental feed (UTF-8) with the columns `HEADER`, one row per product.

    A category, as its official id, or a brand is written where its own confidence is at least `min_confidence`, and
    left empty otherwise; UNKNOWN and UNBRANDED are no brands. Products with neither are left out. Control characters
    become a space, and a cell that a spreadsheet would run as a formula gets an apostrophe in front. The predictions
    are read one row group at a time.

    Args:
        predictions: a file or a folder that `prodemb score` wrote, of all products.
        out: the file to write; an earlier feed is replaced, and nothing else.
        min_confidence: from 0 to 1.

    Raises:
        ConfigError: `min_confidence` is out of range, `predictions` are none, or `out` is a file of another kind.
        BusyError: another run writes to `out`.
        OutputError: `out` cannot be written.

    Source: Google Merchant Center's product data specification, supplemental data sources.
    """
    if not 0 <= min_confidence <= 1:
        raise ConfigError(f"--min-confidence: found {min_confidence:g}, wanted a number from 0 to 1")
    _check_replaceable(out)
    num_products = num_written = num_categories = num_brands = num_changed_ids = 0
    with replacing(out) as temporary, temporary.open("wb") as feed:
        feed.write(_HEADER_LINE)
        for products in _row_groups(predictions):
            rows = _feed_rows(products, min_confidence=min_confidence)
            rows.select(HEADER).write_csv(feed, include_header=False, separator=_SEPARATOR)
            num_products += len(products)
            num_written += len(rows)
            num_categories += rows["google_product_category"].count()
            num_brands += rows["brand"].count()
            num_changed_ids += len(rows.filter(pl.col("id") != pl.col("product_id")))
    return FeedReport(
        out=out,
        min_confidence=min_confidence,
        num_written=num_written,
        num_categories=num_categories,
        num_brands=num_brands,
        num_left_out=num_products - num_written,
        num_changed_ids=num_changed_ids,
    )


def _feed_rows(products: pl.DataFrame, *, min_confidence: float) -> pl.DataFrame:
    """The columns of the feed, and `product_id`, of the products that have a category or a brand."""
    # Confidences are float32: 0.9 among them is less than the float64 of that name.
    least = pl.lit(min_confidence, dtype=pl.Float32)
    is_category = pl.col("category_confidence").fill_nan(None) >= least
    is_brand = (pl.col("brand_confidence").fill_nan(None) >= least) & ~pl.col("brand").is_in([UNKNOWN, UNBRANDED])
    brand = pl.col("brand").str.replace_all(_CONTROLS, " ").str.strip_chars()
    return products.select(
        "product_id",
        _without_formula(pl.col("product_id").str.replace_all(_CONTROLS, " ")).alias("id"),
        pl.when(is_category).then("category_id").alias("google_product_category"),
        _without_formula(pl.when(is_brand & (brand != "")).then(brand)).alias("brand"),
    ).filter(pl.any_horizontal(pl.col("google_product_category", "brand").is_not_null()))


def _without_formula(cell: pl.Expr) -> pl.Expr:
    return cell.str.replace(f"^({FORMULA})", "'${1}")


def _row_groups(predictions: Path) -> Iterator[pl.DataFrame]:
    """What a feed reads of predictions, a row group at a time.

    Raises:
        ConfigError: there are no predictions of all products.
    """
    for path in prediction_files(predictions):
        with _open_predictions(path) as file:
            for group in range(file.num_row_groups):
                try:
                    table = file.read_row_group(group, columns=[*_READ])
                except (OSError, pa.ArrowException) as error:
                    raise ConfigError(f"{path}: row group {group} cannot be read ({error}); score again") from None
                yield pl.DataFrame(pl.from_arrow(table))


@contextmanager
def _open_predictions(path: Path) -> Iterator[pq.ParquetFile]:
    """Raises ConfigError where there is no predictions file of all products."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened_parquet(path))
        except (OSError, ValueError) as error:  # pa.ArrowInvalid is a ValueError
            reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
            raise ConfigError(
                f"{path}: cannot be read as predictions: {reason}; wanted what `prodemb score` writes"
            ) from None
        names, found = file.schema_arrow.names, ""
        if not is_predictions(path) or not {*_READ} <= {*names}:
            found = f"a Parquet file of other columns or origin ({', '.join(names[:5])} ...)"
        elif CHANGE in names:
            found = "only what had changed, and a feed replaces the one before"
        if found:
            raise ConfigError(f"{path}: found {found}, wanted predictions of all products as `prodemb score` writes")
        yield file


def _check_replaceable(out: Path) -> None:
    """Raise ConfigError where `out` is a file that is no feed of ours."""
    if not out.is_file():
        return
    with out.open("rb") as file:
        first = file.readline(len(_HEADER_LINE) + 1)
    if first.rstrip(b"\r\n") != _HEADER_LINE.rstrip(b"\n"):
        raise ConfigError(
            f"{out}: is no feed and is not replaced (its first line is not {', '.join(HEADER)}); wanted another name"
        )
