"""The canonicaliser: seconds and peak memory as supplied strings grow, and precision and recall against gold brands.

    python tests/bench/brands.py                                   100,000 and 1,000,000 different supplied strings
    python tests/bench/brands.py --strings 20000 --json
    python tests/bench/brands.py --catalog mine.parquet --gold brand_label

Speed is of `prodemb brands` without the command line: reading the catalog, counting, deciding, writing the alias file;
in a process of its own with two threads. The catalogs are generated (tests/bench/supplied.py). Their figures of
precision and recall are against the generator's own truth: they show that nothing is broken, not how well real
feeds go.

How pairs are counted says tests/bench/pairs.py. Rules and thresholds were chosen by looking at some catalogs, so
figures on those are not out of sample; a gold set that no one has looked at is.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
from pairs import PairScore, judged_strings, score_pairs, without_foreign
from report import figure, headline, machine, table
from supplied import write_supplied

from prodemb.aliases.alias_file import read_aliases
from prodemb.aliases.canonicalise import canonicalise
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.counts import count_supplied
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.job.brands import update_aliases

SIZES = (100_000, 1_000_000)
THREADS = 2
COLUMNS = ("brand", "title", "cat1", "cat2", "cat3")
ROWS_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class SizeFigures:
    """One generated catalog."""

    num_strings: int
    num_products: int
    seconds: float
    steps: dict[str, float]
    """Seconds of each step; the rest is reading and writing the alias file."""
    cpu_seconds: float
    peak_mb: float
    again_seconds: float
    """The same catalog once more, with the alias file of the first time."""
    scores: dict[str, PairScore]


def measure(folder: Path, *, num_strings: int) -> SizeFigures:
    """Generate a catalog and canonicalise it in a process of its own, twice."""
    path, aliases = folder / f"{num_strings}.parquet", folder / f"{num_strings}.csv"
    num_products = write_supplied(path, num_strings=num_strings)
    first, again = (_run_child(path, aliases=aliases) for _ in range(2))
    products = pl.read_parquet(path, columns=["brand", "brand_label"]).rename({"brand_label": "gold"})
    strings = judged_strings(products, table=read_aliases(aliases))
    return SizeFigures(
        num_strings=products["brand"].n_unique(),
        num_products=num_products,
        seconds=first["seconds"],
        steps=first["steps"],
        cpu_seconds=first["cpu_seconds"],
        peak_mb=first["peak_mb"],
        again_seconds=again["seconds"],
        scores={"strings": score_pairs(strings, weighted=False), "products": score_pairs(strings, weighted=True)},
    )


def _run_child(catalog: Path, *, aliases: Path) -> dict[str, float | dict[str, float]]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "ARROW_NUM_THREADS"), str(THREADS))
    command = [sys.executable, __file__, "--child", str(catalog), str(aliases)]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads)
    if result.returncode:
        sys.exit(result.stderr)
    return json.loads(result.stdout)


def be_child(catalog: Path, *, aliases: Path) -> dict[str, float | dict[str, float]]:
    """Canonicalise one catalog; seconds, and the peak of this process."""
    steps: dict[str, float] = {}

    @contextmanager
    def watch(title: str) -> Iterator[Callable[[int, int | None], None]]:
        started = time.perf_counter()
        yield lambda done, total: None
        steps[title] = time.perf_counter() - started

    started = time.perf_counter()
    opened = open_catalog(CatalogConfig(path=str(catalog)))
    batches = opened.batches(ROWS_AT_ONCE, columns=COLUMNS)
    update_aliases(BrandsConfig(aliases=str(aliases)), batches=batches, progress=watch)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    # Linux counts kilobytes, macOS bytes.
    peak_mb = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {"seconds": seconds, "steps": steps, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": peak_mb}


def score_catalog(catalog: Path, *, gold: str) -> dict[str, PairScore]:
    """Canonicalise a catalog afresh and hold the table against its gold column."""
    opened = open_catalog(CatalogConfig(path=str(catalog), columns={"brand_label": gold}))
    config = BrandsConfig()
    counted = count_supplied(opened.batches(ROWS_AT_ONCE, columns=COLUMNS), examples=config.examples)
    aliases = canonicalise(counted, config=config)
    batches = opened.batches(ROWS_AT_ONCE, columns=("brand", "brand_label"))
    parts = [pl.DataFrame(pl.from_arrow(batch.select(["brand", "brand_label"]))) for batch in batches]
    strings = judged_strings(pl.concat(parts).rename({"brand_label": "gold"}), table=aliases)
    own = without_foreign(strings)
    return {
        "all strings": score_pairs(strings, weighted=False),
        "all, weighted by products": score_pairs(strings, weighted=True),
        "without foreign strings": score_pairs(own, weighted=False),
        "without foreign, weighted": score_pairs(own, weighted=True),
    }


def score_table(scores: dict[str, PairScore]) -> str:
    """Precision, recall and F1, a line each."""
    rows = [
        [
            name,
            f"{score.num_strings:,}",
            f"{score.made:,}",
            f"{score.wanted:,}",
            *(figure(value, digits=4) for value in (score.precision, score.recall, score.f1)),
        ]
        for name, score in scores.items()
    ]
    return table(["pairs of", "strings", "made", "wanted", "precision", "recall", "F1"], rows=rows)


def size_table(sizes: list[SizeFigures]) -> str:
    """One line a generated catalog."""
    rows = [
        [
            f"{size.num_strings:,}",
            f"{size.num_products:,}",
            figure(size.seconds, digits=1),
            *(figure(size.steps[step], digits=1) for step in ("Counting brands", "Deciding brands")),
            figure(size.cpu_seconds, digits=1),
            figure(size.again_seconds, digits=1),
            f"{size.peak_mb:,.0f}",
        ]
        for size in sizes
    ]
    columns = ["strings", "products", "seconds", "counting", "deciding", "cpu s", "again s", "peak MB"]
    return table(columns, rows=rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strings", type=int, nargs="+", default=SIZES, help="sizes of the generated catalogs")
    parser.add_argument("--catalog", type=Path, help="a catalog with gold brands to score instead")
    parser.add_argument("--gold", default="brand_label", help="its column with the gold brand")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        print(json.dumps(be_child(chosen.child[0], aliases=chosen.child[1])))
        return
    about = machine()
    if chosen.catalog is not None:
        scores = score_catalog(chosen.catalog, gold=chosen.gold)
        figures = {name: asdict(score) for name, score in scores.items()}
        shown = f"{chosen.catalog.name} against {chosen.gold}:\n{score_table(scores)}"
    else:
        with tempfile.TemporaryDirectory() as folder:
            sizes = [measure(Path(folder), num_strings=number) for number in chosen.strings]
        figures = {"sizes": [asdict(size) for size in sizes]}
        truths = {f"{size.num_strings:,} {name}": score for size in sizes for name, score in size.scores.items()}
        shown = f"{size_table(sizes)}\n\nagainst the generator's truth:\n{score_table(truths)}"
    print(json.dumps({"machine": about, **figures}) if chosen.json else f"{headline(about)}\n\n{shown}")


if __name__ == "__main__":
    main()
