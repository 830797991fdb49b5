"""Reading shards: vectors as views of the mapped file, everything else as polars frames."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.errors import FingerprintError, ShardError
from prodemb.core.features import GOLD_LABELS, TEXT_FEATURES, Feature, error_column, raw_column
from prodemb.core.text import counted
from prodemb.shards.checked import Checked
from prodemb.shards.file import ShardFile, held_files
from prodemb.shards.format import (
    HASH_BYTES,
    ROWS_HASH_KEY,
    Manifest,
    ShardRecord,
    ShardSchema,
    has_manifest,
    is_replaced,
    read_manifest,
)

Vectors = npt.NDArray[np.float16]

_TRIES = 3
"""How often a set is opened that is updated just then."""


@dataclass(frozen=True, kw_only=True)
class Coded:
    """A text column of n products as its distinct values, so that it takes four bytes a product."""

    values: pl.Series
    """(k,) string, in the order in which they come first."""
    codes: npt.NDArray[np.int32]
    """(n,) which of them each product has; -1 for none."""

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(k,) how many products have each."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    def mapped(self, numbers: Iterable[int], *, none: int) -> npt.NDArray[np.int32]:
        """For each product the number of its value, (n,).

        Args:
            numbers: one for each of the k values.
            none: where there is no value.
        """
        return np.array([*numbers, none], dtype=np.int32)[self.codes]


class Shard:
    """One shard, mapped. Vectors stay on disk until they are touched; memory is given back by dropping the object."""

    def __init__(self, file: ShardFile, *, record: ShardRecord) -> None:
        """Map the file, which may be closed then, and hold it against its record.

        Raises:
            ShardError: the file is truncated, not a shard or holds another number of products.
        """
        path = self.path = file.path
        self.num_products = record.num_products
        self._map = file.mapped(record=record)
        try:
            self._file = pq.ParquetFile(pa.BufferReader(self._map))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ShardError(f"{path}: not readable as Parquet ({error}); embed again to redo it") from None
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
        column = self._file.read(columns=[feature]).column(0).combine_chunks()
        flat = np.frombuffer(column.buffers()[1], dtype="<f2")
        dim = self.schema.dim_of(feature)
        start = column.offset * dim
        return flat[start : start + self.num_products * dim].reshape(self.num_products, dim)

    def has_columns(self) -> bool:
        """Whether the columns are those that the schema says, in their order and types."""
        return bool(self._file.schema_arrow.equals(self.schema.arrow(rows_hash="")))

    def present(self, feature: Feature) -> npt.NDArray[np.bool_]:
        """Whether each product has the feature, (n,) bool."""
        return self.frame([error_column(feature)]).to_series().is_null().to_numpy()

    def hashes(self, column: str) -> npt.NDArray[np.uint8]:
        """A column of 16-byte hashes, (n, 16) uint8; zeros where there is none."""
        values = self._file.read(columns=[column]).column(0).combine_chunks().fill_null(bytes(HASH_BYTES))
        flat = np.frombuffer(values.buffers()[1], dtype=np.uint8)
        start = values.offset * HASH_BYTES
        return flat[start : start + self.num_products * HASH_BYTES].reshape(self.num_products, HASH_BYTES)

    def frame(self, columns: Sequence[str], *, rows: npt.NDArray[np.integer] | None = None) -> pl.DataFrame:
        """Some columns as a polars frame of n rows.

        Args:
            rows: (m,) places, for a frame of these rows alone, which holds on to no text of the others.
        """
        table = self._file.read(columns=list(columns))
        # Rows that polars takes from a frame keep all of its text in memory.
        frame = pl.from_arrow(table if rows is None else table.take(pa.array(rows)))
        assert isinstance(frame, pl.DataFrame)
        return frame.select(columns)

    def _mapped(self, feature: Feature) -> Vectors | None:
        """The column chunk's values as they lie in the file, or None if they are not one plain uncompressed page."""
        if self._metadata.num_row_groups != 1:
            return None
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
        values = np.frombuffer(self._map, dtype="<f2", count=num_bytes // 2, offset=end - num_bytes)
        return values.reshape(self.num_products, self.schema.dim_of(feature))


class ShardSet:
    """All recorded shards of one model, in catalog order, as they were when the set was opened."""

    def __init__(self, folder: Path, *, manifest: Manifest, files: Mapping[str, ShardFile]) -> None:
        """The set that a manifest lists.

        Args:
            files: its files by name; one that is not there is opened each time it is read.
        """
        self.folder = folder
        self.manifest = manifest
        self.schema = manifest.shard_schema
        self.num_products = manifest.num_products
        self._files = files
        self._checked = Checked.read(folder)

    def shards(self) -> Iterator[Shard]:
        """Map the shards one after another.

        A file that is not just as it was when its checksum was last found right is hashed first.

        Raises:
            ShardError: a file is missing, truncated, altered or not a shard; or an update has replaced the set since it
                was opened, and its files were more than the process may hold open.
            FingerprintError: a file was made by another model than the manifest says.
        """
        for record in self.manifest.shards:
            try:
                shard = self._opened(record)
            except ShardError as error:
                if is_replaced(self.folder, manifest=self.manifest):
                    raise ShardError(f"{self.folder}: was updated while it was read; run again") from error
                raise
            yield shard

    def _opened(self, record: ShardRecord) -> Shard:
        file = self._files.get(record.name) or ShardFile(self.folder / record.name)
        shard = Shard(file, record=record)
        if shard.schema.fingerprint != self.schema.fingerprint:
            raise FingerprintError(
                f"{shard.path}: made by {shard.schema.model} ({shard.schema.fingerprint}), but its set by "
                f"{self.schema.model} ({self.schema.fingerprint}); embed again"
            )
        if not shard.schema.like(self.schema):
            raise ShardError(f"{shard.path}: has other columns than its set; embed again to redo it")
        self._checked.hold(record, file=file)
        return shard

    def vectors(self, feature: Feature) -> Vectors:
        """The feature's vectors of all products, (n, dim) float16: a view of a single shard, a copy of several."""
        if len(self.manifest.shards) == 1:
            return next(self.shards()).vectors(feature)
        out = np.empty((self.num_products, self.schema.dim_of(feature)), dtype="<f2")
        start = 0
        for shard in self.shards():
            out[start : start + shard.num_products] = shard.vectors(feature)
            start += shard.num_products
        return out

    def present(self, feature: Feature) -> npt.NDArray[np.bool_]:
        """Whether each product has the feature, (n,) bool."""
        return np.concatenate([shard.present(feature) for shard in self.shards()])

    def text_vectors(self, feature: Feature) -> tuple[list[str], Vectors]:
        """The distinct supplied texts of a feature, and for each the vector of the first product that carries it.

        Texts without a vector are left out, and so is everything where the shards lack the feature. Memory grows with
        the distinct texts, not with the products.

        Returns:
            n texts in catalog order, and their vectors (n, dim) float16.
        """
        texts: dict[str, None] = {}
        found: list[Vectors] = [np.empty((0, self.schema.dim), dtype="<f2")]
        for shard in self.shards() if feature in self.schema.features else ():
            told = shard.frame([raw_column(feature), error_column(feature)]).with_row_index("row")
            told = told.filter(pl.col(error_column(feature)).is_null()).drop_nulls(raw_column(feature))
            told = told.unique(raw_column(feature), keep="first", maintain_order=True)
            new = {text: row for row, text in told.select("row", raw_column(feature)).iter_rows() if text not in texts}
            texts.update(dict.fromkeys(new))
            found.append(shard.vectors(feature)[list(new.values())])
        return list(texts), np.concatenate(found)

    def table(self) -> pl.DataFrame:
        """All products without their vectors, n rows.

        `product_id`, `raw_<feature>` (as the partner sent it), the gold labels, and `<feature>_error`: why the vector
        is missing, null where it is present.
        """
        raw = [raw_column(feature) for feature in TEXT_FEATURES]
        errors = [error_column(feature) for feature in self.schema.features]
        return self.frame(["product_id", *raw, *GOLD_LABELS, *errors])

    def frame(self, columns: Sequence[str]) -> pl.DataFrame:
        """Some columns of all products."""
        return pl.concat([shard.frame(columns) for shard in self.shards()])

    def coded(self, column: str) -> Coded:
        """A text column of all products."""
        place: dict[str, int] = {}
        codes = [np.empty(0, dtype=np.int32)]
        for shard in self.shards():
            texts = shard.frame([column]).to_series().cast(pl.String)
            distinct = texts.unique(maintain_order=True).drop_nulls()
            found = [place.setdefault(text, len(place)) for text in distinct]
            codes.append(texts.replace_strict(distinct, found, default=-1, return_dtype=pl.Int32).to_numpy())
        return Coded(values=pl.Series(column, list(place), dtype=pl.String), codes=np.concatenate(codes))


def open_shard_set(folder: Path) -> ShardSet:
    """Open a finished shard set, with all its files: what is read from it is this set, whatever an update does.

    Holds a descriptor a shard. Where the process may not hold so many (`prodemb.core.rlimits`), files are opened when
    they are read, and an update ends the reading. What is wrong with a file shows when it is read.

    Raises:
        ShardError: the folder is none, is damaged, or its embedding was interrupted.
    """
    for _ in range(_TRIES):
        manifest = read_manifest(folder)
        if not manifest.complete:
            raise ShardError(
                f"{folder}: unfinished: {counted(manifest.num_products, 'product')} so far; run the same "
                "`prodemb embed` again, it goes on where it stopped"
            )
        files = held_files(folder, records=manifest.shards)
        if len(files) == len(manifest.shards) or not is_replaced(folder, manifest=manifest):
            return ShardSet(folder, manifest=manifest, files=files)
    raise ShardError(f"{folder}: was updated while it was read; run again")


def find_shard_sets(folder: Path) -> list[ShardSet]:
    """The finished shard sets at `folder`, opened: itself, and its direct subfolders.

    Raises:
        ShardError: there is none, or none is finished.
    """
    folders = find_shard_folders(folder)
    finished = [f for f in folders if read_manifest(f).complete]
    return [open_shard_set(f) for f in finished or folders[:1]]


def find_shard_folders(folder: Path) -> list[Path]:
    """The folders of the shard sets at `folder`: itself, and its direct subfolders.

    Raises:
        ShardError: there is none.
    """
    if not folder.is_dir():
        raise ShardError(f"{folder}: no such folder; wanted shards, as `prodemb embed` writes them")
    folders = [f for f in [folder, *sorted(p for p in folder.iterdir() if p.is_dir())] if has_manifest(f)]
    if not folders:
        raise ShardError(f"{folder}: no shard set here or one folder below; run `prodemb embed`")
    return folders


def first_page_bytes(header: bytes) -> int | None:
    """The uncompressed size of the page that starts with `header`, or None if this is no data page (v1).

    A Parquet page header is a Thrift compact struct: field 1 (i32) the page type, 0 for a data page; field 2 (i32)
    the uncompressed size. Both are zigzag varints behind the byte 0x15.
    Source: https://github.com/apache/parquet-format, parquet.thrift, PageHeader.
    """
    if len(header) < 4 or header[0] != 0x15 or header[1] != 0 or header[2] != 0x15:
        return None
    value = 0
    for place, byte in enumerate(header[3:]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value >> 1
    return None
