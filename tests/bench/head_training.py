"""Training a head beside its bare matrix products and a plain DataLoader loop, and its memory.

    python tests/bench/head_training.py                         1,000,000 products, 7,978 classes; memory at 100,000
    python tests/bench/head_training.py --products 100000 --classes 300 --steps 30

All vectors are synthetic: 4 features of 512 numbers, float16, resident on the device; the head is the default one.
    step        prodemb's training step: gather, hide features, standardise, forward, loss, backward, AdamW
    products    the step's five matrix products alone, into existing memory, in the number format of the step
    loop        a DataLoader over a Dataset of single products, shuffled, default collate; the same network on its whole
                logits, PyTorch's cross-entropy and default AdamW; float32
    loader      that DataLoader without any training
Steps and products take turns, then steps and loops do; rates and ratios are medians, above 1 is faster. An epoch is
measured on some of its steps, over all of its products. Memory is the peak of a process that trains only that.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from typing import Any, Literal, get_args

import torch
from measure import gpu_peak_mb, in_own_process, in_turn, median_ratio, peak_mb
from report import Failure, figure, options_parser, reporting, table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from prodemb.core.device import choose_device, fastest_dtype
from prodemb.core.features import BRAND_FEATURES
from prodemb.core.optim import adamw
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.examples import Examples
from prodemb.heads.fit import FitConfig, train_step
from prodemb.heads.network import HeadConfig, Network

DIM = 512
SHARE_PRESENT = 0.8
NUM_DISTINCT = 16_384
"""Products after which the vectors repeat; each has its own memory all the same."""
LOOP_BATCHES = (32, 64)
"""Batch sizes that loops are usually run with; that of the step comes on top."""
MEMORY_PRODUCTS, MEMORY_STEPS = 8_192, 3

Loss = Literal["chunked", "whole"]


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """The training step and its bare matrix products."""

    products_per_s: float
    epoch_s: float
    """For all products, by the median step."""
    to_products: float
    """The time of the bare matrix products to that of the step; 1 if the step were nothing else."""


@dataclass(frozen=True, kw_only=True)
class LoopFigures:
    """A DataLoader loop of one batch size."""

    products_per_s: float
    step_to_loop: float
    """By products per second."""
    loader_products_per_s: float


@dataclass(frozen=True, kw_only=True)
class MemoryFigures:
    """One process that trains with one loss."""

    products_per_s: float
    peak_mb: float
    gpu_peak_mb: float
    before_mb: float
    """With the network and the vectors in place, before the first step."""


class Products(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """One product at a time."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self._examples.vectors[index], self._examples.present[index], self._examples.labels[index]


class Training:
    """A network, its optimizer and its products."""

    def __init__(self, *, num_products: int, num_classes: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.device, self.num_classes = device, num_classes
        self.examples = _examples(num_products, num_classes=num_classes, device=device)
        network = Network(
            BRAND_FEATURES,
            dims=(DIM,) * len(BRAND_FEATURES),
            num_classes=num_classes,
            aggregate=AggregateConfig(),
            head=HeadConfig(),
        )
        self.network = network.to(device).train()
        self._config = FitConfig()
        self._optimizer = adamw(
            self.network.parameters(),
            learning_rate=self._config.learning_rate,
            weight_decay=self._config.weight_decay,
            fused=True,
        )
        self._default_optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3)
        self._rates = self._config.feature_dropout.rates(BRAND_FEATURES).to(device)

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """Indices of all products in a random order, in batches, over and over."""
        order = torch.randperm(len(self.examples.labels), device=self.device)
        return cycle(torch.split(order, batch_size))

    def step(self, batch: Tensor) -> None:
        train_step(
            self.network,
            self.examples,
            batch=batch,
            rates=self._rates,
            alone=0.0,
            optimizer=self._optimizer,
            label_smoothing=self._config.label_smoothing,
        )

    def plain_step(self, vectors: Tensor, present: Tensor, labels: Tensor, *, default_optimizer: bool) -> None:
        """A step on the whole logits, in float32, with PyTorch's default AdamW or with prodemb's."""
        optimizer = self._default_optimizer if default_optimizer else self._optimizer
        logits = self.network(vectors.to(self.device), present.to(self.device))
        loss = nn.functional.cross_entropy(logits, labels.to(self.device))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    def products(self, batch_size: int) -> Callable[[], None]:
        """The matrix products of one step: two forward, two for the weights, one for the hidden values."""
        dtype = fastest_dtype(self.device)
        in_dim, hidden = len(BRAND_FEATURES) * (DIM + 1), HeadConfig().hidden_layer_sizes[0]

        def matrix(num_rows: int, num_columns: int) -> Tensor:
            return torch.randn(num_rows, num_columns, device=self.device).to(dtype)

        inputs, first, last = matrix(batch_size, in_dim), matrix(hidden, in_dim), matrix(self.num_classes, hidden)
        values, of_logits = matrix(batch_size, hidden), matrix(batch_size, self.num_classes)
        of_values = matrix(batch_size, hidden)
        pairs = [(inputs, first.t()), (values, last.t())]
        pairs += [(of_logits, last), (of_logits.t(), values), (of_values.t(), inputs)]
        outs = [a @ b for a, b in pairs]

        def run() -> None:
            for (a, b), out in zip(pairs, outs, strict=True):
                torch.mm(a, b, out=out)

        return run


def _examples(num_products: int, *, num_classes: int, device: torch.device) -> Examples:
    block = torch.randn(min(num_products, NUM_DISTINCT), len(BRAND_FEATURES) * DIM).half().to(device)
    vectors = torch.empty(num_products, *block.shape[1:], dtype=torch.float16, device=device)
    for some in torch.split(vectors, len(block)):
        some.copy_(block[: len(some)])
    present = torch.rand(num_products, len(BRAND_FEATURES), device=device) < SHARE_PRESENT
    return Examples(vectors=vectors, present=present, labels=torch.randint(num_classes, (num_products,), device=device))


def measure_step(training: Training, *, batch_size: int, rounds: int) -> StepFigures:
    batches, products = training.batches(batch_size), training.products(batch_size)
    seconds = _in_turn(
        {"step": lambda: training.step(next(batches)), "products": products}, rounds=rounds, device=training.device
    )
    step_s = statistics.median(seconds["step"])
    return StepFigures(
        products_per_s=batch_size / step_s,
        epoch_s=step_s * len(training.examples.labels) / batch_size,
        to_products=median_ratio(seconds["products"], seconds["step"]),
    )


def measure_loop(training: Training, *, batch_size: int, step_size: int, rounds: int) -> LoopFigures:
    """A loop of one batch size, beside the step and beside the loader alone; a turn is one batch of each."""
    batches = training.batches(step_size)
    loader = DataLoader(Products(training.examples), batch_size=batch_size, shuffle=True)
    loop, alone = iter(loader), iter(loader)
    seconds = _in_turn(
        {
            "step": lambda: training.step(next(batches)),
            "loop": lambda: training.plain_step(*next(loop), default_optimizer=True),
            "loader": lambda: next(alone),
        },
        rounds=rounds,
        device=training.device,
    )
    return LoopFigures(
        products_per_s=batch_size / statistics.median(seconds["loop"]),
        step_to_loop=median_ratio(seconds["loop"], seconds["step"]) * step_size / batch_size,
        loader_products_per_s=batch_size / statistics.median(seconds["loader"]),
    )


def measure_memory(loss: Loss, *, num_classes: int, batch_size: int, device: torch.device) -> MemoryFigures:
    """Train some steps; to run in a process of its own."""
    training = Training(num_products=MEMORY_PRODUCTS, num_classes=num_classes, device=device)
    examples, batches, before = training.examples, training.batches(batch_size), peak_mb()

    def step() -> None:
        batch = next(batches)
        if loss == "chunked":
            training.step(batch)
        else:
            some = (examples.vectors[batch], examples.present[batch], examples.labels[batch])
            training.plain_step(*some, default_optimizer=False)

    seconds = _in_turn({"step": step}, rounds=MEMORY_STEPS, device=device)
    return MemoryFigures(
        products_per_s=batch_size / statistics.median(seconds["step"]),
        peak_mb=peak_mb(),
        gpu_peak_mb=gpu_peak_mb(),
        before_mb=before,
    )


def _in_turn(
    operations: dict[str, Callable[[], object]], *, rounds: int, device: torch.device
) -> dict[str, list[float]]:
    return in_turn(operations, rounds=rounds, wait=torch.cuda.synchronize if device.type == "cuda" else lambda: None)


def _memory_in_own_process(loss: Loss, options: argparse.Namespace) -> MemoryFigures:
    arguments = ["--memory-of", loss, "--device", options.device, "--batch-size", str(options.batch_size)]
    values: dict[str, Any] = in_own_process(__file__, *arguments, "--memory-classes", str(options.memory_classes))
    return MemoryFigures(**values)


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--products", type=int, default=1_000_000, help="resident products [1000000]")
    parser.add_argument("--classes", type=int, default=7_978, help="of the step and the loop [7978]")
    parser.add_argument("--memory-classes", type=int, default=100_000, help="of the memory part [100000]")
    parser.add_argument(
        "--batch-size", type=int, default=FitConfig().batch_size, help="products per step [the default]"
    )
    parser.add_argument("--steps", type=int, default=11, help="rounds of each comparison [11]")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--memory-of", choices=get_args(Loss), help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = choose_device(options.device)
    if options.memory_of:
        memory = measure_memory(
            options.memory_of, num_classes=options.memory_classes, batch_size=options.batch_size, device=device
        )
        print(json.dumps(asdict(memory)))
        return
    with reporting(options) as report:
        losses: dict[str, MemoryFigures | Failure] = {
            loss: report.attempt(f"memory, {loss}", partial(_memory_in_own_process, loss, options))
            for loss in get_args(Loss)
        }
        training = Training(num_products=options.products, num_classes=options.classes, device=device)
        size, rounds = options.batch_size, options.steps
        step = {
            f"{size:,} per step": report.attempt("step", lambda: measure_step(training, batch_size=size, rounds=rounds))
        }
        loops = {
            str(batch_size): report.attempt(
                f"loop of {batch_size}",
                partial(measure_loop, training, batch_size=batch_size, step_size=size, rounds=rounds),
            )
            for batch_size in (*LOOP_BATCHES, size)
        }
        report.add(
            f"{options.products:,} products x {options.classes:,} classes, {fastest_dtype(device)}, {device.type}\n\n"
            + table(["step", "products/s", "s per epoch", "matrix products to step"], step, cells=_cells),
            step=step,
        )
        columns = ["loop, batch size", "products/s", "step to loop", "loader alone/s"]
        report.add(table(columns, loops, cells=_cells), loops=loops)
        columns = [f"loss, {options.memory_classes:,} classes", "products/s", "peak MB", "GPU peak MB", "before MB"]
        report.add(table(columns, losses, cells=_cells), memory=losses)


def _cells(figures: StepFigures | LoopFigures | MemoryFigures) -> list[str]:
    return [figure(value, digits=0 if value > 1000 else 2) for value in asdict(figures).values()]


if __name__ == "__main__":
    main()
