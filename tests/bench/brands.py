"""The canonicaliser: seconds and peak memory as supplied strings grow, and precision and recall against gold brands.

    python tests/bench/brands.py                                   100,000 and 1,000,000 different supplied strings
    python tests/bench/brands.py --catalog mine.parquet --gold brand_label

Speed is of `prodemb brands` without the command line: reading the catalog, counting, deciding, writing the alias file;
in a process of its own with two threads. The catalogs are generated, with supplied brands as messy as partners make
them; precision and recall against the generator's truth show that nothing is broken, not how well real feeds go.

The unit of precision and recall is a pair of distinct supplied strings. A string's gold brand is that of most of its
products that have a gold label (the first in the alphabet on a tie); strings without any are left out.

    wanted       pairs of strings with one gold brand
    made         pairs that the table gives one canonical brand; UNKNOWN and UNBRANDED make none
    precision    wanted pairs among those made
    recall       made pairs among those wanted
    weighted     each pair counts as often as there are pairs of products that carry its two strings

Where a partner sent another brand's name with a product ("Puma" on shoes of Nike), the gold label is of the product and
the string means something else; no table can get such pairs right. `foreign` strings are those that spell another gold
brand than their own; figures are given with and without them. Rules and thresholds were chosen by looking at some
catalogs, so figures on those are not out of sample.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from measure import in_own_process
from report import Report, figure, options_parser, reporting, table
from supplied import write_supplied

from prodemb.aliases.alias_file import read_aliases
from prodemb.aliases.canonicalise import UNBRANDED, UNKNOWN, canonicalise, normalise_brand
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.counts import count_supplied
from prodemb.aliases.table import AliasTable
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.progress import ProgressCallback
from prodemb.job.brands import update_aliases

SIZES = (100_000, 1_000_000)
THREADS = 2
STEPS = ("Counting brands", "Deciding brands")
COLUMNS = ("brand", "title", "cat1", "cat2", "cat3")
ROWS_AT_ONCE = 8192
SCORE_COLUMNS = ("pairs of", "strings", "made", "wanted", "precision", "recall", "F1")


@dataclass(frozen=True, slots=True)
class GoldString:
    """One supplied string: its gold brand, the table's answer, and how many of its products have that gold brand."""

    supplied: str
    gold: str
    canonical: str | None
    products: int


@dataclass(frozen=True, kw_only=True)
class PairScore:
    """Counts of pairs of strings."""

    num_strings: int
    made: int
    wanted: int
    correct: int

    @property
    def precision(self) -> float | None:
        """Wanted pairs among those made; None where none was made."""
        return self.correct / self.made if self.made else None

    @property
    def recall(self) -> float | None:
        """Made pairs among those wanted; None where none was wanted."""
        return self.correct / self.wanted if self.wanted else None

    @property
    def f1(self) -> float | None:
        """Their harmonic mean."""
        return 2 * self.correct / (self.made + self.wanted) if self.made + self.wanted else None


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
    first, again = (_in_own_process(path, aliases=aliases) for _ in range(2))
    products = pl.read_parquet(path, columns=["brand", "brand_label"]).rename({"brand_label": "gold"})
    strings = gold_strings(products, aliases=read_aliases(aliases))
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


def _in_own_process(catalog: Path, *, aliases: Path) -> dict[str, Any]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "ARROW_NUM_THREADS"), str(THREADS))
    measured: dict[str, Any] = in_own_process(__file__, "--child", str(catalog), str(aliases), environment=threads)
    return measured


def run_child(catalog: Path, *, aliases: Path) -> dict[str, float | dict[str, float]]:
    """Canonicalise one catalog; seconds, and the peak of this process."""
    steps: dict[str, float] = {}

    @contextmanager
    def watch(title: str) -> Iterator[ProgressCallback]:
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
    """Canonicalise a catalog and evaluate the table against its gold column."""
    opened = open_catalog(CatalogConfig(path=str(catalog), columns={"brand_label": gold}))
    config = BrandsConfig()
    counted = count_supplied(opened.batches(ROWS_AT_ONCE, columns=COLUMNS), examples=config.examples)
    aliases = canonicalise(counted, config=config)
    batches = opened.batches(ROWS_AT_ONCE, columns=("brand", "brand_label"))
    parts = [pl.DataFrame(pl.from_arrow(batch.select(["brand", "brand_label"]))) for batch in batches]
    strings = gold_strings(pl.concat(parts).rename({"brand_label": "gold"}), aliases=aliases)
    own = without_foreign(strings)
    return {
        "all strings": score_pairs(strings, weighted=False),
        "all, weighted by products": score_pairs(strings, weighted=True),
        "without foreign strings": score_pairs(own, weighted=False),
        "without foreign, weighted": score_pairs(own, weighted=True),
    }


def gold_strings(products: pl.DataFrame, *, aliases: AliasTable) -> list[GoldString]:
    """The strings that have a gold brand.

    Args:
        products: columns brand and gold, one row per product.
        aliases: what is evaluated.
    """
    labelled = products.select(pl.col("brand", "gold").cast(pl.String)).drop_nulls().filter(pl.col("gold") != "")
    counted = labelled.group_by("brand", "gold").len().sort("brand", "len", "gold", descending=[False, True, False])
    chosen = counted.unique("brand", keep="first", maintain_order=True)
    found = []
    for supplied, gold, count in chosen.iter_rows():
        canonical = aliases.verdict(supplied)
        found.append(GoldString(supplied, gold, None if canonical in (UNKNOWN, UNBRANDED) else canonical, count))
    return found


def without_foreign(strings: Iterable[GoldString]) -> list[GoldString]:
    """Those that do not spell another gold brand than their own."""
    strings = list(strings)
    brands = {normalise_brand(one.gold): one.gold for one in strings}
    return [one for one in strings if brands.get(normalise_brand(one.supplied), one.gold) == one.gold]


def score_pairs(strings: Iterable[GoldString], *, weighted: bool) -> PairScore:
    """Count the pairs, as the module's docstring says."""
    strings = list(strings)
    made, wanted, correct = defaultdict(list), defaultdict(list), defaultdict(list)
    for one in strings:
        weight = one.products if weighted else 1
        wanted[one.gold].append(weight)
        if one.canonical is not None:
            made[one.canonical].append(weight)
            correct[one.canonical, one.gold].append(weight)
    counted = [sum(map(_pairs, groups.values())) for groups in (made, wanted, correct)]
    return PairScore(num_strings=len(strings), made=counted[0], wanted=counted[1], correct=counted[2])


def _pairs(weights: list[int]) -> int:
    """The sum of the products of all pairs."""
    return (sum(weights) ** 2 - sum(weight**2 for weight in weights)) // 2


def _score_cells(score: PairScore) -> list[str]:
    counts = (f"{count:,}" for count in (score.num_strings, score.made, score.wanted))
    return [*counts, *(figure(value, digits=4) for value in (score.precision, score.recall, score.f1))]


def _size_cells(size: SizeFigures) -> list[str]:
    seconds = (size.seconds, *(size.steps[step] for step in STEPS), size.cpu_seconds, size.again_seconds)
    counts = (f"{count:,}" for count in (size.num_strings, size.num_products))
    return [*counts, *(figure(value, digits=1) for value in seconds), f"{size.peak_mb:,.0f}"]


def report_sizes(report: Report, *, sizes: list[int]) -> None:
    """The generated catalogs: their speed, and the generator's truth."""
    with tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        found = {
            f"{size:,}": report.attempt(f"{size:,} strings", partial(measure, Path(folder), num_strings=size))
            for size in sizes
        }
    columns = ["", "strings", "products", "seconds", "counting", "deciding", "CPU s", "again s", "peak MB"]
    report.add(table(columns, found, cells=_size_cells), sizes=found)
    scores = {
        f"{name} {unit}": score
        for name, size in found.items()
        if isinstance(size, SizeFigures)
        for unit, score in size.scores.items()
    }
    report.add(f"against the generator's truth:\n{table(SCORE_COLUMNS, scores, cells=_score_cells)}")


def report_scores(report: Report, *, catalog: Path, gold: str) -> None:
    """One catalog against its gold column."""
    scores = score_catalog(catalog, gold=gold)
    report.add(f"{catalog.name} against {gold}:\n{table(SCORE_COLUMNS, scores, cells=_score_cells)}", scores=scores)


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--strings", type=int, nargs="+", default=list(SIZES), help=f"sizes {list(SIZES)}")
    parser.add_argument("--catalog", type=Path, help="a catalog with gold brands to evaluate instead")
    parser.add_argument("--gold", default="brand_label", help="its column with the gold brand [brand_label]")
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(run_child(options.child[0], aliases=options.child[1])))
        return
    with reporting(options) as report:
        if options.catalog is None:
            report_sizes(report, sizes=options.strings)
        else:
            report_scores(report, catalog=options.catalog, gold=options.gold)


if __name__ == "__main__":
    main()
