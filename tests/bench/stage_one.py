"""Throughput of stage one beside its ceiling and its peers.

    python tests/bench/stage_one.py                 the sample, with the bundled CLIP and with one shaped like ViT-B/32
    python tests/bench/stage_one.py --catalog my.parquet --model openai/clip-vit-base-patch32 --limit 2000

Rows, each in a process of its own for the whole run; they take turns, `--repeat` times:
    towers                  the bare towers on ready tensors, the ceiling: the very batches that embed forms, float16
                            results on the CPU; one after another on all cores, or one on each core, whichever was
                            faster at a trial
    embed                   embed() from opening the catalog to finished shards, loading the checkpoint included; one
                            worker
    sentence-transformers   its default settings, loaded beforehand, float32
    transformers            a plain loop of its model and processor, loading the checkpoint included, float32

Each has run on a few products before it is timed, so imports do not count. Ratios are of rates (above 1 is faster),
taken in each round; their median is shown. CPU ms is processor time per product, in all threads, which a busy machine
changes least. Peak memory is of the row's whole process; that of towers holds all tensors.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from products import SHAPES, Recorded, catalog_path, lay_out, make_checkpoint, record
from report import Failure, Report, figure, options_parser, reporting, table
from rows import ROW_NAMES, Job, RowName, RowProcess, Timing

from prodemb.towers.checkpoint import BUNDLED, find_checkpoint

MODELS = (BUNDLED, "vit-b-32")
NUM_PRODUCTS, NUM_PRODUCTS_SLOW = 600, 96
NUM_FEW = 8
"""Products to warm up on."""
TOLERATED_SHARE = 0.1
"""Of the machine's cores: what other processes may take before the ratios are called in question."""


@dataclass(frozen=True, kw_only=True)
class RowFigures:
    """One row: the medians of its rounds."""

    products_per_s: float
    ratios: dict[RowName, float]
    """This row's rate to that of each row."""
    cpu_ms: float
    """Processor time per product: what other work on the machine changes least."""
    peak_mb: float
    gpu_peak_mb: float
    others_cores: float
    """Cores that other processes kept busy meanwhile, on average."""
    seconds: list[float]


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """One checkpoint."""

    catalog: str
    num_products: int
    recorded: Recorded | Failure
    """What goes through the towers, on which device and in which number format."""
    rows: dict[RowName, RowFigures | Failure]


def measure(name: str, *, options: argparse.Namespace, report: Report, folder: Path) -> ModelFigures:
    """All rows of one checkpoint.

    Raises:
        ProdembError: the catalog or the checkpoint cannot be found or read.
    """
    model = make_checkpoint(name, folder=folder / "checkpoint")
    checkpoint, limit = find_checkpoint(model), _limit(name, options=options)
    path = catalog_path(options.catalog, folder=folder, num_products=limit or NUM_PRODUCTS)
    products = lay_out(path, folder=folder / "products", limit=limit, text_only=options.text_only)
    few = min(NUM_FEW, products.num_products)
    few_products = lay_out(path, folder=folder / "few", limit=few, text_only=options.text_only)
    job = Job(
        row="embed",
        model=model,
        model_folder=str(checkpoint.folder),
        device=options.device,
        dtype=options.dtype,
        features=products.features,
        products=str(products.folder),
        few=str(few_products.folder),
        out=str(folder / "out"),
    )

    def recorded() -> Recorded:
        record(job, products=few_products.folder)
        return record(job, products=products.folder)

    return ModelFigures(
        catalog=options.catalog or "the generated sample",
        num_products=products.num_products,
        recorded=report.attempt(f"{name}: recording what embed hands to the towers", recorded),
        rows=measure_rows(name, job=job, num_products=products.num_products, options=options, report=report),
    )


def _limit(model: str, *, options: argparse.Namespace) -> int | None:
    """The number of products to take; None for all of them."""
    if options.limit is not None:
        return options.limit or None
    on_cpu = options.device == "cpu" or not torch.cuda.is_available()
    return NUM_PRODUCTS_SLOW if on_cpu and model != BUNDLED else NUM_PRODUCTS


def measure_rows(
    model: str, *, job: Job, num_products: int, options: argparse.Namespace, report: Report
) -> dict[RowName, RowFigures | Failure]:
    """Start all rows, let them run in turn, and work out their figures."""
    timings: dict[RowName, list[Timing]] = {}
    rows: dict[RowName, RowFigures | Failure] = {}
    with ExitStack() as stack:
        processes = {
            row: stack.enter_context(RowProcess(replace(job, row=row, out=f"{job.out}/{row}"))) for row in options.rows
        }
        for row, process in processes.items():
            ready = report.attempt(f"{model}: {row}", process.when_ready)
            if isinstance(ready, Failure):
                rows[row] = ready
            else:
                timings[row] = []
        for _ in range(options.repeat):
            for row in list(timings):
                timing = report.attempt(f"{model}: {row}", processes[row].run)
                if isinstance(timing, Failure):
                    rows[row] = timing
                    del timings[row]
                else:
                    timings[row].append(timing)
    rows |= {row: _row_figures(row, timings=timings, num_products=num_products) for row in timings}
    return {row: rows[row] for row in options.rows}


def _row_figures(row: RowName, *, timings: dict[RowName, list[Timing]], num_products: int) -> RowFigures:
    own = [timing.seconds for timing in timings[row]]
    ratios = {
        other: statistics.median(timing.seconds / mine for timing, mine in zip(theirs, own, strict=True))
        for other, theirs in timings.items()
    }
    return RowFigures(
        products_per_s=num_products / statistics.median(own),
        ratios=ratios,
        cpu_ms=1000 * statistics.median(timing.cpu_seconds for timing in timings[row]) / num_products,
        peak_mb=max(timing.peak_mb for timing in timings[row]),
        gpu_peak_mb=max(timing.gpu_peak_mb for timing in timings[row]),
        others_cores=sum(timing.others_seconds for timing in timings[row]) / sum(own),
        seconds=own,
    )


def as_text(name: str, model: ModelFigures, *, others: Sequence[RowName]) -> str:
    """The table of one checkpoint."""
    columns = [name, "products/s", *(f"to {other}" for other in others), "CPU ms", "peak MB", "GPU MB", "others' cores"]
    title = f"{name}: {model.num_products:,} products of {model.catalog}"
    if isinstance(recorded := model.recorded, Recorded):
        title += (
            f", {recorded.dtype} on {recorded.device}\nthe towers take {recorded.num_texts:,} texts of "
            f"{recorded.num_tokens:,} tokens ({recorded.num_padded_tokens:,} with padding) and "
            f"{recorded.num_pictures:,} pictures, in {recorded.num_batches:,} batches"
        )

    def cells(row: RowFigures) -> list[str]:
        ratios = [figure(row.ratios.get(other)) for other in others]
        memory = [figure(megabytes, digits=0) for megabytes in (row.peak_mb, row.gpu_peak_mb)]
        others_cores = figure(row.others_cores, digits=1)
        return [figure(row.products_per_s, digits=1), *ratios, figure(row.cpu_ms, digits=1), *memory, others_cores]

    return f"{title}\n\n{table(columns, model.rows, cells=cells)}"


def _warn_if_disturbed(model: ModelFigures) -> None:
    busy = [row.others_cores for row in model.rows.values() if isinstance(row, RowFigures)]
    others, cores = max(busy, default=0.0), os.cpu_count() or 1
    if others > TOLERATED_SHARE * cores:
        print(
            f"other processes kept up to {others:.1f} of {cores} cores busy: rows that run each operation on all cores "
            "(transformers, sentence-transformers) suffer far more than the others; measure again on a quiet machine",
            file=sys.stderr,
        )


def main() -> None:
    parser = options_parser(__doc__)
    shapes = ", ".join(SHAPES)
    parser.add_argument(
        "--model", action="append", help=f"{BUNDLED}, {shapes}, a folder or a hub id; may be repeated {list(MODELS)}"
    )
    parser.add_argument("--catalog", help="a catalog with the standard column names [a generated sample]")
    parser.add_argument("--limit", type=int, help="its first products, 0 for all [600; 96 for a real CLIP on a CPU]")
    parser.add_argument("--text-only", action="store_true", help="leave pictures out")
    parser.add_argument("--rows", nargs="+", choices=ROW_NAMES, default=list(ROW_NAMES), help="[all]")
    parser.add_argument("--repeat", type=int, default=3, help="rounds [3]")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument(
        "--dtype", default="auto", choices=["auto", "float32", "bfloat16"], help="of towers and embed [auto]"
    )
    options = parser.parse_args()
    models: dict[str, ModelFigures] = {}
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as temporary:
        for number, name in enumerate(options.model or MODELS):
            models[name] = measure(name, options=options, report=report, folder=Path(temporary) / str(number))
            report.add(as_text(name, models[name], others=options.rows), models=models)
            _warn_if_disturbed(models[name])


if __name__ == "__main__":
    main()
