"""Parquet and Arrow files, whose columns keep their types."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.source import BATCH_BYTES, MAX_ROW_BYTES, RowBatch, Source, unique_names
from prodemb.core.errors import CatalogError
from prodemb.core.text import counted

BUFFER_BYTES = 1 << 20
"""Parquet is read through a buffer of this size a column, or a whole row group of pictures would be in memory."""
MAX_REPEATED_BYTES = 128 << 20
"""What a batch may take at the very worst, where values that stand once may be those of many rows. Of lists and objects
pyarrow reads a thousand rows at least."""


class ParquetSource(Source):
    """A Parquet file."""

    def __init__(self, packed: Packed) -> None:
        with packed.open_on_disk() as path, _parquet(path, packed.path) as file:
            names = file.schema_arrow.names
            super().__init__(packed.path, format="parquet", columns=unique_names(names), compression=packed.compression)
            self.num_rows = file.metadata.num_rows
            self.schema = pa.schema(
                [field.with_name(name) for field, name in zip(file.schema_arrow, self.columns, strict=True)]
            )
        self._names = dict(zip(self.columns, names, strict=True))
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise CatalogError(f"{packed.path}: found the column {twice!r} twice, wanted each column name once")
        self._packed = packed

    def _read(self, columns: list[str], *, max_rows: int) -> Iterator[RowBatch]:
        own = [self._names[name] for name in columns]
        row = 1
        with self._packed.open_on_disk() as path, _parquet(path, self.path, coded=own) as file:
            try:
                for batch in file.iter_batches(batch_size=_batch_rows(file, path, own, max_rows), columns=own):
                    whole = pa.Table.from_batches([batch]).select(own).rename_columns(columns)
                    for coded in _pieces(whole) if columns else [pa.table({"": pa.nulls(batch.num_rows)})]:
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


class ArrowSource(Source):
    """An Arrow IPC file (Feather among them) or stream."""

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        with self._opened() as (schema, _):
            super().__init__(
                packed.path, format="arrow", columns=unique_names(schema.names), compression=packed.compression
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
                    for coded in _pieces(whole.slice(first, max_rows)):
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
        if _is_text_or_bytes(column.type):
            lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
            keep &= lengths <= MAX_ROW_BYTES
    for row in rows[~keep]:
        source._skip(int(row), f"longer than {MAX_ROW_BYTES:,} bytes")
    return RowBatch(rows[keep], table.filter(pa.array(keep))) if not keep.all() else RowBatch(rows, table)


def _lengths(coded: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """Bytes of each value of a column with a dictionary, of which no more is looked at than is used; 0 where null."""
    dictionary, indices = coded.dictionary, coded.indices
    if not len(dictionary):
        return np.zeros(len(coded), np.int64)
    is_large = pa.types.is_large_string(dictionary.type) or pa.types.is_large_binary(dictionary.type)
    offsets = np.frombuffer(dictionary.buffers()[1], np.int64 if is_large else np.int32)[dictionary.offset :]
    places = pc.fill_null(indices, 0).to_numpy(zero_copy_only=False)
    lengths: npt.NDArray[np.int64] = offsets[places + 1].astype(np.int64) - offsets[places]
    lengths[indices.is_null().to_numpy(zero_copy_only=False)] = 0
    return lengths


def _is_text_or_bytes(kind: pa.DataType) -> bool:
    are = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
    return any(is_kind(kind) for is_kind in are)


def _batch_rows(file: pq.ParquetFile, path: Path, columns: list[str], max_rows: int) -> int:
    """Rows of a batch so that it takes about `BATCH_BYTES` at the largest row group's mean, and no more than it may.

    A value that stands once in a file may be that of many rows: by a dictionary, or as the beginning of others. Columns
    of texts with a dictionary stay coded until their lengths are known.
    """
    metadata = file.metadata
    wanted = set(columns)
    coded = _coded_columns(metadata, columns)
    largest = 1.0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        chunks = [rows.column(each) for each in range(rows.num_columns)]
        chunks = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] in wanted]
        num_rows = max(1, rows.num_rows)
        mean = sum(chunk.total_uncompressed_size for chunk in chunks) / num_rows
        worst = sum(
            _longest(path, chunk) * max(1, chunk.num_values / num_rows)
            for chunk in chunks
            if chunk.path_in_schema not in coded and _may_repeat(chunk)
        )
        largest = max(largest, mean, worst * BATCH_BYTES / MAX_REPEATED_BYTES)
    return int(max(1, min(max_rows, BATCH_BYTES / largest)))


def _may_repeat(chunk: pq.ColumnChunkMetaData) -> bool:
    """Whether long values of many rows may stand once in a column of texts or bytes."""
    return chunk.physical_type == "BYTE_ARRAY" and not {*chunk.encodings} <= {"PLAIN", "RLE", "BIT_PACKED"}


def _longest(path: Path, chunk: pq.ColumnChunkMetaData) -> int:
    """What the longest value that may repeat takes at most: as much as the dictionary, or else as the whole column."""
    if not chunk.has_dictionary_page or "DELTA_BYTE_ARRAY" in chunk.encodings:
        return int(chunk.total_uncompressed_size)
    with path.open("rb") as file:
        file.seek(chunk.dictionary_page_offset)
        head = file.read(16)
    # Thrift's compact form: two fields of 32 bits, the page's type and its size when unpacked.
    size = re.match(rb"\x15[\x80-\xff]*[\x00-\x7f]\x15([\x80-\xff]*[\x00-\x7f])", head, re.DOTALL)
    if size is None:
        return int(chunk.total_uncompressed_size)
    return sum((int(byte) & 0x7F) << (7 * place) for place, byte in enumerate(size[1])) >> 1


def _coded_columns(metadata: pq.FileMetaData, columns: Sequence[str]) -> list[str]:
    """The columns of texts or bytes that have a dictionary somewhere, those in lists and objects not counted."""
    found: dict[str, None] = {}
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        for chunk in map(rows.column, range(rows.num_columns)):
            if chunk.path_in_schema in columns and chunk.has_dictionary_page and chunk.physical_type == "BYTE_ARRAY":
                found[chunk.path_in_schema] = None
    return list(found)


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """The same rows in tables that take about `BATCH_BYTES` once their dictionaries are values, or have one row."""
    lengths = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        if pa.types.is_dictionary(column.type) and _is_text_or_bytes(column.type.value_type):
            for start, chunk in zip(np.cumsum([0, *map(len, column.chunks)]), column.chunks, strict=False):
                lengths[start : start + len(chunk)] += _lengths(chunk)
    if lengths.sum() <= BATCH_BYTES:
        yield table
        return
    numbers = np.cumsum(lengths) // BATCH_BYTES
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), table.num_rows]
    for first, last in pairwise(bounds):
        yield table.slice(first, last - first)


def _parquet(path: Path, shown: Path, *, coded: Sequence[str] = ()) -> pq.ParquetFile:
    """The open file; of `coded` the columns of texts that have dictionaries come as dictionaries."""
    file = _opened_parquet(path, shown)
    if not (columns := _coded_columns(file.metadata, coded)):
        return file
    with file:
        metadata = file.metadata
    return pq.ParquetFile(path, metadata=metadata, read_dictionary=columns, buffer_size=BUFFER_BYTES, pre_buffer=False)


def _opened_parquet(path: Path, shown: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
        if not any(_has_dictionary(field.type) for field in file.schema_arrow):
            return file
        with file:
            metadata = _without_arrow_types(file.metadata)
        return pq.ParquetFile(path, metadata=metadata, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"{shown}: not a Parquet file that can be read: {one_line(error)}") from error


def _has_dictionary(kind: pa.DataType) -> bool:
    """Whether a type is a dictionary, or holds one."""
    inside = (kind.field(place).type for place in range(kind.num_fields))
    return bool(pa.types.is_dictionary(kind)) or any(map(_has_dictionary, inside))


def _without_arrow_types(metadata: pq.FileMetaData) -> pq.FileMetaData:
    """A file's metadata without Arrow's own column types, so that a column reads as the values that it has.

    To give a dictionary the index type that it was written with (int8 is usual for pandas' categories) pyarrow 26 casts
    its values, and one that is not UTF-8 would end the run; dictionaries in lists it does not read at all.
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
        if pa.types.is_dictionary(field.type):
            kind = field.type.value_type if schema is None else schema.field(field.name).type
            table = table.set_column(place, field.name, table.column(place).cast(kind))
    return table


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
