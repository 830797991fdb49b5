"""Reading one shard: vectors as views of the mapped file, everything else as polars frames."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prodemb.core.bounded import MAX_TABLE_BYTES, check_footer
from prodemb.core.errors import ShardError
from prodemb.core.features import GOLD_LABELS, Feature, error_column
from prodemb.core.text import one_line
from prodemb.shards.file import ShardFile
from prodemb.shards.format import HASH_BYTES, ROWS_HASH_KEY, ShardRecord, ShardSchema
from prodemb.shards.labels import GivenLabels

_EXPONENT = 0x7C00
"""All its bits are set in a float16 that is infinite or not a number."""

Vectors = npt.NDArray[np.float16]


class Shard:
    """One shard, mapped. Vectors stay on disk until they are touched; memory is given back by dropping the object."""

    def __init__(self, file: ShardFile, *, record: ShardRecord, labels: GivenLabels | None = None) -> None:
        """Map the file, which may be closed then, and hold it against its record.

        Args:
            labels: what `frame` shows as gold labels in place of the file's own.

        Raises:
            ShardError: the file is truncated, not a shard or holds another number of products.
        """
        path = self.path = file.place
        self._labels = labels
        self.num_products = record.num_products
        self._map = file.mapped(record=record)
        try:
            check_footer(self._map)
            plain = pq.ParquetFile(pa.BufferReader(self._map))
            self._columns = plain.schema_arrow
            texts = [field.name for field in self._columns if pa.types.is_string(field.type)]
            # As dictionaries, texts take no more than the file does, until it is known how long they are.
            self._file = pq.ParquetFile(
                pa.BufferReader(self._map), metadata=plain.metadata, read_dictionary=texts, pre_buffer=False
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._unreadable(error) from None
        self._metadata = self._file.metadata
        self.schema = ShardSchema.from_metadata(self._metadata.metadata, path=path)
        if self._metadata.num_rows != record.num_products:
            found_rows = self._metadata.num_rows
            raise ShardError(f"{path}: found {found_rows:,} products, wanted {record.num_products:,}; embed again")
        if self._metadata.metadata.get(ROWS_HASH_KEY) != record.rows_hash.encode():
            raise ShardError(f"{path}: made of other catalog rows than the manifest says; embed again to redo it")

    def vectors(self, feature: Feature) -> Vectors:
        """The feature's vectors, (n, dim) float16, read-only: a view of the mapped file where its layout allows it."""
        if feature not in self.schema.features:
            raise ShardError(f"{self.path}: has no feature {feature!r}; found {', '.join(self.schema.features)}")
        mapped = self._mapped(feature)
        if mapped is not None:
            return mapped
        column = self._read([feature]).column(0).combine_chunks()
        flat = np.frombuffer(column.buffers()[1], dtype="<f2")
        dim = self.schema.dim_of(feature)
        start = column.offset * dim
        return flat[start : start + self.num_products * dim].reshape(self.num_products, dim)

    def has_columns(self) -> bool:
        """Whether the columns are those that the schema says, in their order and types."""
        return bool(self._columns.equals(self.schema.arrow(rows_hash="")))

    def check_finite(self) -> None:
        """Raise ShardError where a vector holds a number that is none."""
        for feature in self.schema.features:
            if (self.vectors(feature).view("<u2") & _EXPONENT == _EXPONENT).any():
                raise ShardError(f"{self.path}: a {feature} vector is not finite; embed again to redo it")

    def present(self, feature: Feature) -> npt.NDArray[np.bool_]:
        """Whether each product has the feature, (n,) bool."""
        return self.frame([error_column(feature)]).to_series().is_null().to_numpy()

    def hashes(self, column: str) -> npt.NDArray[np.uint8]:
        """A column of 16-byte hashes, (n, 16) uint8; zeros where there is none."""
        values = self._read([column]).column(0).combine_chunks().fill_null(bytes(HASH_BYTES))
        flat = np.frombuffer(values.buffers()[1], dtype=np.uint8)
        start = values.offset * HASH_BYTES
        return flat[start : start + self.num_products * HASH_BYTES].reshape(self.num_products, HASH_BYTES)

    def frame(self, columns: Sequence[str], *, rows: npt.NDArray[np.integer] | None = None) -> pl.DataFrame:
        """Some columns as a polars frame of n rows.

        Args:
            rows: (m,) indices, for a frame of these rows alone, which keeps no text of the others in memory.
        """
        labels = None if {*columns}.isdisjoint(GOLD_LABELS) else self._labels
        table = self._read(columns if labels is None else [*dict.fromkeys([*columns, "product_id"])])
        # Rows that polars takes from a frame keep all of its text in memory.
        frame = pl.from_arrow(table if rows is None else table.take(pa.array(rows)))
        assert isinstance(frame, pl.DataFrame)
        return (frame if labels is None else labels.onto(frame)).select(columns)

    def _read(self, columns: Sequence[str]) -> pa.Table:
        try:
            table = _decoded(self._file.read(columns=list(columns)))
            table.validate(full=True)  # texts that are not UTF-8 among others
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._unreadable(error) from None
        if table.num_rows != self.num_products:
            raise ShardError(
                f"{self.path}: found {table.num_rows:,} products, wanted {self.num_products:,}; embed again"
            )
        return table

    def _unreadable(self, error: Exception) -> ShardError:
        return ShardError(f"{self.path}: not readable as Parquet ({one_line(error)}); embed again to redo it")

    def _check_statistics(self, feature: Feature) -> None:
        """Read one row: where a column's statistics are damaged, pyarrow 26 ends the process when asked for them."""
        try:
            next(self._file.iter_batches(1, row_groups=[0], columns=[feature]), None)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None

    def _mapped(self, feature: Feature) -> Vectors | None:
        """The column chunk's values mapped from the file, or None if they are not one plain uncompressed page."""
        if self._metadata.num_row_groups != 1:
            return None
        self._check_statistics(feature)
        index = self._metadata.schema.names.index(feature)
        chunk = self._metadata.row_group(0).column(index)
        num_bytes = self.num_products * 2 * self.schema.dim_of(feature)
        plain = chunk.compression == "UNCOMPRESSED" and not chunk.has_dictionary_page
        required = self._metadata.schema.column(index).max_definition_level == 0
        if not (plain and required and "PLAIN" in chunk.encodings):
            return None
        header = self._map[chunk.data_page_offset : chunk.data_page_offset + 16]
        if first_page_bytes(header) != num_bytes:
            return None
        end = chunk.data_page_offset + chunk.total_compressed_size
        if not num_bytes <= end <= len(self._map):
            return None
        values = np.frombuffer(self._map, dtype="<f2", count=num_bytes // 2, offset=end - num_bytes)
        return values.reshape(self.num_products, self.schema.dim_of(feature))


def _decoded(table: pa.Table) -> pa.Table:
    """A table with texts in place of dictionaries. Raises ValueError where they take more than is read of a table."""
    coded = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    chunks = [chunk for name in coded for chunk in table[name].chunks]
    lengths = (pc.sum(pc.take(pc.binary_length(each.dictionary), each.indices)).as_py() or 0 for each in chunks)
    if (num_bytes := sum(lengths)) > MAX_TABLE_BYTES:
        raise ValueError(f"found {num_bytes:,} bytes of texts, wanted at most {MAX_TABLE_BYTES:,}")
    for name in coded:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(table[name].type.value_type))
    return table


def first_page_bytes(header: bytes) -> int | None:
    """The uncompressed size of the page that starts with `header`, or None if this is no data page (v1).

    A Parquet page header is a Thrift compact struct: field 1 (i32) the page type, 0 for a data page; field 2 (i32)
    the uncompressed size. Both are zigzag varints behind the byte 0x15.
    Source: https://github.com/apache/parquet-format, parquet.thrift, PageHeader.
    """
    if len(header) < 4 or header[0] != 0x15 or header[1] != 0 or header[2] != 0x15:
        return None
    value = 0
    for position, byte in enumerate(header[3:]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value >> 1
    return None
