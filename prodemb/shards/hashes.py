"""Hashes of what goes in: one content of a vector, and all catalog rows of a shard."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.images import ImageLoader
from prodemb.catalog.reader import Catalog
from prodemb.core.features import PRODUCT_COLUMNS
from prodemb.shards.format import HASH_BYTES

_ANY_TEXT = ("utf-8", "surrogatepass")


def content_hash(data: bytes, *more: bytes) -> bytes:
    """16 bytes of BLAKE2b: what a vector was made from."""
    digest = hashlib.blake2b(data, digest_size=HASH_BYTES)
    for part in more:
        digest.update(part)
    return digest.digest()


def image_sources(cells: Sequence[str | bytes | None], *, loader: ImageLoader) -> npt.NDArray[np.uint8]:
    """Where the pictures of n rows come from, (n, 16): equal while nothing says that the picture has changed.

    Of a local picture that is its path, size and time, of one on a server its address alone, and of one in the
    catalog its bytes; and, of each, the rules that let it in. Zeros where the catalog names no picture.
    """
    hashes = np.zeros((len(cells), HASH_BYTES), dtype=np.uint8)
    rules = loader.rules.encode()
    for row, value in enumerate(cells):
        if value is not None:
            content = value if isinstance(value, bytes) else f"{value}\n{loader.stamp(value)}".encode(*_ANY_TEXT)
            hashes[row] = np.frombuffer(content_hash(content, rules), dtype=np.uint8)
    return hashes


class RowsHash:
    """A running hash of catalog rows: the columns' values, pictures by their sources.

    Rows are too many to be hashed at once by `prodemb.core.inputs.inputs_hash`: their hash goes into that one.
    """

    def __init__(self, *, columns: Sequence[str] = PRODUCT_COLUMNS) -> None:
        """
        Args:
            columns: those that count; a shard is made from all of them.
        """
        self._columns = columns
        parts = [(name, part) for name in columns for part in ("lengths", "values")]
        self._digests = {part: hashlib.blake2b(digest_size=HASH_BYTES) for part in parts}

    def update(self, rows: pa.Table, *, sources: npt.NDArray[np.uint8] | None) -> None:
        """Add some rows; in how many pieces they come makes no difference.

        Args:
            sources: `image_sources` of the rows; None where pictures do not matter.
        """
        for name in self._columns:
            if name == "image":
                self._digests[name, "values"].update(b"" if sources is None else sources.tobytes())
                continue
            column = rows[name].combine_chunks()
            lengths = np.asarray(pc.fill_null(pc.binary_length(column), -1), dtype="<i8")
            self._digests[name, "lengths"].update(lengths.tobytes())
            self._digests[name, "values"].update(_value_bytes(pc.fill_null(column, "")))

    def hexdigest(self) -> str:
        """The hash so far, 32 hexadecimal digits."""
        return content_hash(b"".join(digest.digest() for digest in self._digests.values())).hex()


def _value_bytes(column: pa.Array) -> memoryview:
    """The concatenated bytes of a large string array without nulls."""
    _, offsets_buffer, values = column.buffers()
    if len(column) == 0 or values is None:
        return memoryview(b"")
    offsets = np.frombuffer(offsets_buffer, dtype="<i8")[column.offset : column.offset + len(column) + 1]
    return memoryview(values)[offsets[0] : offsets[-1]]


def rows_hashes(catalog: Catalog, *, loader: ImageLoader | None, shard_size: int, window: int) -> list[str]:
    """The rows hash of every shard, from one streaming pass over the catalog."""
    hashes: list[RowsHash] = []
    row = 0
    for rows in catalog.batches(window, columns=PRODUCT_COLUMNS):
        if row % shard_size == 0:
            hashes.append(RowsHash())
        hashes[-1].update(
            rows, sources=None if loader is None else image_sources(rows["image"].to_pylist(), loader=loader)
        )
        row += rows.num_rows
    return [h.hexdigest() for h in hashes]
