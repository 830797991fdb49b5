"""Looking up millions of 16-byte keys: sorted arrays that can be mapped from a file, in place of a dictionary."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.core.files import allocate

Keys = npt.NDArray[np.uint64]
"""(n, 2): a 16-byte key each."""
Half = npt.NDArray[np.uint64]
Values = npt.NDArray[np.int64]

NOT_FOUND = -1
KEY_BYTES = 16
_PARTS = ("first", "second", "values")
_STARTS = np.arange(16, dtype=np.uint64) << np.uint64(60)
"""Where the ranges of keys start that are sorted one after another; keys are hashes, so each is about as large."""


class SortedKeys:
    """Distinct keys in order, each with a value; 24 bytes per key."""

    def __init__(self, halves: tuple[Half, Half], values: Values) -> None:
        """Take arrays that are sorted, as `build` and `load` give them."""
        # One array per half: `searchsorted` would copy every second number of a joint one.
        self._halves, self._values = halves, values

    @classmethod
    def build(cls, keys: Keys, values: Values) -> Self:
        """Sort keys with their values; of equal keys the first stays."""
        order = np.argsort(keys[:, 0], kind="stable")
        keys, values = keys[order], values[order]
        is_first = np.ones(len(keys), dtype=bool)
        is_first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
        keys = keys[is_first]
        return cls((keys[:, 0].copy(), keys[:, 1].copy()), values[is_first])

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Map what `KeyWriter` wrote; the memory is the kernel's, which all processes share."""
        first, second, values = (np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in _PARTS)
        return cls((first, second), values)

    @property
    def keys(self) -> Keys:
        """The distinct keys, sorted."""
        return np.stack(self._halves, axis=1)

    @property
    def values(self) -> Values:
        """Their values."""
        return self._values

    def find(self, keys: Keys) -> Values:
        """The value of each key, (n,); `NOT_FOUND` where it is not here."""
        first, second = self._halves
        found = np.full(len(keys), NOT_FOUND, dtype=np.int64)
        positions = np.searchsorted(first, np.ascontiguousarray(keys[:, 0]))
        left = np.flatnonzero(positions < len(first))
        while len(left):  # a second time round only where two keys share their first half
            at = positions[left]
            half = first[at] == keys[left, 0]
            whole = half & (second[at] == keys[left, 1])
            found[left[whole]] = self._values[at[whole]]
            left = left[half & ~whole]
            positions[left] += 1
            left = left[positions[left] < len(first)]
        return found


class KeyWriter:
    """Writes the keys of many parts into a folder as one `SortedKeys`; of equal keys the first stays.

    They may be more than memory holds: they go to temporary files there by their first bits, and one file after another
    is sorted.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._files = ExitStack()
        self._ranges = [self._files.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in _STARTS]  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, part: SortedKeys) -> None:
        """Add some keys."""
        rows = np.column_stack([*part._halves, part._values.view(np.uint64)])
        for file, some in zip(self._ranges, np.split(rows, np.searchsorted(rows[:, 0], _STARTS[1:])), strict=True):
            file.write(some.data)

    def finish(self) -> None:
        """Write all that was added, for `SortedKeys.load`.

        Raises:
            OutputError: it does not fit the folder's disk.
        """
        sizes = [_sort(file) for file in self._ranges]
        arrays = [
            new_array(self._folder / f"{self._name}.{part}.npy", dtype=dtype, shape=(sum(sizes),))
            for part, dtype in zip(_PARTS, (np.uint64, np.uint64, np.int64), strict=True)
        ]
        start = 0
        for file, size in zip(self._ranges, sizes, strict=True):
            for array, column in zip(arrays, _read(file).T, strict=True):
                array[start : start + size] = column.view(array.dtype)
            start += size
        self._files.close()


def _sort(file: IO[bytes]) -> int:
    """Sort the rows of a file, halves and value each; how many are left, each key once."""
    rows = _read(file)
    keys = SortedKeys.build(rows[:, :2], rows[:, 2].view(np.int64))
    file.seek(0)
    file.truncate()
    file.write(np.column_stack([*keys._halves, keys._values.view(np.uint64)]).data)
    return len(keys._values)


def _read(file: IO[bytes]) -> npt.NDArray[np.uint64]:
    file.seek(0)
    return np.frombuffer(file.read(), dtype=np.uint64).reshape(-1, 3)


def new_array(path: Path, *, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> "np.memmap[Any, Any]":
    """A mapped array in a new file that has all its blocks.

    Raises:
        OutputError: it does not fit the disk.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    with path.open("rb+") as file:
        allocate(file.fileno(), path.stat().st_size, folder=path.parent)
    return array


def as_keys(data: bytes | npt.NDArray[np.uint8]) -> Keys:
    """16-byte hashes, one behind another, as keys."""
    return np.frombuffer(data, dtype=">u8").reshape(-1, 2).astype(np.uint64)


def keys_of(column: pl.Series) -> Keys:
    """A key for each value of a column, by two hash functions of polars.

    The same value has the same key in every process of one version of polars, and may have another one in the next:
    keys are for files that go with the run.
    """
    return np.stack([column.hash(seed).to_numpy() for seed in (1, 2)], axis=1)
