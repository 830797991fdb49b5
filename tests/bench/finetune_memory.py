"""What gradient caching costs and saves: peak memory and seconds per step, by mini-batch size.

    python tests/bench/finetune_memory.py
    python tests/bench/finetune_memory.py --batch-size 1024 --mini-batch-sizes 256 64 --model my-clip

Each row is a process of its own that makes the gradients of the same batch of generated products, whole or in
mini-batches. Memory is the process's peak beyond what it held with model and products loaded.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from measure import in_own_process, peak_mb
from report import Failure, figure, options_parser, reporting, table

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.data import read_labelled_products, read_pictures
from prodemb.finetune.processes import Processes
from prodemb.finetune.step import Step
from prodemb.finetune.trainer import scale_parameter
from prodemb.sample.catalog import write_sample
from prodemb.taxonomy.taxonomy import sample_taxonomy
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers

WHOLE = "whole batch"


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """The gradients of one batch."""

    peak_mb: float
    """Beyond what the process held with model and products loaded."""
    seconds: float
    """Median per step."""
    cpu_seconds: float


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--model", default="bundled", help="the checkpoint [bundled]")
    parser.add_argument("--batch-size", type=int, default=512, help="products per step [512]")
    parser.add_argument(
        "--mini-batch-sizes", type=int, nargs="+", default=[256, 64, 16], help="beside the whole batch [256 64 16]"
    )
    parser.add_argument("--steps", type=int, default=3, help="steps that are timed, after one that is not [3]")
    parser.add_argument("--child", nargs=2, metavar=("CATALOG", "MINI_BATCH_SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        catalog, size = options.child
        print(json.dumps(asdict(measure(Path(catalog), mini_batch_size=int(size) or None, options=options))))
        return
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        catalog = write_sample(Path(folder), num_products=2 * options.batch_size, seed=5)
        rows = {
            str(size or WHOLE): report.attempt(
                f"mini-batch size {size or WHOLE}",
                partial(_in_own_process, catalog, mini_batch_size=size, options=options),
            )
            for size in (0, *options.mini_batch_sizes)
        }
        whole = rows[WHOLE]

        def cells(row: StepFigures) -> list[str]:
            ratio = None if isinstance(whole, Failure) else row.cpu_seconds / whole.cpu_seconds
            return [figure(row.peak_mb, digits=0), figure(row.seconds), figure(row.cpu_seconds), figure(ratio)]

        columns = ["mini-batch size", "peak MB", "s per step", "CPU s per step", "CPU time to whole"]
        report.add(f"batches of {options.batch_size}\n\n{table(columns, rows, cells=cells)}", rows=rows)


def _in_own_process(catalog: Path, *, mini_batch_size: int, options: argparse.Namespace) -> StepFigures:
    arguments = ["--model", options.model, "--batch-size", str(options.batch_size), "--steps", str(options.steps)]
    values: dict[str, float] = in_own_process(__file__, *arguments, "--child", str(catalog), str(mini_batch_size))
    return StepFigures(**values)


def measure(catalog: Path, *, mini_batch_size: int | None, options: argparse.Namespace) -> StepFigures:
    """Make the gradients of the same batch a few times; to run in a process of its own."""
    towers = load_towers(find_checkpoint(options.model), for_training=True)
    towers.model.train()
    opened = open_catalog(CatalogConfig(path=str(catalog)))
    with ImageLoader(ImagesConfig(), root=catalog.parent) as loader:
        products = read_labelled_products(opened, taxonomy=sample_taxonomy(), loader=loader)
        pictures = read_pictures(
            opened,
            products=products,
            loader=loader,
            preprocessor=towers.image,
            most_bytes=10**10,
            scratch=catalog.parent,
        )
    step = Step(
        FinetuneConfig(mini_batch_size=mini_batch_size),
        towers=towers,
        products=products,
        pictures=pictures,
        paths=[label.path for label in products.classes],
        processes=Processes(),
    )
    rows = np.resize(products.train, options.batch_size)
    before, seconds, cpu_seconds = peak_mb(), [], []
    for number in range(options.steps + 1):
        started, cpu_started = time.perf_counter(), time.process_time()
        step.backpropagate(rows, step=number, log_scale=scale_parameter(towers))
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    return StepFigures(
        peak_mb=peak_mb() - before,
        seconds=statistics.median(seconds[1:]),
        cpu_seconds=statistics.median(cpu_seconds[1:]),
    )


if __name__ == "__main__":
    main()
