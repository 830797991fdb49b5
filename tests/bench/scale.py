"""Seconds and peak memory of each step as catalogs grow; each step is the command line in a process of its own.

    python tests/bench/scale.py                                     synthetic shards of 100,000 and 1,000,000 products
    python tests/bench/scale.py --sizes 1000000 10000000            10,000,000 take 3 GB of disk
    python tests/bench/scale.py --embed --sizes 100000 1000000      the shards are made by `prodemb embed`
    python tests/bench/scale.py --embed --steps embed               that step alone
    python tests/bench/scale.py --taxonomy taxonomy-with-ids.en-US.txt --categories 3215 --steps train-category score
                                                                    many categories, of a taxonomy's own

Synthetic shards hold two features of 32 numbers, in a cloud around each category's and brand's own point. The catalog
is text alone, for the bundled CLIP. Brands and categories follow Zipf's law. Baselines are left out. `[train]
memory_gb` is small, so that the larger sets are trained on in windows.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from measure import RowError
from report import Failure, Report, figure, options_parser, reporting, table

from prodemb.core.features import PRODUCT_COLUMNS, Feature
from prodemb.shards.format import MAX_PRODUCTS, Manifest, ShardSchema
from prodemb.shards.writer import EncodedFeature, write_shard
from prodemb.taxonomy.taxonomy import read_taxonomy, sample_taxonomy

SIZES = (100_000, 1_000_000)
DIM = 32
FEATURES: tuple[Feature, ...] = ("title", "brand")
NUM_BRANDS = 2_000
PIPELINE = """target = "{target}"
[catalog]
path = "catalog.parquet"
[embed]
features = ["title", "brand", "cat1"]
out = "shards"
[brands]
aliases = "aliases.csv"
[train]
out = "heads/{target}"
epochs = {epochs}
memory_gb = {memory_gb}
{taxonomy}
[train.baselines]
run = false
"""
PROGRAM = "from prodemb.cli import main; main()"

Step = Literal["embed", "train-category", "train-brand", "score"]
COMMANDS: dict[Step, tuple[str, ...]] = {
    "embed": ("embed", "--pipeline", "brand.toml"),
    "train-category": ("train-category", "--shards", "shards", "--pipeline", "category.toml"),
    "train-brand": ("train-brand", "--shards", "shards", "--pipeline", "brand.toml"),
    "score": ("score", "shards", "out.parquet"),
}


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """One step on one number of products."""

    num_products: int
    seconds: float
    cpu_seconds: float
    """Processor time, which other work on the machine hardly changes."""
    peak_mb: float


Row = tuple[str, StepFigures | Failure]


def products(
    num_products: int, *, nodes: Sequence[int]
) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Catalog rows, at most a shard at a time, with the numbers of their categories and brands.

    Args:
        nodes: the categories.
    """
    rng = np.random.default_rng(0)
    for start in range(0, num_products, MAX_PRODUCTS):
        numbers = range(start, min(num_products, start + MAX_PRODUCTS))
        category = _zipf(rng, len(nodes), count=len(numbers))
        brand = _zipf(rng, NUM_BRANDS, count=len(numbers))
        columns = {name: pa.nulls(len(numbers), pa.string()) for name in PRODUCT_COLUMNS}
        columns["product_id"] = pa.array([f"p{number:09d}" for number in numbers])
        columns["title"] = pa.array(
            [
                f"{_name(b)} {_name(5000 + c)} {_name(int(n))} {number % 97}"
                for b, c, n, number in zip(
                    brand, category, rng.integers(9000, 99_000, len(numbers)), numbers, strict=True
                )
            ]
        )
        columns["brand"] = pa.array(
            [None if number % 5 == 0 else _name(b) for b, number in zip(brand, numbers, strict=True)]
        )
        columns["cat1"] = pa.array([f"kind {c}" for c in category])
        columns["google_category_id"] = pa.array([str(nodes[c]) for c in category])
        columns["brand_label"] = pa.array([_name(b) for b in brand])
        yield pa.table(columns), category, brand


def write_shards(folder: Path, *, num_products: int, nodes: Sequence[int]) -> None:
    """A shard set of synthetic vectors."""
    rng = np.random.default_rng(1)
    schema = ShardSchema(fingerprint="synthetic", model="synthetic", dim=DIM, features=FEATURES)
    points = {
        "title": rng.standard_normal((max(1000, len(nodes)), DIM)),
        "brand": rng.standard_normal((NUM_BRANDS, DIM)),
    }
    records = []
    for index, (rows, category, brand) in enumerate(products(num_products, nodes=nodes)):
        encoded: dict[Feature, EncodedFeature] = {}
        numbers: dict[Feature, npt.NDArray[np.int64]] = {"title": category, "brand": brand}
        for feature, own in numbers.items():
            absent = rows[feature].is_null().to_numpy()
            vectors = points[feature][own] + rng.standard_normal((rows.num_rows, DIM))
            if feature == "title":
                vectors += points["brand"][brand] / 2
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors[absent] = 0
            encoded[feature] = EncodedFeature(
                vectors=vectors.astype("<f2"),
                absent=pa.array(["no value" if gone else None for gone in absent], pa.string()),
                hashes=pa.nulls(rows.num_rows, pa.binary(16)),
            )
        records.append(write_shard(folder, index=index, schema=schema, rows=rows, encoded=encoded, rows_hash="-"))
    Manifest(
        shard_schema=schema, catalog="synthetic", shard_size=MAX_PRODUCTS, complete=True, shards=tuple(records)
    ).write(folder)


def write_catalog(path: Path, *, num_products: int, nodes: Sequence[int]) -> None:
    """The same products as a catalog of texts."""
    writer = None
    for rows, _, _ in products(num_products, nodes=nodes):
        writer = writer or pq.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
    assert writer is not None
    writer.close()


def _zipf(rng: np.random.Generator, num_values: int, *, count: int) -> npt.NDArray[np.int64]:
    """Numbers below `num_values`, the k-th with a probability in proportion to 1 / k."""
    shares = np.cumsum(1 / np.arange(1, num_values + 1))
    numbers: npt.NDArray[np.int64] = np.searchsorted(shares, rng.random(count) * shares[-1])
    return numbers


def _name(number: int) -> str:
    """A word of its own for each number."""
    syllables = "ba ce di fo gu ka le mi no pu ra se ti vo xu".split()
    number += len(syllables) ** 2
    word = ""
    while number:
        number, place = divmod(number, len(syllables))
        word += syllables[place]
    return word.title()


def measure(num_products: int, *, folder: Path, options: argparse.Namespace, report: Report) -> Iterator[Row]:
    """Each step on a catalog of this size, by name."""
    taxonomy = sample_taxonomy() if options.taxonomy is None else read_taxonomy(options.taxonomy)
    nodes = taxonomy.leaves[: options.categories]
    line = "" if options.taxonomy is None else f'taxonomy = "{options.taxonomy.resolve()}"'
    for target in ("category", "brand"):
        settings = {"target": target, "epochs": options.epochs, "memory_gb": options.memory_gb, "taxonomy": line}
        (folder / f"{target}.toml").write_text(PIPELINE.format(**settings))
    if options.embed:
        write_catalog(folder / "catalog.parquet", num_products=num_products, nodes=nodes)
    elif not (folder / "shards").exists():
        write_shards(folder / "shards", num_products=num_products, nodes=nodes)
    shutil.rmtree(folder / "heads", ignore_errors=True)
    (folder / "out.parquet").unlink(missing_ok=True)
    for step in options.steps:
        if step != "embed" or options.embed:
            name = f"{step}, {num_products:,}"
            yield name, report.attempt(name, partial(run_step, step, folder=folder, num_products=num_products))


def run_step(step: Step, *, folder: Path, num_products: int) -> StepFigures:
    """One command in a process of its own.

    Raises:
        RowError: it ended with another status than 0, or `score` with another number of rows.
    """
    started = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, *COMMANDS[step]]
    if step == "score":
        command += [part for head in sorted((folder / "heads").glob("*")) for part in ("--head", str(head))]
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = (folder / "output.txt").read_text().strip().splitlines() or ["it printed nothing"]
        raise RowError(f"its process ended with status {process.returncode}: {lines[-1]}")
    if step == "score" and (found := pq.ParquetFile(folder / "out.parquet").metadata.num_rows) != num_products:
        raise RowError(f"out.parquet: found {found:,} rows, wanted {num_products:,}")
    return StepFigures(
        num_products=num_products,
        seconds=time.perf_counter() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024,
    )


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="products [100000 1000000]")
    parser.add_argument("--embed", action="store_true", help="make the shards with `prodemb embed`")
    steps = get_args(Step)
    parser.add_argument("--steps", nargs="+", choices=steps, default=list(steps), help="[all; embed with --embed]")
    parser.add_argument("--taxonomy", type=Path, help="a taxonomy-with-ids file [the part that is bundled]")
    parser.add_argument("--categories", type=int, help="the first of its leaves that products are of [all]")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training part [3]")
    parser.add_argument("--folder", type=Path, help="keep what is made here, and take the synthetic shards from here")
    parser.add_argument(
        "--memory-gb", type=float, default=0.25, help="vectors that training holds at a time, in 10^9 bytes [0.25]"
    )
    options = parser.parse_args()
    rows: dict[str, StepFigures | Failure] = {}
    with reporting(options) as report:
        for size in options.sizes:
            with tempfile.TemporaryDirectory(prefix="prodemb-bench-") as temporary:
                folder = Path(temporary) if options.folder is None else options.folder / str(size)
                folder.mkdir(parents=True, exist_ok=True)
                rows |= measure(size, folder=folder, options=options, report=report)
        columns = ["step, products", "seconds", "CPU seconds", "products per CPU second", "peak MB"]
        report.add(table(columns, rows, cells=_cells), steps=rows)


def _cells(row: StepFigures) -> list[str]:
    seconds = (figure(value, digits=1) for value in (row.seconds, row.cpu_seconds))
    return [*seconds, figure(row.num_products / row.cpu_seconds, digits=0), figure(row.peak_mb, digits=0)]


if __name__ == "__main__":
    main()
