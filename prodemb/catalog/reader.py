"""Opening a catalog, whatever its format and column names, and streaming its products in batches."""

import difflib
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from prodemb.catalog.ids import BadIds, IdBatch, find_bad_ids
from prodemb.catalog.lines import SkippedRows
from prodemb.catalog.sources import CatalogFile, find_files, holds_key, is_empty, open_file, read
from prodemb.catalog.values import ImageKind, split_path
from prodemb.core.config import Config
from prodemb.core.errors import CatalogError
from prodemb.core.features import CATALOG_COLUMNS, FEATURES

logger = logging.getLogger(__name__)

ROWS_WITH_PICTURES = 256
"""Rows taken from a file at a time where pictures stand in it."""
ROWS_WITHOUT = 16_384
CATEGORY_LEVELS = ("cat1", "cat2", "cat3")


class CatalogConfig(Config):
    """Which catalog to read, and how (`[catalog]`)."""

    path: str = "sample/catalog.parquet"
    """A file, a glob, or a folder of files: Parquet, CSV, TSV or JSON lines (the texts also as .gz)."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Standard column name = the file's own. A column with a standard name needs no entry; "" leaves one out."""
    category_separator: str | None = None
    """Where cat1 holds a whole path ("Home > Kitchen > Mugs"): what stands between its levels."""
    image_root: str | None = None
    """The folder that picture paths start from; default: the catalog's own."""
    bad_ids: Literal["error", "drop"] = "error"
    """What to do about rows without an id or with the id of an earlier row."""

    @field_validator("columns")
    @classmethod
    def _are_standard(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in columns:
            if name not in CATALOG_COLUMNS:
                close = difflib.get_close_matches(name, CATALOG_COLUMNS, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"wanted one of {', '.join(CATALOG_COLUMNS)}"
                raise ValueError(f"found the column {name!r}; {hint}")
        return columns


class Catalog:
    """An opened catalog; it reads nothing ahead and keeps no rows."""

    def __init__(self, config: CatalogConfig, *, files: Sequence[CatalogFile], columns: dict[str, str]) -> None:
        """Use `open_catalog`."""
        self.config = config
        self.files = tuple(files)
        self.columns = columns
        """Standard column names that this catalog has, and the files' own names for them."""
        first = files[0].path
        self.image_root = Path(config.image_root).expanduser() if config.image_root else first.parent
        """The folder that picture paths start from."""
        self.image_kind: ImageKind | None = _image_kind(files, columns.get("image"))
        """Whether the image column holds bytes or paths and addresses; None where there is none."""
        self.skipped_rows = SkippedRows()
        """Rows that could not be read, of the latest pass over the catalog."""
        self._told: set[str] = set()
        self.bad_ids: BadIds | None = None
        """What `check_ids` found."""

    @property
    def name(self) -> str:
        """The path as the user gave it, for messages."""
        return self.config.path

    @property
    def features(self) -> tuple[str, ...]:
        """The features that this catalog has a column for, in the order of `prodemb.core.features.FEATURES`."""
        levels = CATEGORY_LEVELS if self._splits_categories() else ()
        return tuple(feature for feature in FEATURES if feature in self.columns or feature in levels)

    def check_ids(self) -> int:
        """Number of products; reads the ids of the whole catalog.

        With `bad_ids = "drop"` rows without an id, or with one that stood before, are left out from here on, and
        `bad_ids` of this object says how many and which.

        Raises:
            CatalogError: the catalog has such rows and `bad_ids` is "error"; names them.
        """
        self.bad_ids = find_bad_ids(self._id_batches)
        if self.bad_ids and self.config.bad_ids == "error":
            raise CatalogError(
                f'{self.config.path}: {self.bad_ids}; wanted one id a product, or bad_ids = "drop" in [catalog]'
            )
        return self.bad_ids.num_rows - len(self.bad_ids.positions)

    def num_skipped(self) -> dict[str, int]:
        """How many rows no batch holds, by reason, most frequent first: those that cannot be read, and bad ids."""
        reasons = dict(self.skipped_rows.by_reason.most_common())
        if self.bad_ids is not None:
            bad = {"no product_id": self.bad_ids.num_null, "repeated product_id": self.bad_ids.num_repeated}
            reasons |= {reason: count for reason, count in bad.items() if count}
        return reasons

    def batches(
        self, num_rows: int, *, columns: Iterable[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[pa.Table]:
        """Stream the products from `start` to before `stop`: `num_rows` in each table, fewer only in the last.

        What stands before `start` costs little: row groups of Parquet are passed over, rows of text files are parsed
        and no more.

        A table has the standard columns in their order (`prodemb.core.features.CATALOG_COLUMNS`), or those of `columns`
        alone, which then are all that is read. All are large_string; `image` is large_binary where pictures stand in
        the catalog. Values are null where the catalog has none, and where text is empty or blank.

        Raises:
            CatalogError: a file is damaged, or vanished.
        """
        wanted = set(CATALOG_COLUMNS if columns is None else columns)
        assert wanted <= set(CATALOG_COLUMNS), f"no standard columns: {wanted - set(CATALOG_COLUMNS)}"
        if self.config.bad_ids == "drop" and self.bad_ids is None:
            self.check_ids()
        pending: list[pa.Table] = []
        num_pending = 0
        tables = self._tables(wanted, num_rows=num_rows, start=start)
        for table in tables if stop is None else _limited(tables, num_rows=stop - start):
            pending.append(table)
            num_pending += table.num_rows
            while num_pending >= num_rows:
                whole = pa.concat_tables(pending)
                yield whole.slice(0, num_rows).combine_chunks()
                pending = [whole.slice(num_rows)]
                num_pending -= num_rows
        if num_pending:
            yield pa.concat_tables(pending).combine_chunks()

    def _tables(self, wanted: set[str], *, num_rows: int, start: int) -> Iterator[pa.Table]:
        """Tables of any length with the standard columns that are wanted, without the dropped rows.

        Args:
            start: the product that they begin with.
        """
        splits = self._splits_categories() and not wanted.isdisjoint(CATEGORY_LEVELS)
        taken = {name: own for name, own in self.columns.items() if name in wanted or (splits and name == "cat1")}
        at_once = ROWS_WITH_PICTURES if self.image_kind == "bytes" and "image" in taken else ROWS_WITHOUT
        first, row = self._row_of(start), 0
        self.skipped_rows = SkippedRows()
        for file in self.files:
            for _, table in self._read(file, taken, num_rows=min(num_rows, at_once), start=max(0, first - row)):
                end = row + table.num_rows
                table, row = table.slice(max(0, first - row)), max(row, min(first, end))
                if row == end:
                    continue
                columns = dict(zip(table.column_names, table.columns, strict=True))
                if splits:
                    columns |= self._split(columns.get("cat1"), num_rows=table.num_rows)
                nulls = {name: pa.nulls(table.num_rows, self._type(name)) for name in wanted - columns.keys()}
                standard = pa.table({name: (columns | nulls)[name] for name in CATALOG_COLUMNS if name in wanted})
                yield self._without_bad_ids(standard, start=row)
                row = end

    def _row_of(self, product: int) -> int:
        """How many rows, those with bad ids among them, stand before a product."""
        if self.bad_ids is None:
            return product
        positions = self.bad_ids.positions
        return product + int(np.searchsorted(positions - np.arange(len(positions)), product, side="right"))

    def _read(
        self, file: CatalogFile, columns: dict[str, str], *, num_rows: int, start: int = 0
    ) -> Iterator[tuple[pa.Array, pa.Table]]:
        return read(
            file,
            columns=columns,
            num_rows=num_rows,
            skip=self.skipped_rows.add,
            tell=self._tell,
            image_as=self.image_kind or "path",
            start=start,
        )

    def _tell(self, message: str) -> None:
        """Warn, once for all passes over the catalog, also those of workers that begin after it."""
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s", message)

    def _id_batches(self) -> Iterator[IdBatch]:
        self.skipped_rows = SkippedRows()
        for file in self.files:
            taken = {"product_id": self.columns["product_id"]}
            for numbers, table in self._read(file, taken, num_rows=ROWS_WITHOUT):
                yield IdBatch(file.path, numbers.to_numpy(), table.column("product_id").combine_chunks())

    def _without_bad_ids(self, table: pa.Table, *, start: int) -> pa.Table:
        if self.bad_ids is None or not len(self.bad_ids.positions):
            return table
        positions = self.bad_ids.positions
        inside = positions[np.searchsorted(positions, start) : np.searchsorted(positions, start + table.num_rows)]
        if not len(inside):
            return table
        is_good = np.ones(table.num_rows, dtype=bool)
        is_good[inside - start] = False
        return table.filter(pa.array(is_good))

    def _splits_categories(self) -> bool:
        return bool(self.config.category_separator) and "cat1" in self.columns

    def _split(self, paths: pa.ChunkedArray, *, num_rows: int) -> dict[str, pa.Array]:
        """cat1 at the separator, over those of cat1..3 that have no column of their own."""
        levels = [name for name in CATEGORY_LEVELS if name == "cat1" or name not in self.columns]
        split = split_path(paths, separator=self.config.category_separator or "", num_levels=len(levels))
        return dict(zip(levels, split, strict=True))

    def _type(self, name: str) -> pa.DataType:
        return pa.large_binary() if name == "image" and self.image_kind == "bytes" else pa.large_string()


def open_catalog(config: CatalogConfig) -> Catalog:
    """Find a catalog's files and columns.

    Raises:
        CatalogError: there is no such file, it cannot be read, it has no rows, or it lacks a column that is named in
            the config or that another of its files has, or product_id.
    """
    files = [open_file(path) for path in find_files(config.path)]
    columns = _columns(files, config)
    if "product_id" not in columns:
        raise CatalogError(
            f"{files[0].path}: no column 'product_id'; {_there(files[0])}; say in [catalog] which it is, "
            f'as in columns = {{ product_id = "..." }}, or let `prodemb init {config.path}` guess'
        )
    if all(is_empty(file) for file in files):
        raise CatalogError(f"{config.path}: found no product in it, wanted at least one row that can be read")
    return Catalog(config, files=files, columns=columns)


def _limited(tables: Iterator[pa.Table], *, num_rows: int) -> Iterator[pa.Table]:
    """The first `num_rows` rows; no table is read beyond them."""
    while num_rows > 0 and (table := next(tables, None)) is not None:
        yield table.slice(0, num_rows)
        num_rows -= table.num_rows


def _columns(files: Sequence[CatalogFile], config: CatalogConfig) -> dict[str, str]:
    """The mapping in effect, in the standard order: what the config names, and columns with standard names."""
    for name, own in config.columns.items():
        for file in _lacking(files, own) if own else []:
            close = difflib.get_close_matches(own, file.names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise CatalogError(f"{file.path}: no column {own!r}, which [catalog] names as {name}; {hint}{_there(file)}")
    found = {name: name for name in CATALOG_COLUMNS if any(name in file.names for file in files)}
    for name in found.keys() - config.columns.keys():
        for file in _lacking(files, name):
            raise CatalogError(
                f"{file.path}: no column {name!r}, which other files of the catalog have; {_there(file)}"
            )
    effective = found | config.columns
    return {name: effective[name] for name in CATALOG_COLUMNS if effective.get(name)}


def _lacking(files: Sequence[CatalogFile], column: str) -> list[CatalogFile]:
    """Files without a column. Rows of JSON lines may leave any key out, so there one row in all files is enough."""
    tables = [file for file in files if file.format != "jsonl"]
    if tables:
        return [file for file in tables if column not in file.names]
    return [] if any(holds_key(file, column) for file in files) else list(files)


def _image_kind(files: Sequence[CatalogFile], column: str | None) -> ImageKind | None:
    if column is None:
        return None
    kinds = [file.image_kinds.get(column, "path") for file in files]
    for (before, kind), file in zip(pairwise(kinds), files[1:], strict=True):
        if kind != before:
            raise CatalogError(
                f"{file.path}: column {column!r} holds {kind}, and in other files of the catalog {before}"
            )
    return kinds[0]


def _there(file: CatalogFile) -> str:
    return f"columns there: {', '.join(file.names)}" if file.names else "it has no columns"
