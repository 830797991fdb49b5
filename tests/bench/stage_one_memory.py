"""Peak memory of a text-only embed as catalogs grow; each size in a process of its own, the bundled CLIP.

    python tests/bench/stage_one_memory.py                          100,000 and 1,000,000 products
    python tests/bench/stage_one_memory.py --sizes 10000 40000 --json

The catalogs are synthetic Parquet with the repetition of real ones: titles of about ten words, nearly all distinct, no
descriptions, 8,000 brands by Zipf's law, and 20, 200 and 1,500 categories on three levels.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from report import figure, headline, machine, table
from rows import CATALOG, Job, RowError, RowProcess

from prodemb.core.features import TEXT_FEATURES
from prodemb.towers.checkpoint import BUNDLED, find_checkpoint

SIZES = (100_000, 1_000_000)
NUM_FEW = 8
NUM_WORDS, NUM_BRANDS = 20_000, 8_000
NUM_CATEGORIES = {"cat1": 20, "cat2": 200, "cat3": 1_500}
ROWS_AT_ONCE = 20_000
SYLLABLES = "ba ce di fo gu ka le mi no pu ra se ti vo xu".split()
COLUMNS = ("product_id", "title", "brand", "cat1", "cat2", "cat3")


@dataclass(frozen=True, kw_only=True)
class MemoryFigures:
    """One catalog."""

    num_products: int
    peak_mb: float
    gpu_peak_mb: float
    products_per_s: float
    seconds: float


def write_catalog(path: Path, *, num_products: int) -> None:
    """Write a synthetic catalog, some rows at a time."""
    rng = np.random.default_rng(0)
    words = np.array([_word(number) for number in range(NUM_WORDS)], dtype=object)
    brands = np.array([_word(NUM_WORDS + number).title() for number in range(NUM_BRANDS)], dtype=object)
    names = {
        level: np.array([f"{_word(7 * n).title()} {level[-1]}-{n}" for n in range(count)], dtype=object)
        for level, count in NUM_CATEGORIES.items()
    }
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, num_products, ROWS_AT_ONCE):
            count = min(ROWS_AT_ONCE, num_products - start)
            leaves = _zipf(rng, NUM_CATEGORIES["cat3"], count=count)
            rows = {
                "product_id": [f"p{number:08d}" for number in range(start, start + count)],
                "title": _titles(rng, words, count=count),
                "brand": brands[_zipf(rng, NUM_BRANDS, count=count)],
            }
            rows |= {level: names[level][leaves * n // NUM_CATEGORIES["cat3"]] for level, n in NUM_CATEGORIES.items()}
            writer.write_table(pa.table(rows, schema=schema))


def _titles(rng: np.random.Generator, words: npt.NDArray[np.object_], *, count: int) -> list[str]:
    """Titles of 7 to 13 words, frequent ones by Zipf's law."""
    lengths = rng.integers(7, 14, count)
    drawn = np.split(words[_zipf(rng, len(words), count=int(lengths.sum()))], np.cumsum(lengths)[:-1])
    return [" ".join(some) for some in drawn]


def _zipf(rng: np.random.Generator, num_values: int, *, count: int) -> npt.NDArray[np.int64]:
    """Numbers below `num_values`, the k-th with a probability in proportion to 1 / k."""
    shares = np.cumsum(1 / np.arange(1, num_values + 1))
    numbers: npt.NDArray[np.int64] = np.searchsorted(shares, rng.random(count) * shares[-1])
    return numbers


def _word(number: int) -> str:
    """A word of its own for each number."""
    parts = []
    number += len(SYLLABLES)
    while number:
        number, place = divmod(number, len(SYLLABLES))
        parts.append(SYLLABLES[place])
    return "".join(parts)


def measure(num_products: int, *, folder: Path, device: str, dtype: str) -> MemoryFigures:
    """Embed a catalog of that size in a process of its own, after a few products to warm up.

    Raises:
        RowError: it failed.
    """
    write_catalog(folder / "products" / CATALOG, num_products=num_products)
    write_catalog(folder / "few" / CATALOG, num_products=NUM_FEW)
    job = Job(
        row="embed",
        model=BUNDLED,
        model_folder=str(find_checkpoint(BUNDLED).folder),
        device=device,
        dtype=dtype,
        features=TEXT_FEATURES,
        products=str(folder / "products"),
        few=str(folder / "few"),
        out=str(folder / "out"),
    )
    with RowProcess(job) as process:
        timing = process.when_ready().run()
    return MemoryFigures(
        num_products=num_products,
        peak_mb=timing.peak_mb,
        gpu_peak_mb=timing.gpu_peak_mb,
        products_per_s=num_products / timing.seconds,
        seconds=timing.seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="products [100000 1000000]")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--json", action="store_true", help="one JSON object in place of a table")
    options = parser.parse_args()
    figures = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
            try:
                figures.append(measure(size, folder=Path(folder), device=options.device, dtype=options.dtype))
            except RowError as error:
                print(f"{size:,} products: {error}", file=sys.stderr)
    if not figures:
        sys.exit(1)
    smallest, largest = (pick(figures, key=lambda f: f.num_products) for pick in (min, max))
    ratio = largest.peak_mb / smallest.peak_mb
    about = machine()
    if options.json:
        print(json.dumps({"machine": about, "sizes": [asdict(f) for f in figures], "peak_ratio": ratio}, indent=2))
        return
    print(headline(about), end="\n\n")
    rows = [
        [figure(f.num_products, digits=0), figure(f.peak_mb, digits=0), figure(f.products_per_s, digits=0)]
        for f in figures
    ]
    print(table(["products", "peak MB", "products/s"], rows=rows), end="\n\n")
    print(f"peak of {largest.num_products:,} products to that of {smallest.num_products:,}: {ratio:.2f}")


if __name__ == "__main__":
    main()
