"""Rates of writing and reading one vector column as shards, against a plain memory copy and Parquet's FixedSizeList.

    plain copy              numpy from array to array
    write shards            prodemb's writer, which also hashes the files (SHA-256) and flushes them to disk
    write FixedSizeList     pyarrow, one uncompressed Parquet file, neither hashed nor flushed
    copy from shards        the mapped columns into one array
    read FixedSizeList      pyarrow, mapped file, into one array
    load as stage two       prodemb.shards.product_set.load_vectors: the vectors of all products, as for training
    aggregate               prodemb.heads.aggregate over the mapped shards, piece by piece as scoring does it

What is read lies in the page cache. Rates are float16 bytes of the column by seconds; operations take turns, medians.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from prodemb.core.features import CATALOG_COLUMNS, Feature
from prodemb.heads.aggregate import Aggregate, AggregateConfig
from prodemb.shards.format import HASH_BYTES, MAX_PRODUCTS, Manifest, ShardSchema
from prodemb.shards.product_set import load_vectors
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.shards.writer import EncodedFeature, write_shard

AT_ONCE = 4096
"""Products that the head aggregates at a time (prodemb.heads.head)."""
COPY, WRITE_LISTS, READ_LISTS = "plain copy", "write FixedSizeList", "read FixedSizeList"
WRITE_SHARDS, READ_SHARDS = "write shards", "copy from shards"

Vectors = npt.NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class ShardRate:
    """One operation's rate and its ratio to those it is held against."""

    operation: str
    gb_per_s: float
    to_copy: float
    to_fixed_size_list: float | None


def measure_shards(folder: Path, *, num_products: int, dim: int, rounds: int) -> list[ShardRate]:
    """The rates of a column of `num_products` vectors of `dim` numbers, on the disk of `folder`."""
    folder.mkdir(parents=True)
    some = np.random.default_rng(0).standard_normal((min(num_products, MAX_PRODUCTS), dim), dtype=np.float32)
    vectors = np.resize(some.astype("<f2"), (num_products, dim))
    copy = np.empty_like(vectors)
    write_shards(folder / "set", vectors)
    shards = open_shard_set(folder / "set")
    path = folder / "lists.parquet"
    operations: dict[str, Callable[[], object]] = {
        COPY: lambda: np.copyto(copy, vectors),
        WRITE_SHARDS: lambda: write_shards(folder / "written", vectors),
        WRITE_LISTS: lambda: _write_lists(path, vectors),
        READ_SHARDS: lambda: _copy_from_shards(shards, copy),
        READ_LISTS: lambda: _copy_from_lists(path, copy),
        "load as stage two": lambda: load_vectors(shards, features=("title",), rows=np.arange(num_products)),
        "aggregate": lambda: _aggregate(shards),
    }
    for name, operation in operations.items():  # warm up, and see that what is read is what was written
        copy[:] = 0
        operation()
        assert name not in (READ_SHARDS, READ_LISTS) or np.array_equal(copy, vectors), name
    seconds: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(rounds):
        for name, operation in operations.items():
            started = time.perf_counter()
            operation()
            seconds[name].append(time.perf_counter() - started)
    other = {WRITE_SHARDS: WRITE_LISTS, READ_SHARDS: READ_LISTS}
    return [
        ShardRate(
            operation=name,
            gb_per_s=vectors.nbytes / statistics.median(times) / 1e9,
            to_copy=_ratio(seconds[COPY], times),
            to_fixed_size_list=_ratio(seconds[other[name]], times) if name in other else None,
        )
        for name, times in seconds.items()
    ]


def _ratio(slow: list[float], fast: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def write_shards(folder: Path, vectors: Vectors, *, features: tuple[Feature, ...] = ("title",)) -> None:
    """A shard set whose products have an id and the same vector of each feature."""
    schema = ShardSchema(fingerprint="bench", model="bench", dim=vectors.shape[1], features=features)
    records = []
    for index, start in enumerate(range(0, len(vectors), MAX_PRODUCTS)):
        part = vectors[start : start + MAX_PRODUCTS]
        empty = pa.nulls(len(part), pa.large_string())
        ids = pa.array([str(place) for place in range(start, start + len(part))], pa.large_string())
        rows = pa.table({name: ids if name == "product_id" else empty for name in CATALOG_COLUMNS})
        absent, hashes = pa.nulls(len(part), pa.string()), pa.nulls(len(part), pa.binary(HASH_BYTES))
        encoded = EncodedFeature(vectors=part, absent=absent, hashes=hashes)
        records.append(
            write_shard(
                folder, index=index, schema=schema, rows=rows, encoded=dict.fromkeys(features, encoded), rows_hash=""
            )
        )
    manifest = Manifest(shard_schema=schema, catalog="", shard_size=MAX_PRODUCTS, complete=True, shards=tuple(records))
    manifest.write(folder)


def _write_lists(path: Path, vectors: Vectors) -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    pq.write_table(pa.table({"title": lists}), path, compression="none", use_dictionary=False)


def _copy_from_shards(shards: ShardSet, copy: Vectors) -> None:
    start = 0
    for shard in shards.shards():
        copy[start : start + shard.num_products] = shard.vectors("title")
        start += shard.num_products


def _copy_from_lists(path: Path, copy: Vectors) -> None:
    start = 0
    for chunk in pq.read_table(path, memory_map=True)["title"].chunks:
        copy[start : start + len(chunk)] = chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1)
        start += len(chunk)


@torch.inference_mode()
def _aggregate(shards: ShardSet) -> None:
    aggregate = Aggregate(("title",), dims=[shards.schema.dim], config=AggregateConfig())
    for shard in shards.shards():
        view, there = shard.vectors("title"), shard.present("title")
        for start in range(0, len(view), AT_ONCE):
            some = torch.from_numpy(view[start : start + AT_ONCE].copy())
            aggregate(some, torch.from_numpy(there[start : start + AT_ONCE, None].copy()))
