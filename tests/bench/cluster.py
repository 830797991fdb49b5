"""What a Ray cluster costs: products/s by Ray's actors beside those by processes, on this machine.

    python tests/bench/cluster.py                                   8,000 products of the sample, 1 and 2 workers
    python tests/bench/cluster.py --catalog my.parquet --model openai/clip-vit-base-patch32 --workers 1 2 4 8
    python tests/bench/cluster.py --kills 60 --products 1000000 --shard-size 8192
                                                                    a machine is lost each minute; 1,000,000 titles

Each run embeds the catalog from nothing; in a round all take turns, and medians are shown. A run of one worker without
Ray is this process. `start` is the time from the call to the first products that went to the towers: loading the
checkpoint, starting the processes, and with Ray starting Ray itself, as a run without `--ray-address` does. The rate
counts from then on, without the first window. `lost` is the share of that which Ray costs beside the same number of
processes, the median over the rounds. The shards must be the same byte for byte, or the bench fails.

With `--kills` titles alone are embedded, once by two processes and once by Ray on two nodes of this machine, one core
each. All processes of the node that does not hold the command are killed (SIGKILL) every so many seconds until the run
is done, and a new node takes its place. All files are hashed afterwards. `lost` then holds what the deaths cost too: an
actor that begins anew loads Python, torch and the towers.
"""

import argparse
import logging
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from measure import median_ratio
from report import Report, figure, options_parser, reporting, table
from scale import write_catalog

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.features import Feature
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import embed
from prodemb.sample.catalog import write_sample
from prodemb.shards.checked import Checked
from prodemb.shards.format import Manifest
from prodemb.shards.verify import damaged_shards
from prodemb.taxonomy.taxonomy import sample_taxonomy
from prodemb.towers.checkpoint import BUNDLED
from prodemb.workers.config import Engine

ENGINES: tuple[Engine, ...] = ("local", "ray")
NUM_NODES = 2
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class Rounds:
    """The runs of one engine with so many workers."""

    start_s: list[float] = field(default_factory=list)
    """From the call to the first window."""
    seconds: list[float] = field(default_factory=list)
    """From the first window to the end."""
    num_products: int = 0
    """Of these seconds."""

    @property
    def products_per_s(self) -> float:
        return self.num_products / statistics.median(self.seconds)


def run(catalog: Path, out: Path, *, options: argparse.Namespace, engine: Engine, num_workers: int) -> Manifest:
    """Embed once more, and note how long that took in `rounds`."""
    rounds: Rounds = options.rounds[engine, num_workers]
    first: list[tuple[float, int]] = []

    def note(done: int, total: int | None) -> None:
        first.append((time.perf_counter(), done))
        options.is_under_way.set()

    features: dict[str, tuple[Feature, ...]] = {} if options.kills is None else {"features": ("title",)}
    config = EmbedConfig(
        model=options.model,
        out=str(out),
        shard_size=options.shard_size,
        workers=num_workers,
        engine=engine,
        **features,
    )
    started = time.perf_counter()
    report = embed(
        config, catalog=open_catalog(CatalogConfig(path=str(catalog))), images=ImagesConfig(), on_progress=note
    )
    moment, done = first[0]
    rounds.start_s.append(moment - started)
    rounds.seconds.append(time.perf_counter() - moment)
    rounds.num_products = report.num_new - done
    return report.manifest


def measure(options: argparse.Namespace, folder: Path, *, report: Report) -> None:
    """All rounds of all rows, and their tables."""
    catalog = options.catalog or write_sample(folder / "sample", num_products=options.products, seed=5)
    options.rounds = {(engine, number): Rounds() for engine in ENGINES for number in options.workers}
    options.is_under_way = threading.Event()
    manifests = []
    for turn in range(options.repeat):
        for engine, num_workers in options.rounds:
            out = folder / f"{engine}-{num_workers}-{turn}"
            manifests.append(run(catalog, out, options=options, engine=engine, num_workers=num_workers))
    if any(manifest.shards != manifests[0].shards for manifest in manifests):
        report.fail("shards", "they differ between engines or numbers of workers")
    rows = {f"{engine}, {number}": rounds for (engine, number), rounds in options.rounds.items()}
    lost = {
        number: 1 - median_ratio(options.rounds["local", number].seconds, options.rounds["ray", number].seconds)
        for number in options.workers
    }
    losses = ", ".join(f"{share:.1%} with {number}" for number, share in lost.items())
    report.add(
        f"{manifests[0].num_products:,} products, {len(manifests[0].shards)} shards\n\n"
        f"{table(('engine, workers', 'start s', 'products/s'), rows, cells=_cells)}\n\nlost to Ray: {losses}",
        num_products=manifests[0].num_products,
        rows={name: asdict(rounds) | {"products_per_s": rounds.products_per_s} for name, rounds in rows.items()},
        lost=lost,
    )


def measure_kills(options: argparse.Namespace, folder: Path, *, report: Report) -> None:
    """Two processes, and Ray while machines are lost."""
    catalog = folder / "catalog.parquet"
    write_catalog(catalog, num_products=options.products, nodes=sample_taxonomy().leaves)
    options.rounds = {(engine, NUM_NODES): Rounds() for engine in ENGINES}
    options.is_under_way = threading.Event()
    wanted = run(catalog, folder / "local", options=options, engine="local", num_workers=NUM_NODES)
    options.is_under_way.clear()
    with losing_nodes(options.kills, after=options.is_under_way) as kills:
        found = run(catalog, folder / "ray", options=options, engine="ray", num_workers=NUM_NODES)
    if found.shards != wanted.shards:
        report.fail("shards", "they differ between processes and Ray")
    if damaged := damaged_shards(folder / "ray", manifest=found, checked=Checked(folder / "ray")):
        report.fail("files", f"{len(damaged)} are not what the manifest says, such as {min(damaged)}")
    rows = {f"{engine}, {number}": rounds for (engine, number), rounds in options.rounds.items()}
    local, ray = rows.values()
    lost = 1 - median_ratio(local.seconds, ray.seconds)
    report.add(
        f"{wanted.num_products:,} titles, {len(wanted.shards):,} shards, {len(kills)} machines killed, one every "
        f"{options.kills:g} s\n\n{table(('engine, workers', 'start s', 'products/s'), rows, cells=_cells)}\n\n"
        f"lost to Ray and the kills: {lost:.1%}",
        num_products=wanted.num_products,
        num_shards=len(wanted.shards),
        num_kills=len(kills),
        rows={name: asdict(rounds) | {"products_per_s": rounds.products_per_s} for name, rounds in rows.items()},
        lost=lost,
    )


@contextmanager
def losing_nodes(every_s: float, *, after: threading.Event) -> Iterator[list[float]]:
    """This process on a Ray of two nodes, of which the other one is killed again and again; gives when that was.

    Args:
        after: when the first is killed.
    """
    # Ray reads these as it is imported; what it says of dead machines would be on stdout.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": ".", "PYTHONPATH": str(ROOT)}
    import ray
    from ray.cluster_utils import Cluster

    # Nodes end with the cluster: hooks at this process's end can be set by its main thread alone.
    cluster: Any = Cluster(
        initialize_head=True, head_node_args={**NODE, "include_dashboard": False}, shutdown_at_exit=False
    )
    kills: list[float] = []
    is_done = threading.Event()

    def lose() -> None:
        after.wait()
        while not is_done.is_set():
            kills.append(time.perf_counter())
            (node,) = cluster.worker_nodes
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(**NODE)
            is_done.wait(every_s)

    losing = threading.Thread(target=lose, name="lose", daemon=True)
    try:
        cluster.add_node(**NODE)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        losing.start()
        yield kills
    finally:
        is_done.set()
        after.set()
        if losing.is_alive():
            losing.join()
        ray.shutdown()
        cluster.shutdown()


def _cells(rounds: Rounds) -> list[str]:
    return [figure(statistics.median(rounds.start_s), digits=1), figure(rounds.products_per_s, digits=0)]


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--catalog", type=Path, help="a catalog with the standard columns [the generated sample]")
    parser.add_argument("--products", type=int, default=8000, help="of the sample [8000]")
    parser.add_argument("--model", default=BUNDLED, help="[bundled]")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="[1 2]")
    parser.add_argument("--shard-size", type=int, default=256, help="products in a shard [256]")
    parser.add_argument("--repeat", type=int, default=3, help="rounds [3]")
    parser.add_argument("--kills", type=float, metavar="SECONDS", help="kill a machine of the cluster this often")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        mode = measure if options.kills is None else measure_kills
        report.attempt("engines", lambda: mode(options, Path(folder), report=report))


if __name__ == "__main__":
    main()
