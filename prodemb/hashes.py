"""Hashes that say what a vector was made from: one content, and all catalog rows of a shard."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.images import ImageLoader
from prodemb.catalog.reader import Catalog
from prodemb.features import CATALOG_COLUMNS
from prodemb.shards.format import HASH_BYTES


def content_hash(data: bytes) -> bytes:
    """16 bytes of BLAKE2b: what a vector was made from."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


class RowsHash:
    """A running hash of catalog rows: every column's values, and size and time of local picture files."""

    def __init__(self, loader: ImageLoader | None) -> None:
        self._loader = loader
        parts = [*((name, part) for name in CATALOG_COLUMNS for part in ("lengths", "values")), ("image", "stamps")]
        self._digests = {part: hashlib.blake2b(digest_size=HASH_BYTES) for part in parts}
        if loader is not None:
            self._digests["image", "stamps"].update(loader.rules.encode())

    def update(self, rows: pa.Table) -> None:
        """Take in some rows; in how many pieces they come makes no difference."""
        for name in CATALOG_COLUMNS:
            column = rows[name].combine_chunks()
            empty = b"" if pa.types.is_large_binary(column.type) else ""
            lengths = np.asarray(pc.fill_null(pc.binary_length(column), -1), dtype="<i8")
            self._digests[name, "lengths"].update(lengths.tobytes())
            self._digests[name, "values"].update(_value_bytes(pc.fill_null(column, empty)))
        if self._loader is not None and not pa.types.is_large_binary(rows["image"].type):
            stamps = [self._loader.stamp(value) for value in rows["image"].to_pylist() if value is not None]
            self._digests["image", "stamps"].update("".join(f"{stamp}\n" for stamp in stamps).encode())

    def hexdigest(self) -> str:
        """The hash so far, 32 hexadecimal digits."""
        return content_hash(b"".join(digest.digest() for digest in self._digests.values())).hex()


def _value_bytes(column: pa.Array) -> memoryview:
    """The concatenated bytes of a large string or large binary array without nulls."""
    _, offsets_buffer, values = column.buffers()
    if len(column) == 0 or values is None:
        return memoryview(b"")
    offsets = np.frombuffer(offsets_buffer, dtype="<i8")[column.offset : column.offset + len(column) + 1]
    return memoryview(values)[offsets[0] : offsets[-1]]


def rows_hashes(catalog: Catalog, *, loader: ImageLoader | None, shard_size: int, window: int) -> list[str]:
    """The rows hash of every shard, from one streaming pass over the catalog."""
    hashes: list[RowsHash] = []
    place = 0
    for rows in catalog.batches(window):
        if place % shard_size == 0:
            hashes.append(RowsHash(loader))
        hashes[-1].update(rows)
        place += rows.num_rows
    return [h.hexdigest() for h in hashes]
