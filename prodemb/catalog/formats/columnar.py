"""Parquet and Arrow files, whose columns keep their types."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.source import BATCH_BYTES, MAX_ROW_BYTES, RowBatch, Source, unique_names
from prodemb.core.errors import CatalogError
from prodemb.core.text import counted

BUFFER_BYTES = 1 << 20
"""Parquet is read through a buffer of this size a column, or a whole row group of pictures would be in memory."""


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
        with self._packed.open_on_disk() as path, _parquet(path, self.path) as file:
            try:
                for batch in file.iter_batches(batch_size=_batch_rows(file, own, max_rows), columns=own):
                    table = pa.Table.from_batches([batch]).select(own).rename_columns(columns)
                    table = table if columns else pa.table({"": pa.nulls(batch.num_rows)})
                    numbers = np.arange(row, row + batch.num_rows, dtype=np.int64)
                    row += batch.num_rows
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
                    table = _plain(whole.slice(first, max_rows))
                    numbers = np.arange(row, row + table.num_rows, dtype=np.int64)
                    row += table.num_rows
                    yield _without_long_rows(self, numbers, table)


def _without_long_rows(source: Source, rows: Any, table: pa.Table) -> RowBatch:
    """A batch without the rows that hold a text or bytes of more than `MAX_ROW_BYTES`."""
    if table.nbytes <= MAX_ROW_BYTES:
        return RowBatch(rows, table)
    keep = np.ones(table.num_rows, bool)
    for column in table.columns:
        kind = column.type
        if (
            pa.types.is_binary(kind)
            or pa.types.is_large_binary(kind)
            or pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
        ):
            lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
            keep &= lengths <= MAX_ROW_BYTES
    for row in rows[~keep]:
        source._skip(int(row), f"longer than {MAX_ROW_BYTES:,} bytes")
    return RowBatch(rows[keep], table.filter(pa.array(keep))) if not keep.all() else RowBatch(rows, table)


def _batch_rows(file: pq.ParquetFile, columns: list[str], max_rows: int) -> int:
    """Rows of a batch so that it takes about `BATCH_BYTES` at the largest row group's mean."""
    metadata = file.metadata
    wanted = set(columns)
    largest = 1.0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        size = sum(
            rows.column(each).total_uncompressed_size
            for each in range(rows.num_columns)
            if rows.column(each).path_in_schema.split(".")[0] in wanted
        )
        largest = max(largest, size / max(1, rows.num_rows))
    return int(max(1, min(max_rows, BATCH_BYTES / largest)))


def _parquet(path: Path, shown: Path) -> pq.ParquetFile:
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


def _plain(table: pa.Table) -> pa.Table:
    """A table whose dictionaries are the values that they stand for, so that batches of one file are alike."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
