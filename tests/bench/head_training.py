"""Training a head against bare matrix products and a plain loop; its memory; and loading what it reads.

    python tests/bench/head_training.py                         1,000,000 products, 7,978 classes; memory at 100,000
    python tests/bench/head_training.py --products 100000 --classes 300 --steps 30
    python tests/bench/head_training.py --quick --json

All vectors are synthetic: 4 features of 512 numbers, float16, resident on the device; the head is the default one.
    step        prodemb's training step: gather, hide features, standardise, forward, loss, backward, AdamW
    products    the step's five matrix products alone, into memory that is there, in the number format of the step
    loop        a DataLoader over a Dataset of single products, shuffled, default collate; the same network on its whole
                logits, PyTorch's cross-entropy, AdamW as it comes; float32
    loader      that DataLoader without any training
Steps and products take turns, then steps and loops do; rates and ratios are medians, above 1 is faster. An epoch is
measured on some of its steps, over all of its products. Memory is the peak of a process that trains only that.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from report import figure, headline, machine, table
from rows import gpu_peak_mb, peak_mb
from shard_rates import write_shards
from torch.utils.data import DataLoader
from training import DIM, NUM_DISTINCT, Products, Training

from prodemb.core.device import choose_device, fastest_dtype
from prodemb.core.features import BRAND_FEATURES
from prodemb.heads.fit import FitConfig
from prodemb.shards.product_set import load_vectors
from prodemb.shards.reader import open_shard_set

LOOP_BATCHES = (32, 64)
"""Batch sizes that loops are customarily run with; that of the step comes on top."""
MEMORY_PRODUCTS, MEMORY_STEPS = 8_192, 3

Loss = Literal["chunked", "whole"]


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """The training step and its bare matrix products."""

    products_per_s: float
    epoch_s: float
    """Of all products, by the median step."""
    to_products: float
    """The time of the bare matrix products to that of the step; 1 if the step were nothing else."""


@dataclass(frozen=True, kw_only=True)
class LoopFigures:
    """A DataLoader loop of one batch size."""

    batch_size: int
    products_per_s: float
    step_to_loop: float
    """By products a second."""
    loader_products_per_s: float


@dataclass(frozen=True, kw_only=True)
class MemoryFigures:
    """One process that trains with one loss."""

    loss: Loss
    products_per_s: float
    peak_mb: float
    gpu_peak_mb: float
    before_mb: float
    """With the network and the vectors in place, before the first step."""


@dataclass(frozen=True, kw_only=True)
class LoadFigures:
    """`prodemb.shards.product_set.load_vectors` of all products and of four in five, by bytes over seconds."""

    rows: str
    gb_per_s: float
    to_copy: float
    """Against numpy's copy into memory that is there."""
    to_new_copy: float
    """Against numpy's copy into new memory, as loading needs it."""


def measure_step(training: Training, *, batch_size: int, rounds: int) -> StepFigures:
    batches, products = training.batches(batch_size), training.products(batch_size)
    steps, bare = _in_turn([lambda: training.step(next(batches)), products], rounds=rounds, device=training.device)
    seconds = statistics.median(steps)
    return StepFigures(
        products_per_s=batch_size / seconds,
        epoch_s=seconds * len(training.examples.labels) / batch_size,
        to_products=_ratio(bare, steps),
    )


def measure_loop(training: Training, *, batch_size: int, step_size: int, rounds: int) -> LoopFigures:
    """A loop of one batch size, beside the step and beside the loader alone; a turn is one batch of each."""
    batches = training.batches(step_size)
    loader = DataLoader(Products(training.examples), batch_size=batch_size, shuffle=True)
    loop, alone = iter(loader), iter(loader)
    steps, loops, loads = _in_turn(
        [
            lambda: training.step(next(batches)),
            lambda: training.plain_step(*next(loop), default_optimizer=True),
            lambda: next(alone),
        ],
        rounds=rounds,
        device=training.device,
    )
    return LoopFigures(
        batch_size=batch_size,
        products_per_s=batch_size / statistics.median(loops),
        step_to_loop=_ratio(loops, steps) * step_size / batch_size,
        loader_products_per_s=batch_size / statistics.median(loads),
    )


def measure_memory(loss: Loss, *, num_classes: int, batch_size: int, device: torch.device) -> MemoryFigures:
    """Train some steps; to be run in a process of its own."""
    training = Training(num_products=MEMORY_PRODUCTS, num_classes=num_classes, device=device)
    examples, batches, before = training.examples, training.batches(batch_size), peak_mb()

    def step() -> None:
        batch = next(batches)
        if loss == "chunked":
            training.step(batch)
        else:
            some = (examples.vectors[batch], examples.present[batch], examples.labels[batch])
            training.plain_step(*some, default_optimizer=False)

    (seconds,) = _in_turn([step], rounds=MEMORY_STEPS, device=device)
    return MemoryFigures(
        loss=loss,
        products_per_s=batch_size / statistics.median(seconds),
        peak_mb=peak_mb(),
        gpu_peak_mb=gpu_peak_mb(),
        before_mb=before,
    )


def measure_load(num_products: int, *, rounds: int) -> list[LoadFigures]:
    """From a shard set in the page cache."""
    block = (
        np.random.default_rng(0).standard_normal((min(num_products, NUM_DISTINCT), DIM), dtype=np.float32).astype("<f2")
    )
    with tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        write_shards(Path(folder), np.resize(block, (num_products, DIM)), features=BRAND_FEATURES)
        shard_set = open_shard_set(Path(folder))
        there = np.ones((num_products, len(BRAND_FEATURES), DIM), dtype=np.float16)
        copy = np.zeros_like(there)
        places = {
            "all": np.arange(num_products),
            "four in five": np.flatnonzero(np.random.default_rng(1).random(num_products) < 0.8),
        }
        loads = [
            lambda rows=rows: load_vectors(shard_set, features=BRAND_FEATURES, rows=rows) for rows in places.values()
        ]
        seconds = _in_turn(
            [lambda: np.copyto(copy, there), lambda: there.copy(), *loads], rounds=rounds, device=torch.device("cpu")
        )
    figures = []
    for (name, rows), times in zip(places.items(), seconds[2:], strict=True):
        share = len(rows) / num_products
        figures.append(
            LoadFigures(
                rows=name,
                gb_per_s=share * there.nbytes / statistics.median(times) / 1e9,
                to_copy=share * _ratio(seconds[0], times),
                to_new_copy=share * _ratio(seconds[1], times),
            )
        )
    return figures


def _in_turn(operations: list[Callable[[], object]], *, rounds: int, device: torch.device) -> list[list[float]]:
    """The seconds of each operation in each round, after one round to warm up."""
    seconds: list[list[float]] = [[] for _ in operations]
    for number in range(rounds + 1):
        for operation, times in zip(operations, seconds, strict=True):
            _wait(device)
            started = time.perf_counter()
            operation()
            _wait(device)
            if number:
                times.append(time.perf_counter() - started)
    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _ratio(times: list[float], others: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def _memory_in_a_process(loss: Loss, options: argparse.Namespace) -> MemoryFigures:
    command = [sys.executable, __file__, "--memory-of", loss, "--device", options.device]
    command += ["--memory-classes", str(options.memory_classes), "--batch-size", str(options.batch_size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return MemoryFigures(**json.loads(done.stdout))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=1_000_000, help="resident products [1000000]")
    parser.add_argument("--classes", type=int, default=7_978, help="of the step and the loop [7978]")
    parser.add_argument("--memory-classes", type=int, default=100_000, help="of the memory part [100000]")
    parser.add_argument("--load-products", type=int, default=131_072, help="of the loading part [131072]")
    parser.add_argument("--batch-size", type=int, default=FitConfig().batch_size, help="products a step [the default]")
    parser.add_argument("--steps", type=int, default=11, help="rounds of each comparison [11]")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--memory-of", choices=["chunked", "whole"], help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object in place of tables")
    parser.add_argument("--quick", action="store_true", help="a smoke test: some thousand products, one round")
    options = parser.parse_args()
    if options.quick:
        options.products, options.classes, options.memory_classes, options.load_products = 4_096, 50, 60, 2_048
        options.batch_size, options.steps = 256, 1
    return options


def main() -> None:
    options = arguments()
    device = choose_device(options.device)
    if options.memory_of:
        memory = measure_memory(
            options.memory_of, num_classes=options.memory_classes, batch_size=options.batch_size, device=device
        )
        print(json.dumps(asdict(memory)))
        return
    memories = [_memory_in_a_process(loss, options) for loss in ("chunked", "whole")]
    loads = measure_load(options.load_products, rounds=options.steps)
    training = Training(num_products=options.products, num_classes=options.classes, device=device)
    step = measure_step(training, batch_size=options.batch_size, rounds=options.steps)
    loops = [
        measure_loop(training, batch_size=size, step_size=options.batch_size, rounds=options.steps)
        for size in (*LOOP_BATCHES, options.batch_size)
    ]
    if options.json:
        parts = {"step": asdict(step), "loops": [asdict(f) for f in loops], "memory": [asdict(f) for f in memories]}
        print(json.dumps({"machine": machine(), **parts, "load": [asdict(f) for f in loads]}, indent=2))
        return
    print(headline(machine()), end="\n\n")
    print(
        f"{options.products:,} products x {options.classes:,} classes, {options.batch_size:,} a step, "
        f"{fastest_dtype(device)}, {device.type}: {figure(step.products_per_s, digits=0)} products/s, "
        f"{figure(step.epoch_s, digits=0)} s an epoch\nbare matrix products to step: {figure(step.to_products)}\n"
    )
    rows = [[str(f.batch_size), *(figure(v) for v in list(asdict(f).values())[1:])] for f in loops]
    print(table(["loop, batch size", "products/s", "step to loop", "loader alone/s"], rows=rows), end="\n\n")
    rows = [[f.loss, *(figure(v, digits=0) for v in list(asdict(f).values())[1:])] for f in memories]
    columns = [f"logits, {options.memory_classes:,} classes", "products/s", "peak MB", "GPU peak MB", "before MB"]
    print(table(columns, rows=rows), end="\n\n")
    rows = [[f.rows, *(figure(v) for v in list(asdict(f).values())[1:])] for f in loads]
    print(table(["load_vectors", "GB/s", "to copy", "to new copy"], rows=rows))


if __name__ == "__main__":
    main()
