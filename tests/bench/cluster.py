"""What a Ray cluster costs: products/s by Ray's actors beside those by processes, on this machine.

    python tests/bench/cluster.py                                   8,000 products of the sample, 1 and 2 workers
    python tests/bench/cluster.py --catalog my.parquet --model openai/clip-vit-base-patch32 --workers 1 2 4 8

Each run embeds the catalog from nothing; in a round all take turns, and medians are shown. A run of one worker without
Ray is this process. `start` is the time from the call to the first products that went to the towers: loading the
checkpoint, starting the processes, and with Ray starting Ray itself, as a run without `--ray-address` does. The rate
counts from then on, without the first window. `lost` is the share of that which Ray costs beside the same number of
processes, the median over the rounds. The shards must be the same byte for byte, or the bench fails.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from measure import median_ratio
from report import Report, figure, options_parser, reporting, table

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import embed
from prodemb.sample.catalog import write_sample
from prodemb.shards.format import Manifest
from prodemb.towers.checkpoint import BUNDLED
from prodemb.workers.config import Engine

ENGINES: tuple[Engine, ...] = ("local", "ray")


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

    config = EmbedConfig(
        model=options.model, out=str(out), shard_size=options.shard_size, workers=num_workers, engine=engine
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
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        report.attempt("engines", lambda: measure(options, Path(folder), report=report))


if __name__ == "__main__":
    main()
