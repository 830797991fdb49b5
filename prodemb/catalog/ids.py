"""Checking that every product of a catalog has an id of its own, in memory that ten million products fit into."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

NUM_EXAMPLES = 5


@dataclass(frozen=True)
class IdBatch:
    """Ids of some rows that follow each other in one file."""

    file: Path
    rows: npt.NDArray[np.int64]
    """(n,) numbers of the data rows in the file, from 1."""
    ids: pa.LargeStringArray
    """(n,) product ids; null where there is none."""


@dataclass(frozen=True)
class BadIds:
    """Rows without an id, and rows whose id another row had before."""

    num_rows: int
    """Rows in the catalog, the bad ones included."""
    num_null: int = 0
    num_repeated: int = 0
    null_examples: tuple[str, ...] = ()
    """Where the first rows without an id stand."""
    repeated_examples: tuple[str, ...] = ()
    """The first ids that stand more than once, and where."""
    positions: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Places of all bad rows among the rows that could be read, from 0, ascending."""

    def __bool__(self) -> bool:
        return bool(self.num_null or self.num_repeated)

    def __str__(self) -> str:
        parts = []
        if self.num_null:
            rows = "row has" if self.num_null == 1 else "rows have"
            parts.append(f"{self.num_null} {rows} no product_id ({_listed(self.null_examples, of=self.num_null)})")
        if self.num_repeated:
            rows = "row repeats" if self.num_repeated == 1 else "rows repeat"
            parts.append(
                f"{self.num_repeated} {rows} a product_id ({_listed(self.repeated_examples, of=self.num_repeated)})"
            )
        return " and ".join(parts)


def find_bad_ids(batches: Callable[[], Iterator[IdBatch]]) -> BadIds:
    """Look for ids that are missing or repeated; the first row with an id is good.

    One pass keeps 8 bytes a row (a hash). Only where hashes repeat does a second pass compare the ids themselves.
    """
    hashes: list[npt.NDArray[np.uint64]] = []
    nulls: list[npt.NDArray[np.int64]] = []
    null_examples: list[str] = []
    num_rows = 0
    for batch in batches():
        is_null = _is_null(batch)
        nulls.append(num_rows + np.flatnonzero(is_null))
        missing = np.flatnonzero(is_null)[: NUM_EXAMPLES - len(null_examples)]
        null_examples += [f"{batch.file.name} row {batch.rows[place]}" for place in missing]
        hashes.append(_hashed(batch)[~is_null])
        num_rows += len(batch.rows)
    if not num_rows:
        return BadIds(num_rows=0)
    ordered = np.sort(np.concatenate(hashes))
    suspects = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del hashes, ordered
    repeated, repeated_examples = _confirm(batches(), suspects) if len(suspects) else ([], [])
    missing_places = np.concatenate(nulls)
    return BadIds(
        num_rows=num_rows,
        num_null=len(missing_places),
        num_repeated=len(repeated),
        null_examples=tuple(null_examples),
        repeated_examples=tuple(repeated_examples),
        positions=np.sort(np.concatenate([missing_places, np.asarray(repeated, np.int64)])),
    )


def _confirm(batches: Iterator[IdBatch], suspects: npt.NDArray[np.uint64]) -> tuple[list[int], list[str]]:
    """Places of rows that truly repeat an id, and examples in words; `suspects` are sorted hashes that repeat."""
    seen: dict[str, str] = {}
    repeated: list[int] = []
    examples: list[str] = []
    start = 0
    for batch in batches:
        hashed = _hashed(batch)
        nearest = np.minimum(np.searchsorted(suspects, hashed), len(suspects) - 1)
        for place in np.flatnonzero((suspects[nearest] == hashed) & ~_is_null(batch)):
            product_id = batch.ids[int(place)].as_py()
            where = f"{batch.file.name} row {batch.rows[place]}"
            first = seen.setdefault(product_id, where)
            if first != where:
                repeated.append(start + int(place))
                if len(examples) < NUM_EXAMPLES:
                    examples.append(f"{product_id!r} in {first} and {where}")
        start += len(batch.rows)
    return repeated, examples


def _is_null(batch: IdBatch) -> npt.NDArray[np.bool_]:
    return np.asarray(batch.ids.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)


def _hashed(batch: IdBatch) -> npt.NDArray[np.uint64]:
    series = pl.from_arrow(batch.ids)
    assert isinstance(series, pl.Series)
    return series.hash().to_numpy()


def _listed(examples: tuple[str, ...], *, of: int) -> str:
    return "; ".join(examples) + ("; ..." if of > len(examples) else "")
