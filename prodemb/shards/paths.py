"""The vectors of the taxonomy's paths beside a shard set, so that stage two can compare products with them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.bounded import parse_json, read_table
from prodemb.core.errors import ShardError
from prodemb.shards.folder import AnyFolder, shard_folder
from prodemb.shards.format import CHECKSUM_KEY, METADATA_KEY

PATHS_NAME = "taxonomy.parquet"
"""The file in the shard set's folder."""

TEXTS_VERSION = 1
"""Raise it when a node is put into words in another way."""

_REDO = "embed again to redo it"


@dataclass(frozen=True, kw_only=True, eq=False)
class PathVectors:
    """A vector for each node of a taxonomy, in the space of one model's shards."""

    fingerprint: str
    """The model that made them."""
    ids: tuple[int, ...]
    paths: tuple[str, ...]
    vectors: npt.NDArray[np.float16]
    """(num_nodes, dim), L2-normalised."""
    texts_version: int = TEXTS_VERSION

    def are_of(self, paths: Mapping[int, str]) -> bool:
        """Whether these are the nodes with these paths by id, put into words as it is done now."""
        return self.texts_version == TEXTS_VERSION and dict(zip(self.ids, self.paths, strict=True)) == paths

    def checksum(self) -> str:
        """The SHA-256 over all of it, in hexadecimal."""
        about = [self.fingerprint, self.texts_version, list(zip(self.ids, self.paths, strict=True))]
        digest = hashlib.sha256(json.dumps(about).encode())
        digest.update(np.ascontiguousarray(self.vectors, dtype="<f2").tobytes())
        return digest.hexdigest()

    def write(self, folder: AnyFolder) -> None:
        """Write the file of the shard set at `folder` whole, with its checksum."""
        about = {
            "fingerprint": self.fingerprint,
            "texts_version": self.texts_version,
            CHECKSUM_KEY: self.checksum(),
        }
        num_bytes = 2 * self.vectors.shape[1]
        rows = np.ascontiguousarray(self.vectors, dtype="<f2")
        columns = {
            "id": pa.array(self.ids, pa.int64()),
            "path": pa.array(self.paths, pa.string()),
            "vector": pa.Array.from_buffers(pa.binary(num_bytes), len(rows), [None, pa.py_buffer(rows)]),
        }
        table = pa.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(about)})
        with shard_folder(folder).putting(PATHS_NAME) as temporary:
            pq.write_table(table, temporary, compression="zstd")


def read_path_vectors(folder: AnyFolder) -> PathVectors | None:
    """Read the file of the shard set at `folder`; None where there is none.

    Raises:
        ShardError: it cannot be read, or its checksum is not the one that it was written with.
    """
    files = shard_folder(folder)
    path = files.place / PATHS_NAME
    if not files.has(PATHS_NAME):
        return None
    try:
        with files.fetched(PATHS_NAME) as fetched:
            table = read_table(fetched)
        about = parse_json(table.schema.metadata[METADATA_KEY])
        column = table["vector"].combine_chunks()
        if not pa.types.is_fixed_size_binary(column.type):
            raise TypeError(f"found vectors of type {column.type}, wanted bytes of one length")
        flat = np.frombuffer(column.buffers()[1], dtype="<f2")
        found = PathVectors(
            fingerprint=about["fingerprint"],
            ids=tuple(table["id"].to_pylist()),
            paths=tuple(table["path"].to_pylist()),
            vectors=flat.reshape(len(table), -1),
            texts_version=about["texts_version"],
        )
        altered = found.checksum() != about[CHECKSUM_KEY]
        if not np.isfinite(found.vectors).all():
            raise ValueError("found a vector with a number that is not finite")
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ShardError(f"{path}: damaged: {first_line}; {_REDO}") from None
    if altered:
        raise ShardError(f"{path}: altered: its checksum is not the recorded one; {_REDO}")
    return found
