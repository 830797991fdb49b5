"""The alias file: the alias table as CSV or Parquet, for a person to edit in a text editor or a spreadsheet."""

import codecs
import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import polars as pl

from prodemb.aliases.junk import UNKNOWN
from prodemb.aliases.table import COLUMNS, AliasRow, AliasTable, Layout, Status
from prodemb.core.bounded import read_bytes, read_table
from prodemb.core.errors import CatalogError
from prodemb.core.files import replacing
from prodemb.core.spreadsheet import escaped, unescaped
from prodemb.core.text import one_line

_MOST = 10**12
"""Most products of a string, and the largest score."""
MAX_FILE_BYTES = 512 << 20
"""Most bytes of an alias file, and of its rows where it is Parquet."""
_NEEDED = ("supplied", "canonical")
_TEXTS = ("supplied", "canonical", "rule", "status", "proposed", "decided")
_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
_SEPARATORS = (",", ";", "\t")


def write_aliases(table: AliasTable, path: Path) -> None:
    """Write a table as Parquet or CSV, by the file's suffix; the file is complete or not there.

    What a spreadsheet would run as a formula gets an apostrophe in front (`prodemb.core.spreadsheet.escaped`), which
    `read_aliases` takes off again. A person's own columns are written as they are. Columns, separator and byte order
    mark are those of the file that the table was read from.

    Raises:
        CatalogError: the name ends in another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise CatalogError(f"{path}: found an alias file that ends in {suffix!r}, wanted {' or '.join(_SUFFIXES)}")
    frame = table.frame()
    with replacing(path) as temporary:
        if suffix == ".parquet":
            frame.write_parquet(temporary)
        else:
            frame.with_columns(escaped(frame[name]) for name in _TEXTS).write_csv(
                temporary,
                include_bom=table.layout.byte_order_mark,
                separator=table.layout.separator,
                quote_style="necessary",
            )


def read_aliases(path: Path) -> AliasTable:
    """Read an alias file, edited or not. Needs the columns supplied and canonical; the others have defaults.

    CSV may be as spreadsheets save it: with a byte order mark, CRLF, semicolons or tabs between cells, a comma in
    numbers, spaces around cells, empty rows at the end, UTF-16. Only the supplied string keeps its spaces.

    Raises:
        CatalogError: the file is missing or unreadable, lacks a column, repeats a string or has an unknown status.
    """
    if not path.is_file():
        raise CatalogError(f"{path}: no such alias file; `prodemb brands CATALOG {path.name}` writes one")
    try:
        is_parquet = path.suffix.lower() == ".parquet"
        table, layout = (_read_parquet(path), Layout()) if is_parquet else _read_csv(path)
    except (pl.exceptions.PolarsError, OSError, ValueError, csv.Error) as error:
        raise CatalogError(
            f"{path}: cannot be read as an alias file ({one_line(error)}); wanted CSV or Parquet"
        ) from None
    for name in _NEEDED:
        if name not in table.columns:
            raise CatalogError(f"{path}: found columns {', '.join(table.columns)}, wanted also {name!r}")
    rows = _rows_of(table, source=str(path))
    own = [name for name in table.columns if name not in COLUMNS]
    columns = (*table.columns, *(name for name in COLUMNS if name not in table.columns))
    cells = table.select(pl.col("supplied").cast(pl.String).fill_null(""), *own) if own else pl.DataFrame()
    # Rows without any cell are gone from `rows`, so an empty string may stand here more than once.
    cells = cells.unique("supplied", keep="first", maintain_order=True) if own else cells
    return AliasTable(rows, layout=replace(layout, columns=columns, own=cells))


def _read_parquet(path: Path) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(read_table(path, max_bytes=MAX_FILE_BYTES)))


def _read_csv(path: Path) -> tuple[pl.DataFrame, Layout]:
    """The cells of a CSV file as text, and how the file is laid out.

    Raises:
        CatalogError: it is not UTF-8, or a row has more cells than the header.
    """
    raw = read_bytes(path, max_bytes=MAX_FILE_BYTES)
    text = _decoded(raw, source=str(path))
    header = text.partition("\n")[0]
    cells = {separator: _header_cells(header, separator=separator) for separator in _SEPARATORS}
    separator = max(_SEPARATORS, key=lambda mark: sum(name in cells[mark] for name in COLUMNS))
    try:
        table = pl.read_csv(text.encode(), infer_schema=False, separator=separator)
    except pl.exceptions.ComputeError:
        _check_lengths(text, separator=separator, source=str(path))
        raise
    names = _header_cells(header, separator=separator)
    table = table.rename(
        {
            old: new
            for old, new in zip(table.columns, names, strict=False)
            if new in COLUMNS and new not in table.columns
        }
    )
    # A spreadsheet ends rows with empty cells where a cell to the right was ever touched.
    unnamed = [name for name, label in zip(table.columns, names, strict=False) if not label]
    table = table.drop(name for name in unnamed if table[name].null_count() == table.height)
    table = table.with_columns(unescaped(table[name]) for name in _TEXTS if name in table.columns)
    return table, Layout(separator=separator, byte_order_mark=raw.startswith(codecs.BOM_UTF8))


def _decoded(raw: bytes, *, source: str) -> str:
    """The text of a CSV file: UTF-8, or UTF-16 where a byte order mark says so.

    Raises:
        CatalogError: it is neither; names the row.
    """
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n") + 1
        raise CatalogError(
            f"{source}: row {row}: found a character that is not UTF-8, wanted the file saved as `CSV UTF-8`"
        ) from None


def _header_cells(line: str, *, separator: str) -> list[str]:
    """The column names in a CSV header, without spaces around them."""
    return [name.strip() for name in next(csv.reader([line.rstrip("\r")], delimiter=separator), [])]


def _check_lengths(text: str, *, separator: str, source: str) -> None:
    """Find the row that has more cells than the header.

    Raises:
        CatalogError: there is one; names the row.
    """
    width = 0
    for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), start=1):
        width = width or len(cells)
        if len(cells) > width:
            raise CatalogError(
                f"{source}: row {number}: found {len(cells)} cells, wanted {width} as in the header; "
                f"put a cell that holds {separator!r} in double quotes"
            )


def _rows_of(table: pl.DataFrame, *, source: str) -> list[AliasRow]:
    """The rows of a table that was read; rows without any cell are left out.

    Raises:
        CatalogError: a string is repeated, or a cell cannot be used; names the row.
    """
    rows: dict[str, AliasRow] = {}
    for number, cells in enumerate(table.iter_rows(named=True), start=2):
        if not any(str(cell).strip() for cell in cells.values() if cell is not None):
            continue
        row = _row_of({name: cells.get(name) for name in COLUMNS}, where=f"{source}: row {number}")
        if rows.setdefault(row.supplied, row) is not row:
            raise CatalogError(f"{source}: row {number}: {row.supplied!r} is repeated; keep one row")
    return list(rows.values())


def _row_of(cells: dict[str, Any], *, where: str) -> AliasRow:
    """One row from its cells; empty cells take the row's defaults.

    Raises:
        CatalogError: the status is unknown, or the score or the products are not numbers.
    """
    supplied = str(cells["supplied"] or "")
    names = ("canonical", "proposed", "rule", "decided")
    canonical, proposed, rule, decided = (str(cells[name] or "").strip() for name in names)
    status = str(cells["status"] or "").strip().lower() or "accepted"
    if status not in get_args(Status):
        raise CatalogError(f"{where}: status: found {status!r}, wanted one of {', '.join(get_args(Status))}")
    try:
        score, products = _number(cells["score"]), int(_number(cells["products"]))
    except ValueError:
        found = f"score {cells['score']!r}, products {cells['products']!r}"
        raise CatalogError(f"{where}: found {found}, wanted two numbers from 0 to {_MOST:,}") from None
    row = AliasRow(
        supplied=supplied,
        canonical=canonical or UNKNOWN,
        score=score,
        products=products,
        status=status,  # type: ignore[arg-type]
        proposed=proposed or None,
        decided=decided or None,
    )
    return replace(row, rule=rule) if rule else row


def _number(cell: str | float | int | None) -> float:
    """A number as a spreadsheet writes it, 0 for an empty cell; the decimal mark may be a comma."""
    number = float(str(cell).strip().replace(",", ".") or 0) if cell is not None else 0.0
    if not 0 <= number <= _MOST:
        raise ValueError(number)
    return number
