"""Parquet and Arrow files, whose columns keep their types."""

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prodemb.catalog.formats.coded import holds, is_text_or_bytes, pieces
from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.parquet_pages import CODED, ColumnChunk, Pages, column_chunks, pages_of
from prodemb.catalog.formats.source import BATCH_BYTES, MAX_ROW_BYTES, RowBatch, Source, unique_names
from prodemb.core.errors import CatalogError
from prodemb.core.text import counted, printable
from prodemb.storage.address import Place

BUFFER_BYTES = 1 << 20
"""Parquet is read through a buffer of this size a column, or a whole row group of pictures would be in memory."""
MAX_REPEATED_BYTES = 128 << 20
"""What a batch may take at the very worst, where values that stand once may be those of many rows."""
MAX_PAGE_BYTES = 1 << 30
"""Most bytes that one page of each column may take together: pages are unpacked whole."""


class ParquetSource(Source):
    """A Parquet file."""

    def __init__(self, packed: Packed) -> None:
        with packed.open_on_disk() as path, _parquet(path, packed.path) as file:
            names = file.schema_arrow.names
            self._chunks = _column_chunks(path, packed.path)
            self._leaves = _leaves(file)
            super().__init__(packed.file, format="parquet", columns=unique_names(names), compression=packed.compression)
            self.num_rows = file.metadata.num_rows
            self.schema = pa.schema(
                [field.with_name(name) for field, name in zip(file.schema_arrow, self.columns, strict=True)]
            )
        self._names = dict(zip(self.columns, names, strict=True))
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise CatalogError(f"{packed.path}: found the column {twice!r} twice, wanted each column name once")
        self._packed = packed
        self._surveyed: dict[ColumnChunk, Pages] = {}

    def _pages(self, path: Path, columns: Sequence[str]) -> dict[ColumnChunk, Pages]:
        """What the pages of some columns say of themselves.

        Raises:
            CatalogError: they cannot be read, or would take more memory than they may.
        """
        wanted = {number for number, leaf in enumerate(self._leaves) if leaf.column in columns}
        chunks = [chunk for chunk in self._chunks if chunk.leaf in wanted]
        try:
            with path.open("rb") as file:
                self._surveyed |= {each: pages_of(file, each) for each in chunks if each not in self._surveyed}
        except OSError as error:
            raise CatalogError(f"{self.path}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise CatalogError(f"{self.path}: damaged Parquet: {error}") from error
        # Of values of a fixed size pyarrow makes room for a thousand at least.
        largest = {number: 1024 * self._leaves[number].width for number in wanted}
        for chunk in chunks:
            largest[chunk.leaf] = max(largest[chunk.leaf], self._surveyed[chunk].largest)
        if (num_bytes := sum(largest.values())) > MAX_PAGE_BYTES:
            worst = max(largest, key=largest.__getitem__)
            raise CatalogError(
                f"{self.path}: found pages of {num_bytes:,} bytes unpacked, {largest[worst]:,} of them of column "
                f"{printable(self._leaves[worst].path)!r}, wanted at most {MAX_PAGE_BYTES:,}: "
                "write it with smaller pages"
            )
        return {chunk: self._surveyed[chunk] for chunk in chunks}

    def _batch_rows(self, pages: dict[ColumnChunk, Pages], max_rows: int) -> int:
        """Rows of a batch so that it takes about `BATCH_BYTES` in the largest row group, and no more than it may.

        A value that stands once in a file may be that of many rows: by a dictionary, or as the beginning of others.
        Columns that can be read as a dictionary stay coded until their lengths are known.
        """
        coded = {*self._coded(pages)}
        largest = 1.0
        for _, group in groupby(pages, key=lambda chunk: chunk.row_group):
            mean = worst = 0.0
            for chunk in group:
                leaf, per_row = self._leaves[chunk.leaf], chunk.num_values / max(1, chunk.num_rows)
                mean += max(sum(pages[chunk].sizes) / max(1, chunk.num_rows), leaf.width * per_row)
                if chunk.is_bytes and leaf.path not in coded and pages[chunk].may_repeat:
                    worst += pages[chunk].largest * max(1, per_row)
            largest = max(largest, mean, worst * BATCH_BYTES / MAX_REPEATED_BYTES)
        return int(max(1, min(max_rows, BATCH_BYTES / largest)))

    def _coded(self, pages: dict[ColumnChunk, Pages]) -> list[str]:
        """The leaves of texts or bytes that have a dictionary somewhere, and can be read as one everywhere."""
        have = {chunk.leaf for chunk in pages if chunk.is_bytes and pages[chunk].has_dictionary}
        cannot = {chunk.leaf for chunk in pages if not pages[chunk].encodings <= CODED}
        return [self._leaves[number].path for number in sorted(have - cannot)]

    def _read_from(self, columns: list[str], *, max_rows: int, start: int) -> tuple[int, Iterator[RowBatch]]:
        num_groups, num_rows = self._groups_before(start, columns)
        return num_rows, self._read(columns, max_rows=max_rows, first_group=num_groups, num_passed=num_rows)

    def _groups_before(self, row: int, columns: list[str]) -> tuple[int, int]:
        """How many row groups need not be read where the rows before `row` are left out, and their rows.

        All of these could be read: none has room for a row that is too long.
        """
        num_groups = num_rows = 0
        if not row or self.compression is not None:
            return num_groups, num_rows
        with self._packed.open_on_disk() as path:
            pages = self._pages(path, [self._names[name] for name in columns])
        for _, group in groupby(pages, key=lambda chunk: chunk.row_group):
            chunks = list(group)
            if num_rows + chunks[0].num_rows > row or any(pages[each].largest > MAX_ROW_BYTES for each in chunks):
                break
            num_groups, num_rows = num_groups + 1, num_rows + chunks[0].num_rows
        return num_groups, num_rows

    def _read(
        self, columns: list[str], *, max_rows: int, first_group: int = 0, num_passed: int = 0
    ) -> Iterator[RowBatch]:
        own = [self._names[name] for name in columns]
        row = num_passed + 1
        with ExitStack() as stack:
            path = stack.enter_context(self._packed.open_on_disk())
            pages = self._pages(path, own)
            file = stack.enter_context(_parquet(path, self.path, coded=self._coded(pages)))
            num_rows = self._batch_rows(pages, max_rows)
            # Of two row groups pyarrow 26 makes no batch of lists that have dictionaries.
            groups = ([group] for group in range(first_group, file.num_row_groups))
            batches = chain.from_iterable(file.iter_batches(num_rows, row_groups=each, columns=own) for each in groups)
            try:
                for batch in batches:
                    whole = pa.Table.from_batches([batch]).select(own).rename_columns(columns)
                    for coded in pieces(whole) if columns else [pa.table({"": pa.nulls(batch.num_rows)})]:
                        table = _plain(coded, schema=self.schema)
                        numbers = np.arange(row, row + table.num_rows, dtype=np.int64)
                        row += table.num_rows
                        yield _without_long_rows(self, numbers, table)
            except (pa.ArrowException, OSError) as error:
                raise CatalogError(f"{self.path}: damaged Parquet after row {row - 1}: {one_line(error)}") from error
            # Where a column ends early pyarrow's batches do too, and say nothing.
            if row - 1 != file.metadata.num_rows:
                wanted = counted(file.metadata.num_rows, "row")
                raise CatalogError(
                    f"{self.path}: damaged Parquet: a column ends after row {row - 1:,}, wanted {wanted}"
                )


@dataclass(frozen=True)
class _Leaf:
    """What holds values in a Parquet file's schema."""

    column: str
    path: str
    """The column, and the way to the values in lists and objects: `image.bytes`."""
    width: int
    """Bytes of each value where all have as many; 0 elsewhere."""


def _leaves(file: pq.ParquetFile) -> list[_Leaf]:
    columns = [field.name for field in file.schema_arrow for _ in range(_num_leaves(field.type))]
    leaves = map(file.metadata.schema.column, range(len(columns)))
    return [_Leaf(column, leaf.path, max(0, leaf.length)) for column, leaf in zip(columns, leaves, strict=True)]


def _num_leaves(kind: pa.DataType) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _num_leaves(kind.storage_type)
    return sum(_num_leaves(kind.field(place).type) for place in range(kind.num_fields)) or 1


class ArrowSource(Source):
    """An Arrow IPC file (Feather among them) or stream."""

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        with self._opened() as (schema, _):
            super().__init__(
                packed.file, format="arrow", columns=unique_names(schema.names), compression=packed.compression
            )
            self.schema = pa.schema([field.with_name(name) for field, name in zip(schema, self.columns, strict=True)])

    @contextmanager
    def _opened(self) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        path = self._packed.path
        try:
            with ExitStack() as stack:
                place = stack.enter_context(self._packed.open_on_disk())
                # Not mapped: a file that is cut off while it is read must be an error, not the end of the process.
                file = stack.enter_context(pa.OSFile(str(place), "rb"))
                if file.read(6) == b"ARROW1":
                    file.seek(0)
                    reader = stack.enter_context(pa.ipc.open_file(file))
                    yield reader.schema, (reader.get_batch(each) for each in range(reader.num_record_batches))
                else:
                    file.seek(0)
                    reader = stack.enter_context(pa.ipc.open_stream(file))
                    yield reader.schema, iter(reader)
        except (pa.ArrowException, OSError) as error:
            raise CatalogError(f"{path}: not an Arrow file that can be read: {one_line(error)}") from error

    def _read(self, columns: list[str], *, max_rows: int) -> Iterator[RowBatch]:
        row = 1
        with self._opened() as (_, batches):
            for batch in batches:
                # A damaged file may say of its values that they lie outside of it.
                batch.validate(full=True)
                whole = pa.Table.from_batches([batch]).rename_columns(list(self.columns)).select(columns)
                if not columns:
                    whole = pa.table({"": pa.nulls(batch.num_rows)})
                for first in range(0, batch.num_rows, max_rows):
                    for coded in pieces(whole.slice(first, max_rows)):
                        table = _plain(coded, schema=None)
                        numbers = np.arange(row, row + table.num_rows, dtype=np.int64)
                        row += table.num_rows
                        yield _without_long_rows(self, numbers, table)


def _without_long_rows(source: Source, rows: Any, table: pa.Table) -> RowBatch:
    """A batch without the rows that hold a text or bytes of more than `MAX_ROW_BYTES`."""
    if table.nbytes <= MAX_ROW_BYTES:
        return RowBatch(rows, table)
    keep = np.ones(table.num_rows, bool)
    for column in table.columns:
        if is_text_or_bytes(column.type):
            lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
            keep &= lengths <= MAX_ROW_BYTES
    for row in rows[~keep]:
        source._skip(int(row), f"longer than {MAX_ROW_BYTES:,} bytes")
    return RowBatch(rows[keep], table.filter(pa.array(keep))) if not keep.all() else RowBatch(rows, table)


def _parquet(path: Path, shown: Place, *, coded: Sequence[str] = ()) -> pq.ParquetFile:
    """The open file; the columns `coded` come as dictionaries."""
    try:
        file = pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
        is_plain = not any(holds(field.type, _is_refused) for field in file.schema_arrow)
        if is_plain and not coded:
            return file
        with file:
            metadata = file.metadata if is_plain else _without_arrow_types(file.metadata)
        return pq.ParquetFile(
            path, metadata=metadata, read_dictionary=coded, buffer_size=BUFFER_BYTES, pre_buffer=False
        )
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"{shown}: not a Parquet file that can be read: {one_line(error)}") from error


def _column_chunks(path: Path, shown: Place) -> list[ColumnChunk]:
    try:
        with path.open("rb") as file:
            return column_chunks(file)
    except ValueError as error:
        raise CatalogError(f"{shown}: not a Parquet file that can be read: {error}") from error


def _is_refused(kind: pa.DataType) -> bool:
    """Whether pyarrow 26 cannot give values that are read as a dictionary this type."""
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


def _without_arrow_types(metadata: pq.FileMetaData) -> pq.FileMetaData:
    """A file's metadata without Arrow's own column types, so that a column reads as the values that it has.

    To give a dictionary the index type that it was written with (int8 is usual for pandas' categories) pyarrow 26 casts
    its values, and one that is not UTF-8 would end the run; dictionaries in lists it does not read at all, and it makes
    no views of a dictionary.
    """
    footer = io.BytesIO()
    metadata.write_metadata_file(footer)
    # A key of the same length that nobody looks for; the footer's lengths stay right.
    return pq.read_metadata(io.BytesIO(footer.getvalue().replace(b"ARROW:schema", b"ARROW-schema")))


def _plain(table: pa.Table, *, schema: pa.Schema | None) -> pa.Table:
    """A table whose dictionaries are the values that they stand for, so that batches of one file are alike.

    Args:
        schema: the types that the values get; those of the dictionaries where None.
    """
    for place, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if schema is not None and holds(field.type, pa.types.is_dictionary):
            kind = schema.field(field.name).type
        if kind != field.type:
            table = table.set_column(place, field.name, table.column(place).cast(kind))
    return table


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
