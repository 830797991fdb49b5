"""What gradient caching costs and saves: peak memory and seconds a step, by chunk size.

    python tests/bench/finetune_memory.py
    python tests/bench/finetune_memory.py --batch-size 1024 --chunk-sizes 256 64 --model openai/clip-vit-base-patch32

Each row is a process of its own that makes the gradients of the same batch of generated products, whole or in chunks.
Memory is the process's peak beyond what it held with model and products loaded.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from report import figure, headline, machine, table

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


def main() -> None:
    """Run what the command line asks for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled", help="the checkpoint")
    parser.add_argument("--batch-size", type=int, default=512, help="products a step")
    parser.add_argument("--chunk-sizes", type=int, nargs="+", default=[256, 64, 16], help="beside the whole batch")
    parser.add_argument("--steps", type=int, default=3, help="steps that are timed, after one that is not")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--child", nargs=2, metavar=("CATALOG", "CHUNK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        catalog, chunk = options.child
        print(json.dumps(measure(Path(catalog), mini_batch_size=int(chunk) or None, options=options)))
        return
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        catalog = write_sample(Path(folder), num_products=2 * options.batch_size, seed=5)
        for mini_batch_size in (0, *options.chunk_sizes):
            command = [sys.executable, __file__, *sys.argv[1:], "--child", str(catalog), str(mini_batch_size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows[str(mini_batch_size or "whole batch")] = json.loads(done.stdout)
    if options.json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=2))
        return
    print(headline(machine()))
    whole = rows["whole batch"]
    cells = [
        [
            name,
            figure(row["peak_mb"], digits=0),
            figure(row["seconds"]),
            figure(row["cpu_seconds"] / whole["cpu_seconds"]),
        ]
        for name, row in rows.items()
    ]
    print(table(("chunk", "peak MB", "s/step", "CPU time to whole"), rows=cells))


def measure(catalog: Path, *, mini_batch_size: int | None, options: argparse.Namespace) -> dict[str, float]:
    """Peak memory in MB and median seconds of a step's gradients."""
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
    before, seconds, cpu_seconds = _peak_mb(), [], []
    for number in range(options.steps + 1):
        started, cpu_started = time.perf_counter(), time.process_time()
        step.backpropagate(rows, step=number, log_scale=scale_parameter(towers))
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    return {
        "peak_mb": _peak_mb() - before,
        "seconds": statistics.median(seconds[1:]),
        "cpu_seconds": statistics.median(cpu_seconds[1:]),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
