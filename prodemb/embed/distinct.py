"""The distinct contents of one shard: each string and picture that occurs in it is encoded once."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.embed.reuse import Reuse, Space, StoredVectors
from prodemb.shards.format import HASH_BYTES
from prodemb.shards.keys import NOT_FOUND

ABSENT = -1
"""The index of a content that there is not: that of the last row of `contents`."""

Indices = npt.NDArray[np.int64]


class Pending(Protocol):
    """Vectors in the making."""

    def result(self) -> npt.NDArray[np.float16]:
        """Wait for them, (n, dim)."""


class DistinctContents:
    """Hashes and vectors of distinct contents, in the order in which they were first seen."""

    def __init__(self, space: Space, *, dim: int, reuse: Reuse | None) -> None:
        """
        Args:
            space: where an earlier set is asked for contents.
            reuse: that set, if any.
        """
        self._space, self._dim, self._reuse = space, dim, reuse
        self._index_of: dict[bytes, int] = {}
        self._parts: list[tuple[Indices, Pending]] = []
        self._stored: list[Indices] = []

    def index(self, content_hash: bytes) -> tuple[int, bool]:
        """The index of the content with this hash, and whether it is new."""
        known = len(self._index_of)
        index = self._index_of.setdefault(content_hash, known)
        return index, index == known

    def add(self, hashes: Sequence[bytes]) -> tuple[Indices, list[int]]:
        """Add contents by their hashes: the index of each, and which of them have to be encoded, each once."""
        found = [self.index(content_hash) for content_hash in hashes]
        indices = np.array([index for index, _ in found], dtype=np.int64)
        new = np.flatnonzero([is_new for _, is_new in found])
        stored = self.reuse(indices[new], [hashes[position] for position in new.tolist()])
        return indices, new[~stored].tolist()

    def reuse(self, indices: Indices, hashes: Sequence[bytes]) -> npt.NDArray[np.bool_]:
        """Take the vectors of new contents from the earlier set; which of them it has."""
        if self._reuse is None or not len(hashes):
            return np.zeros(len(hashes), dtype=bool)
        pointers = self._reuse.find(self._space, hashes)
        stored: npt.NDArray[np.bool_] = pointers != NOT_FOUND
        if stored.any():
            self._parts.append((indices[stored], StoredVectors(self._reuse, pointers[stored])))
            self._stored.append(indices[stored])
        return stored

    def add_vectors(self, indices: Indices, vectors: Pending) -> None:
        """Add the vectors of the contents with these indices, which may still be in the making."""
        self._parts.append((indices, vectors))

    def contents(self) -> tuple[npt.NDArray[np.float16], pa.Array]:
        """Wait for the vectors, (n + 1, dim), and give the hashes too, n + 1; the last, `ABSENT`, is zeros and null.

        Raises:
            ModelError: a tower failed.
        """
        vectors = np.zeros((len(self._index_of) + 1, self._dim), dtype="<f2")
        for indices, part in self._parts:
            vectors[indices] = part.result()
        return vectors, pa.array([*self._index_of, None], pa.binary(HASH_BYTES))

    def is_stored(self) -> npt.NDArray[np.bool_]:
        """Which contents came from the earlier set, (n + 1,)."""
        stored = np.zeros(len(self._index_of) + 1, dtype=bool)
        stored[np.concatenate([np.zeros(0, np.int64), *self._stored])] = True
        return stored
