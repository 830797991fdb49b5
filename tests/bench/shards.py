"""Rates of writing and reading one vector column as shards, beside a plain memory copy and Parquet's FixedSizeList.

    python tests/bench/shards.py                            262,144 vectors of 512 numbers

    plain copy                  numpy, from array to array
    new copy                    numpy, into new memory, as loading needs it
    write shards                prodemb's writer, which also hashes the files (SHA-256) and flushes them to disk
    write FixedSizeList         pyarrow, one uncompressed Parquet file, neither hashed nor flushed
    copy from shards            the mapped columns into one array
    read FixedSizeList          pyarrow, mapped file, into one array
    load all, load four in five prodemb.shards.product_set.load_vectors, as training does it: all products, and the
                                training part of a split
    aggregate                   prodemb.heads.aggregate over the mapped shards, piece by piece as scoring does it

What is read is in the page cache. Rates are float16 bytes of the column by seconds; operations take turns, medians.
"""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from measure import in_turn, median_ratio
from report import Failure, figure, options_parser, reporting, table

from prodemb.core.features import PRODUCT_COLUMNS, Feature
from prodemb.heads.aggregate import Aggregate, AggregateConfig
from prodemb.heads.network import AT_A_TIME_ON_CPU
from prodemb.shards.format import HASH_BYTES, MAX_PRODUCTS, Manifest, ShardSchema
from prodemb.shards.product_set import load_vectors
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.shards.writer import EncodedFeature, write_shard

FOUR_IN_FIVE = 0.8

Operation = Literal[
    "plain copy",
    "new copy",
    "write shards",
    "write FixedSizeList",
    "copy from shards",
    "read FixedSizeList",
    "load all",
    "load four in five",
    "aggregate",
]
Vectors = npt.NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class ShardRate:
    """One operation's rate, and its ratio to those of others."""

    gb_per_s: float
    to_copy: float
    to_new_copy: float
    to_fixed_size_list: float | None


def measure_shards(folder: Path, *, num_products: int, dim: int, rounds: int) -> dict[Operation, ShardRate]:
    """The rates of a column of `num_products` vectors of `dim` numbers, on the disk of `folder`."""
    random = np.random.default_rng(0)
    some = random.standard_normal((min(num_products, MAX_PRODUCTS), dim), dtype=np.float32)
    vectors = np.resize(some.astype("<f2"), (num_products, dim))
    copy = np.zeros_like(vectors)
    write_shards(folder / "set", vectors)
    shards = open_shard_set(folder / "set")
    lists = folder / "lists.parquet"
    all_rows, four_in_five = np.arange(num_products), np.flatnonzero(random.random(num_products) < FOUR_IN_FIVE)
    operations: dict[Operation, Callable[[], object]] = {
        "plain copy": lambda: np.copyto(copy, vectors),
        "new copy": lambda: vectors.copy(),
        "write shards": lambda: write_shards(folder / "written", vectors),
        "write FixedSizeList": lambda: _write_lists(lists, vectors),
        "copy from shards": lambda: _copy_from_shards(shards, copy),
        "read FixedSizeList": lambda: _copy_from_lists(lists, copy),
        "load all": lambda: load_vectors(shards, features=("title",), rows=all_rows),
        "load four in five": lambda: load_vectors(shards, features=("title",), rows=four_in_five),
        "aggregate": lambda: _aggregate(shards),
    }
    seconds = in_turn(operations, rounds=rounds)
    for read in ("copy from shards", "read FixedSizeList"):
        copy[:] = 0
        operations[read]()
        assert np.array_equal(copy, vectors), read
    others: dict[Operation, Operation] = {
        "write shards": "write FixedSizeList",
        "copy from shards": "read FixedSizeList",
    }
    shares = {"load four in five": len(four_in_five) / num_products}

    def rate(name: Operation) -> ShardRate:
        share, own, other = shares.get(name, 1.0), seconds[name], others.get(name)
        return ShardRate(
            gb_per_s=share * vectors.nbytes / statistics.median(own) / 1e9,
            to_copy=share * median_ratio(seconds["plain copy"], own),
            to_new_copy=share * median_ratio(seconds["new copy"], own),
            to_fixed_size_list=None if other is None else median_ratio(seconds[other], own),
        )

    return {name: rate(name) for name in operations}


def write_shards(folder: Path, vectors: Vectors) -> None:
    """A shard set of products with an id and a title vector each."""
    schema = ShardSchema(fingerprint="bench", model="bench", dim=vectors.shape[1], features=("title",))
    records = []
    for index, start in enumerate(range(0, len(vectors), MAX_PRODUCTS)):
        part = vectors[start : start + MAX_PRODUCTS]
        empty = pa.nulls(len(part), pa.large_string())
        ids = pa.array([str(row) for row in range(start, start + len(part))], pa.large_string())
        rows = pa.table({name: ids if name == "product_id" else empty for name in PRODUCT_COLUMNS})
        absent, hashes = pa.nulls(len(part), pa.string()), pa.nulls(len(part), pa.binary(HASH_BYTES))
        encoded: dict[Feature, EncodedFeature] = {"title": EncodedFeature(vectors=part, absent=absent, hashes=hashes)}
        records.append(write_shard(folder, index=index, schema=schema, rows=rows, encoded=encoded, rows_hash=""))
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
        for start in range(0, len(view), AT_A_TIME_ON_CPU):
            some = torch.from_numpy(view[start : start + AT_A_TIME_ON_CPU].copy())
            aggregate(some, torch.from_numpy(there[start : start + AT_A_TIME_ON_CPU, None].copy()))


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--products", type=int, default=262_144, help="vectors [262144]")
    parser.add_argument("--dim", type=int, default=512, help="numbers per vector [512]")
    parser.add_argument("--repeat", type=int, default=5, help="rounds [5]")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        found = report.attempt(
            "shards",
            lambda: measure_shards(Path(folder), num_products=options.products, dim=options.dim, rounds=options.repeat),
        )
        rates: dict[str, ShardRate | Failure] = {"shards": found} if isinstance(found, Failure) else dict(found.items())
        columns = [f"{options.products:,} x {options.dim}", "GB/s", "to plain copy", "to new copy", "to FixedSizeList"]
        report.add(table(columns, rates, cells=_cells), rates=rates)


def _cells(rate: ShardRate) -> list[str]:
    return [figure(value) for value in (rate.gb_per_s, rate.to_copy, rate.to_new_copy, rate.to_fixed_size_list)]


if __name__ == "__main__":
    main()
