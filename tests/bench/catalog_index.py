"""What a large catalog costs before its first shard, and what its shards cost the manifest; steps in own processes.

    python tests/bench/catalog_index.py                                        1,000,000 rows
    python tests/bench/catalog_index.py --rows 100000000 --folder /tmp/rows    the catalog is kept there (768 MB)
    python tests/bench/catalog_index.py --repeats 10                           some rows repeat an id, and are dropped

The catalog is one Parquet file of ids and titles, written as a stream of row groups. Steps: `open` decides how it is
read; `check ids` reads all ids and says which rows are products; `plan` lists the shards, and pickles what each worker
is handed; `first rows` is what a worker needs until it has the rows of a shard at nine tenths of the catalog, the file
being opened anew; `rows hashes` is what an update or a resumed run does for each row, measured on `--hashed` of them;
`manifest` makes one with a record for each shard and writes it. Each process has opened the catalog, and but for the
first step checked the ids, before its step is timed; its peak memory holds that too.
"""

import argparse
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import in_own_process, peak_mb
from report import Failure, figure, options_parser, reporting, table

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.core.errors import ConfigError
from prodemb.core.features import FEATURES, PRODUCT_COLUMNS
from prodemb.embed.config import EmbedConfig
from prodemb.embed.plan import Plan, make_plan
from prodemb.shards.checked import Checked
from prodemb.shards.folder import shard_folder
from prodemb.shards.format import MANIFEST_NAME, Manifest, ShardRecord, ShardSchema, read_manifest, shard_name
from prodemb.shards.hashes import RowsHash
from prodemb.towers.checkpoint import BUNDLED, find_checkpoint

PIECE = 1 << 20
"""Rows that are made at a time."""
MADE_KEY = b"made_with"


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """One step."""

    seconds: float
    peak_mb: float
    said: str
    """What came out of it, in words."""
    figures: dict[str, float]
    """The same in numbers."""


def write_catalog(path: Path, *, num_rows: int, group_rows: int, repeats: int) -> None:
    """Ids and titles, each row its own; the last `repeats` rows have the ids of the first ones."""
    made = {MADE_KEY: made_of(num_rows=num_rows, group_rows=group_rows, repeats=repeats)}
    words = pa.array("red blue steel oak linen mug lamp sofa shoe shirt cable desk vase rug clock bag".split())
    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, num_rows, PIECE):
        numbers = np.arange(start, min(num_rows, start + PIECE))
        ids = np.where(numbers >= num_rows - repeats, numbers - (num_rows - repeats), numbers)
        parts = [words.take(pa.array(rng.integers(0, len(words), len(numbers)))) for _ in range(2)]
        titles = pa.compute.binary_join_element_wise(*parts, pa.array(numbers).cast(pa.string()), " ")
        rows = pa.table(
            {
                "product_id": pa.compute.binary_join_element_wise("p", pa.array(ids).cast(pa.string()), ""),
                "title": titles,
            }
        )
        writer = writer or pq.ParquetWriter(path, rows.schema.with_metadata(made), compression="zstd")
        writer.write_table(rows.replace_schema_metadata(made), row_group_size=group_rows)
    assert writer is not None
    writer.close()


def made_of(*, num_rows: int, group_rows: int, repeats: int) -> bytes:
    """What a catalog is made with, as its metadata say."""
    return f"--rows {num_rows} --row-group {group_rows} --repeats {repeats}".encode()


def found_in(path: Path) -> bytes:
    """What a catalog was made with; an unfinished file, and one of another maker, tells nothing."""
    try:
        return (pq.read_metadata(path).metadata or {}).get(MADE_KEY, b"something else")
    except pa.ArrowInvalid:
        return b"an unfinished file"


def opened(path: Path, *, checked: bool = True) -> Catalog:
    """The catalog, and unless it is not wanted its ids checked; those that repeat are dropped."""
    catalog = open_catalog(CatalogConfig(path=str(path), bad_ids="drop"))
    if checked:
        catalog.check_ids()
    return catalog


def plan_of(catalog: Catalog, *, out: Path, shard_size: int) -> Plan:
    """The plan of a first run."""
    checkpoint = find_checkpoint(BUNDLED)
    return make_plan(
        EmbedConfig(out=str(out), shard_size=shard_size, features=("title", "lexical")),
        folder=shard_folder(out),
        catalog=catalog,
        images=ImagesConfig(),
        checkpoint=checkpoint,
        num_products=catalog.check_ids(),
        checked=Checked(out),
        replace_set=False,
        retry="none",
    )


Timed = tuple[float, str, dict[str, float]]


def step_open(path: Path, options: argparse.Namespace) -> Timed:
    started = time.perf_counter()
    opened(path, checked=False)
    return time.perf_counter() - started, "", {}


def step_check_ids(path: Path, options: argparse.Namespace) -> Timed:
    catalog = opened(path, checked=False)
    started = time.perf_counter()
    num_products = catalog.check_ids()
    return time.perf_counter() - started, f"{num_products:,} products", {"num_products": num_products}


def step_plan(path: Path, options: argparse.Namespace) -> Timed:
    catalog = opened(path)
    started = time.perf_counter()
    plan = plan_of(catalog, out=path.parent / "shards", shard_size=options.shard_size)
    num_bytes = len(pickle.dumps(plan.for_worker()))
    seconds = time.perf_counter() - started
    said = f"{len(plan.todo):,} shards; {num_bytes:,} bytes for each worker"
    return seconds, said, {"num_shards": len(plan.todo), "worker_bytes": num_bytes}


def step_first_rows(path: Path, options: argparse.Namespace) -> Timed:
    catalog: Catalog = pickle.loads(pickle.dumps(opened(path)))
    at = options.rows * 9 // 10 // options.shard_size * options.shard_size
    started = time.perf_counter()
    rows = next(catalog.batches(512, columns=PRODUCT_COLUMNS, start=at))
    return time.perf_counter() - started, f"product {at:,}: {rows['product_id'][0]}", {"start": at}


def step_rows_hashes(path: Path, options: argparse.Namespace) -> Timed:
    catalog = opened(path)
    num_rows = min(options.hashed, catalog.check_ids())
    started = time.perf_counter()
    hashes, row = [], 0
    for rows in catalog.batches(512, columns=PRODUCT_COLUMNS, stop=num_rows):
        if row % options.shard_size == 0:
            hashes.append(RowsHash())
        hashes[-1].update(rows, sources=None)
        row += rows.num_rows
    seconds = time.perf_counter() - started
    return seconds, f"{num_rows:,} rows, {num_rows / seconds:,.0f} rows/s", {"rows_per_s": num_rows / seconds}


def step_manifest(path: Path, options: argparse.Namespace) -> Timed:
    """A record has the reasons for missing vectors that a set of all seven features of CLIP's has."""
    folder = path.parent / "shards"
    folder.mkdir(exist_ok=True)
    missing = {name: {"no value": 1234} for name in FEATURES} | {"image": {"no value": 12, "HTTP 404": 3}}
    records = tuple(
        ShardRecord(
            name=shard_name(index),
            num_products=options.shard_size,
            num_bytes=options.shard_size * 10_000,
            sha256=f"{index:064x}",
            rows_hash=f"{index:032x}",
            null_counts=missing,
        )
        for index in range(-(-options.rows // options.shard_size))
    )
    schema = ShardSchema(fingerprint="-", model="-", dim=512, features=FEATURES)
    started = time.perf_counter()
    manifest = Manifest(shard_schema=schema, catalog="-", shard_size=options.shard_size, complete=True, shards=records)
    manifest.write(folder)
    seconds = time.perf_counter() - started
    num_bytes = (folder / MANIFEST_NAME).stat().st_size
    started = time.perf_counter()
    read_manifest(folder)
    reading = time.perf_counter() - started
    after_each = num_bytes * len(records) // 2
    said = (
        f"{num_bytes:,} bytes of {len(records):,} shards, read in {reading:.2f} s; written after each shard that would "
        f"be {after_each / 1e9:,.1f} GB and {seconds * len(records) / 2:,.0f} s in all"
    )
    return seconds, said, {"num_bytes": num_bytes, "reading_s": reading, "after_each_bytes": after_each}


STEPS: dict[str, Callable[[Path, argparse.Namespace], Timed]] = {
    "open": step_open,
    "check ids": step_check_ids,
    "plan": step_plan,
    "first rows": step_first_rows,
    "rows hashes": step_rows_hashes,
    "manifest": step_manifest,
}


def measured(step: str, path: Path, options: argparse.Namespace) -> StepFigures:
    """A step in a process of its own.

    Raises:
        RowError: the process failed.
    """
    numbers = {"--rows": options.rows, "--shard-size": options.shard_size, "--hashed": options.hashed}
    arguments = [text for name, value in numbers.items() for text in (name, str(value))]
    found: dict[str, Any] = in_own_process(__file__, *arguments, "--child", step, "--folder", str(path.parent))
    return StepFigures(**found)


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="[1000000]")
    parser.add_argument("--row-group", type=int, default=131_072, help="rows of a row group [131072]")
    parser.add_argument("--shard-size", type=int, default=8192, help="[8192]")
    parser.add_argument("--repeats", type=int, default=0, help="rows with the id of another row [0]")
    parser.add_argument("--hashed", type=int, default=1_000_000, help="rows that are hashed [1000000]")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS), help="[all]")
    parser.add_argument("--folder", type=Path, help="where the catalog is kept, and taken from")
    parser.add_argument("--child", choices=list(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        seconds, said, figures = STEPS[options.child](options.folder / "catalog.parquet", options)
        json.dump({"seconds": seconds, "peak_mb": peak_mb(), "said": said, "figures": figures}, sys.stdout)
        return
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "catalog.parquet"
        sizes = {"num_rows": options.rows, "group_rows": options.row_group, "repeats": options.repeats}
        if not path.exists():
            write_catalog(path, **sizes)
        elif (found := found_in(path)) != (wanted := made_of(**sizes)):
            raise ConfigError(
                f"{path}: found {found.decode()}, wanted {wanted.decode()}; remove it or name another --folder"
            )
        rows: dict[str, StepFigures | Failure] = {}
        for step in options.steps:
            rows[step] = report.attempt(step, lambda step=step: measured(step, path, options))
        size = path.stat().st_size
        report.add(
            f"{options.rows:,} rows, {options.repeats:,} of them with another's id, {size / 1e6:,.0f} MB\n\n"
            + table(("step", "seconds", "peak MB", ""), rows, cells=_cells),
            num_rows=options.rows,
            num_bytes=size,
            steps=rows,
        )


def _cells(row: StepFigures) -> list[str]:
    return [figure(row.seconds), figure(row.peak_mb, digits=0), row.said]


if __name__ == "__main__":
    main()
