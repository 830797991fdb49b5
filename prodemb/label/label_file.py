"""The label file: products to label, the answers to choose from, and the labels that people fill in."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import polars as pl

from prodemb.aliases.table import Layout
from prodemb.catalog.files import local_file
from prodemb.catalog.formats import Source, open_source
from prodemb.catalog.row_keys import array_of
from prodemb.catalog.values import as_texts
from prodemb.core.errors import CatalogError, ConfigError
from prodemb.core.files import replacing
from prodemb.core.spreadsheet import escaped, unescaped
from prodemb.heads.labels import Target

NUM_LIKELY = 5
LIKELY = tuple(f"likely_{rank}" for rank in range(1, NUM_LIKELY + 1))
"""The likeliest categories, best first, as `187 - Apparel & Accessories > Shoes`."""
COLUMNS = (
    "product_id",
    "title",
    "category",
    "brand",
    *LIKELY,
    "supplied_brand",
    "cat1",
    "cat2",
    "cat3",
    "partner",
    "picture",
)
"""Columns of a file that is written; `category` and `brand` are empty, for people to fill in."""
FILLED: tuple[Target, ...] = get_args(Target)
"""The columns that hold labels, named by what is labelled."""

SHOWN = ("title", "supplied_brand", "cat1", "cat2", "cat3", "partner")
"""Columns that show what partners sent."""
CANNOT_TELL = "?"
"""What people write in place of a label that they cannot tell."""

_SUFFIXES = {".csv": ",", ".tsv": "\t"}
_KEPT_BY_SPREADSHEETS = re.compile(r"0|[1-9]\d{0,10}")
"""A product id that no spreadsheet changes in any language: others may be a number, a date, an amount of money or a
truth value somewhere, such as `3-4`, `Okt 12`, `R5` or `WAHR`."""
_LIKELY_CELL = r"^\d+ - ."

Meaning = Callable[[str], str | None]
"""What a label stands for, however it is written; None where it stands for nothing."""


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """A file that people have filled in, maybe in part."""

    path: Path
    rows: pl.DataFrame
    """`product_id`, `category` and `brand`, strings as people mean them, null where a cell is empty; n rows."""
    is_not_told: pl.Series
    """(n,) whether `category` holds `CANNOT_TELL`."""
    cells: pl.DataFrame
    """All cells of these rows as they are written, n rows; none of a file that is no text."""
    layout: Layout
    """How its text is laid out."""
    num_skipped: int
    """Rows that cannot be read."""

    @property
    def is_own(self) -> bool:
        """Whether it has the columns of a file that `write_label_file` wrote, in whatever format."""
        return {*COLUMNS} <= {*self.cells.columns}

    @property
    def num_without_id(self) -> int:
        """Labels without a product id."""
        is_filled = pl.any_horizontal(pl.col(*FILLED).is_not_null())
        return self.rows.filter(is_filled, pl.col("product_id").is_null()).height

    @property
    def not_told_ids(self) -> pl.Series:
        """Ids of products whose category a person could not tell."""
        return self.rows.filter(self.is_not_told)["product_id"].drop_nulls()

    def is_touched(self, shown: pl.DataFrame) -> pl.Series:
        """(n,) whether a person has written into each row of a file of one's own.

        That is where there is a label, a mark or anything in a column that `write_label_file` does not write, or
        where a likely category is none, or another cell is not what was shown; pictures are not compared.

        Args:
            shown: what the columns `SHOWN` show of products, beside `product_id`, each once.
        """
        own = [name for name in self.cells.columns if name in FILLED or name not in COLUMNS]
        cells = self.cells.select(_squashed(unescaped(cells)) for cells in self.cells)
        shown = shown.select("product_id", *(_squashed(shown[name]).alias(f"{name}_shown") for name in SHOWN))
        cells = cells.with_columns(self.rows["product_id"])
        cells = cells.join(shown, on="product_id", how="left", maintain_order="left")
        has_own = pl.any_horizontal(pl.col(*own) != "")
        has_unlikely = pl.any_horizontal((pl.col(*LIKELY) != "") & ~pl.col(*LIKELY).str.contains(_LIKELY_CELL))
        is_other = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_shown").fill_null(pl.col(name)) for name in SHOWN)
        return cells.select(has_own | has_unlikely | is_other).to_series()

    def labels_of(self, target: Target, *, meaning: Meaning) -> pl.DataFrame:
        """`product_id` and `label` of the products with a label of a target, each once, in the order of the file.

        Those whose rows contradict each other are left out.
        """
        apart = self.contradicting(target, meaning=meaning)
        found = self._found(target).filter(~pl.col("product_id").is_in(apart))
        return found.unique("product_id", keep="first", maintain_order=True)

    def contradicting(self, target: Target, *, meaning: Meaning) -> list[str]:
        """Products whose rows have labels of a target that stand for different things."""
        found = self._found(target).filter(pl.col("product_id").is_duplicated())
        meant = found.with_columns(meanings(found["label"], of=meaning))
        counts = meant.group_by("product_id", maintain_order=True).agg(pl.col("label").n_unique())
        return counts.filter(pl.col("label") > 1)["product_id"].to_list()

    def _found(self, target: Target) -> pl.DataFrame:
        return self.rows.select("product_id", label=target).drop_nulls()


def _squashed(cells: pl.Series) -> pl.Series:
    """Cells as they are compared: without differences in spaces, and empty ones as empty text."""
    return cells.fill_null("").str.replace_all(r"\s+", " ").str.strip_chars()


def meanings(labels: pl.Series, *, of: Meaning) -> pl.Series:
    """What each label stands for, (n,) string; each distinct one is asked for once."""
    distinct = labels.unique().drop_nulls()
    meant = pl.Series([of(label) for label in distinct], dtype=pl.String)
    return labels.replace_strict(distinct, meant, default=None, return_dtype=pl.String)


def read_label_file(path: Path) -> LabelFile:
    """Read a label file, as it was written, as a spreadsheet has saved it, or in any other format of catalogs.

    It needs the column `product_id`, and `category`, `brand` or both. `CANNOT_TELL` is no label.

    Raises:
        CatalogError: it is missing, is no table, or lacks a column.
    """
    if not path.is_file():
        raise CatalogError(f"{path}: no such label file; `prodemb label SHARDS {path.name}` writes one to fill in")
    source = open_source(path)
    has = [name for name in FILLED if name in source.columns]
    if "product_id" not in source.columns or not has:
        shown = ", ".join(source.columns[:20])
        raise CatalogError(f"{path}: found the columns {shown}, wanted product_id, and category or brand")
    is_text = source.format not in ("parquet", "arrow")
    cells = [pl.DataFrame(schema=dict.fromkeys(source.columns if is_text else (), pl.String))]
    rows = [pl.DataFrame(schema=dict.fromkeys(("product_id", *FILLED), pl.String))]
    for batch in source.batches(columns=None if is_text else ["product_id", *has]):
        texts = {name: pl.Series(values=as_texts(array_of(batch.table, name))) for name in ("product_id", *has)}
        if is_text:
            texts = {name: unescaped(text) if name in FILLED else _unprotected(text) for name, text in texts.items()}
        rows.append(pl.DataFrame(texts))
        if is_text:
            cells.append(pl.DataFrame(pl.from_arrow(batch.table)))
    labels = pl.concat(rows, how="diagonal")
    return LabelFile(
        path=path,
        rows=labels.with_columns(pl.col(*FILLED).replace(CANNOT_TELL, None)),
        is_not_told=labels["category"].eq_missing(CANNOT_TELL),
        cells=pl.concat(cells),
        layout=_layout_of(source),
        num_skipped=source.skipped.count,
    )


def _layout_of(source: Source) -> Layout:
    """The layout of a file; what is not UTF-8 will be, and then has a byte order mark."""
    with local_file(source.file).open("rb") as opened:
        has_mark = opened.read(3) == codecs.BOM_UTF8
    return Layout(
        columns=source.columns,
        separator=source.delimiter or ",",
        byte_order_mark=has_mark or source.encoding != "utf-8-sig",
    )


def _unprotected(ids: pl.Series) -> pl.Series:
    """Product ids without the apostrophes that `_protected` and `escaped` wrote."""
    places = ids.str.starts_with("'").fill_null(False).arg_true()
    # With a letter in place of the first apostrophe, those that the id itself begins with stay.
    plain = unescaped("x" + ids[places].str.slice(1)).str.slice(1)
    return unescaped(ids).scatter(places, plain) if len(places) else unescaped(ids)


def check_label_out(path: Path) -> None:
    """Raise ConfigError where a label file cannot have this name."""
    if path.suffix.lower() not in _SUFFIXES or path.is_dir():
        raise ConfigError(f"{path}: a label file is CSV; wanted a name that ends in {' or '.join(_SUFFIXES)}")


def write_label_file(
    path: Path, rows: pl.DataFrame, *, kept: pl.DataFrame | None = None, layout: Layout | None = None
) -> None:
    """Write products to label.

    What a spreadsheet would run as a formula, and product ids that are more than a number of up to eleven digits, get
    an apostrophe in front, which `read_label_file` takes off again.

    Args:
        path: .csv or .tsv.
        rows: the columns `COLUMNS`, strings.
        kept: cells of rows that stay as they are, above the others; their own columns stay too.
        layout: of the file that they are from; by default what the suffix says, with a byte order mark, which tells
            spreadsheets that it is UTF-8.
    """
    layout = layout or Layout(separator=_SUFFIXES[path.suffix.lower()], byte_order_mark=True)
    cells = rows.select(escaped(rows[name]) for name in COLUMNS)
    cells = cells.with_columns(_protected(cells["product_id"]))
    if kept is not None:
        cells = pl.concat([kept, cells], how="diagonal")
    with replacing(path) as temporary:
        cells.write_csv(
            temporary, include_bom=layout.byte_order_mark, separator=layout.separator, quote_style="necessary"
        )


def _protected(ids: pl.Series) -> pl.Series:
    """Escaped product ids with an apostrophe in front of each that a spreadsheet may change, and no second one."""
    safe = [each if each[:1] == "'" or _KEPT_BY_SPREADSHEETS.fullmatch(each) else f"'{each}" for each in ids]
    return pl.Series(ids.name, safe, dtype=pl.String)
