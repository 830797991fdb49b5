"""What every format gives: a source of rows, in batches that are bounded in rows and in bytes."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.catalog.files import CatalogFile, place_of
from prodemb.core.errors import CatalogError
from prodemb.storage.address import Place

BATCH_BYTES = 32 << 20
"""A batch is ended early where its values would take more than this."""
MAX_CELL_BYTES = 16 << 20
"""A row with a longer text is skipped; a picture in base64 may so have 12 MB."""
MAX_ROW_BYTES = 64 << 20
"""A longer row is skipped without being held in memory, and so is one with more bytes (a picture) in a column."""
MAX_COLUMNS = 16_384
"""As many as a spreadsheet has."""
MAX_NAME_CHARS = 1_000
"""Of a column's name; the rest of it is left out."""
MAX_SHOWN, MAX_SHOWN_CHARS = 50, 80
"""Column names, and characters of each, that an error shows."""
NUM_REMEMBERED = 1_000
"""Skipped rows kept one by one; the rest are only counted."""


@dataclass(frozen=True)
class SkippedRow:
    """A row that gives no values."""

    file: Place
    row: int
    """Its number in the file, from 1, as `RowBatch.rows` counts."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: row {self.row}: {self.reason}"


@dataclass
class SkippedRows:
    """Rows of one pass over a file that gave no values."""

    count: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    first: list[SkippedRow] = field(default_factory=list)
    """The first `NUM_REMEMBERED` of them, each reason's first one always among them."""

    def add(self, row: SkippedRow) -> None:
        """Count a row."""
        self.count += 1
        self.by_reason[row.reason] += 1
        if len(self.first) < NUM_REMEMBERED or self.by_reason[row.reason] == 1:
            self.first.append(row)


@dataclass(frozen=True)
class RowBatch:
    """Some rows of a file."""

    rows: npt.NDArray[np.int64]
    """Their numbers in the file, from 1, as a person would find them: the row in a spreadsheet (the header and empty
    lines counted), the line of JSON lines, the element of an array, the record of XML, the row of Parquet."""
    table: pa.Table
    """(n rows) One column per name. `large_string` in formats of text: values of text as they are written, null where
    JSON or XML has none, objects and lists as JSON text. Parquet and Arrow keep their own types."""


class Source(ABC):
    """A file of a catalog, whose rows can be read any number of times, the same each time."""

    file: CatalogFile
    format: str
    """"csv", "tsv", "delimited text", "json lines", "json array", "json object", "rss", "atom", "xml", "parquet",
    "arrow", "xlsx", "xls" or "ods"."""
    compression: str | None = None
    """"gzip", "bzip2", "xz", "zstd", "lz4" or "zip"; several from the outer to the inner, joined by " + "."""
    encoding: str | None = None
    """Of text formats, as Python names it."""
    delimiter: str | None = None
    header_row: int | None = None
    """Row of the column names, from 1, where the format has one."""
    columns: tuple[str, ...]
    """Names as written, without white space around them, made unique (`name`, `name_2`; `column_3` where none).
    Of JSON and XML, those in the rows looked at when the file was opened."""
    num_rows: int | None = None
    """Where the format says so."""

    def __init__(
        self, file: CatalogFile, *, format: str, columns: Sequence[str], compression: str | None = None
    ) -> None:
        if len(columns) > MAX_COLUMNS:
            raise CatalogError(f"{place_of(file)}: found {len(columns):,} columns, wanted at most {MAX_COLUMNS:,}")
        self.file = file
        self.format = format
        self.compression = compression
        self.columns = tuple(columns)
        self.skipped = SkippedRows()
        """Rows that could not be read, of the last pass."""
        self.ignored = SkippedRows()
        """Rows that are no products, of the last pass: labels, remarks, totals, the header once more."""
        self.notes: dict[str, str] = {}
        """What a user should know of a file that can be read all the same, by kind, of the last pass."""

    @property
    def path(self) -> Place:
        """Where the file lies, for people."""
        return place_of(self.file)

    def batches(
        self, *, columns: Sequence[str] | None = None, max_rows: int = 8192, start: int = 0, stop: int | None = None
    ) -> Iterator[RowBatch]:
        """The rows, in order.

        Args:
            columns: of these alone, in this order; of all where None.
            max_rows: rows of a batch; it has fewer where its values take more than `BATCH_BYTES`.
            start: leave out the first so many rows (of those that can be read).
            stop: end before the row with this index (among those that can be read, from 0).

        Raises:
            CatalogError: the file is damaged in a way that is not one row's, or has no such column.
        """
        wanted = list(self.columns if columns is None else dict.fromkeys(columns))
        self._check_columns(wanted)
        self.skipped, self.ignored, self.notes = SkippedRows(), SkippedRows(), {}
        position, rows = self._read_from(wanted, max_rows=max_rows, start=start)
        for batch in _cut(rows, max_rows=max_rows):
            num_rows = len(batch.rows)
            first = min(max(start - position, 0), num_rows)
            last = num_rows if stop is None else min(max(stop - position, 0), num_rows)
            position += num_rows
            if first < last:
                whole = first == 0 and last == num_rows
                yield batch if whole else RowBatch(batch.rows[first:last], batch.table.slice(first, last - first))
            if stop is not None and position >= stop:
                return

    def read_beside(self, name: str) -> bytes | None:
        """What a file beside the table holds, in an archive that has both; None where there is none."""
        return None

    def _read_from(self, columns: list[str], *, max_rows: int, start: int) -> tuple[int, Iterator[RowBatch]]:
        """The rows from `start` or from before it on, and how many rows (of those that can be read) are before them."""
        return 0, self._read(columns, max_rows=max_rows)

    @abstractmethod
    def _read(self, columns: list[str], *, max_rows: int) -> Iterator[RowBatch]:
        """All rows, in batches of any size that fits in memory."""

    def _check_columns(self, columns: list[str]) -> None:
        for name in columns:
            if name not in self.columns:
                raise CatalogError(f"{self.path}: found no column {name!r}; columns there: {shown_names(self.columns)}")

    def _skip(self, row: int, reason: str) -> None:
        self.skipped.add(SkippedRow(self.path, row, reason))

    def _note(self, kind: str, said: str) -> None:
        self.notes.setdefault(kind, said)

    def _ignore(self, row: int, reason: str) -> None:
        self.ignored.add(SkippedRow(self.path, row, reason))


def _cut(batches: Iterable[RowBatch], *, max_rows: int) -> Iterator[RowBatch]:
    """The same rows in batches of `max_rows`, or of fewer where they are large."""
    waiting: list[RowBatch] = []
    num_rows = num_bytes = 0
    for batch in batches:
        waiting.append(batch)
        num_rows += len(batch.rows)
        num_bytes += batch.table.nbytes
        if num_rows >= max_rows or num_bytes >= BATCH_BYTES:
            yield from (cut := list(_pieces(_joined(waiting), max_rows=max_rows)))[:-1]
            waiting = cut[-1:]
            num_rows = len(waiting[0].rows)
            num_bytes = waiting[0].table.nbytes
            if num_rows >= max_rows or num_bytes >= BATCH_BYTES:
                yield waiting.pop()
                num_rows = num_bytes = 0
    if num_rows:
        yield from _pieces(_joined(waiting), max_rows=max_rows)


def _joined(batches: list[RowBatch]) -> RowBatch:
    if len(batches) == 1:
        return batches[0]
    return RowBatch(
        np.concatenate([batch.rows for batch in batches]), pa.concat_tables([batch.table for batch in batches])
    )


def _pieces(batch: RowBatch, *, max_rows: int) -> Iterator[RowBatch]:
    num_rows = len(batch.rows)
    per_piece = max_rows
    if batch.table.nbytes > BATCH_BYTES:
        per_piece = max(1, min(max_rows, num_rows * BATCH_BYTES // batch.table.nbytes))
    for first in range(0, num_rows, per_piece):
        last = min(first + per_piece, num_rows)
        piece = RowBatch(batch.rows[first:last], batch.table.slice(first, last - first))
        if last - first > 1 and piece.table.nbytes > 2 * BATCH_BYTES:
            yield from _pieces(piece, max_rows=(last - first + 1) // 2)
        else:
            yield piece


def text_batch(rows: Sequence[int], columns: Sequence[str], values: Iterable[Sequence[str | None]]) -> RowBatch:
    """A batch of `large_string` columns.

    Args:
        rows: (n,) row numbers.
        values: a sequence of n values for each column.
    """
    arrays = [_texts(each) for each in values]
    # A table without columns has no rows, so one that is only counted carries a column of nulls.
    table = pa.table(arrays, names=list(columns)) if arrays else pa.table({"": pa.nulls(len(rows))})
    return RowBatch(np.asarray(rows, np.int64), table)


def _texts(values: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError:
        # Half a character, as JSON can write one ("\ud800").
        mended = [value and value.encode("utf-8", "replace").decode() for value in values]
        return pa.array(mended, pa.large_string())


def shown_names(names: Sequence[str]) -> str:
    """The names as an error shows them: not more than a person reads."""
    shown = ", ".join(name[:MAX_SHOWN_CHARS] for name in names[:MAX_SHOWN])
    return shown if len(names) <= MAX_SHOWN else f"{shown} and {len(names) - MAX_SHOWN:,} more"


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names without white space around them, cut where they are endless, and made unique."""
    found: dict[str, None] = {}
    numbers: Counter[str] = Counter()
    for place, name in enumerate(names, start=1):
        own = " ".join(name.split())[:MAX_NAME_CHARS] or f"column_{place}"
        unique = own
        while unique in found:
            numbers[own] += 1
            unique = f"{own}_{numbers[own] + 1}"
        found[unique] = None
    return tuple(found)
