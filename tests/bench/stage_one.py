"""Stage one against its ceiling and its peers, its decoder and its shards; every figure from one run.

    python tests/bench/stage_one.py                 the sample, with the bundled CLIP and with one shaped like ViT-B/32
    python tests/bench/stage_one.py --catalog my.parquet --model openai/clip-vit-base-patch32 --limit 2000
    python tests/bench/stage_one.py --quick --json

Rows, each in a process of its own that lives as long as the run; they run in turn, `--repeat` times:
    ceiling     the bare towers on ready tensors: the very batches that embed forms, float16 results on the CPU; one
                after another on all cores, or one on each core, whichever was faster at a trial
    embed       embed() from opening the catalog to finished shards, loading the checkpoint included; one worker
    naive       transformers' own model and processor in a plain loop, loading the checkpoint included, float32
    peer        sentence-transformers with its default settings, loaded beforehand, float32 (if it is installed)

Each has run on a few products before it is timed, so imports do not count. Ratios are of rates (above 1 is faster),
taken in each round; their median is shown. Peak memory is of the row's whole process; the ceiling's holds all tensors.
What fails is named on stderr, and the rest goes on.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from pictures import EdgeFigures, measure_pictures, photos_in
from precision import PrecisionFigures, measure_precision
from products import Products, lay_out, vit_b_32
from recording import Recorded, record
from report import figure, headline, machine, table
from rows import ROW_NAMES, Job, RowError, RowName, RowProcess, Timing
from shard_rates import ShardRate, measure_shards

from prodemb.core.errors import ProdembError
from prodemb.sample.catalog import write_sample
from prodemb.towers.checkpoint import BUNDLED, find_checkpoint

VIT_B_32 = "vit-b-32"
NUM_FEW = 8
"""Products to warm up on."""
TOLERATED_SHARE = 0.1
"""Of the machine's cores, what other processes may take before the ratios are called in question."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    models: tuple[str, ...]
    products: int
    products_slow: int
    """For a checkpoint that is not the bundled one, on a CPU."""
    repeat: int
    pictures: int
    tasks_a_worker: int
    precision_products: int
    shard_products: int
    shard_dim: int
    shard_rounds: int


FULL = Size(
    models=(BUNDLED, VIT_B_32),
    products=600,
    products_slow=96,
    repeat=3,
    pictures=40,
    tasks_a_worker=64,
    precision_products=64,
    shard_products=262_144,
    shard_dim=512,
    shard_rounds=5,
)
QUICK = Size(
    models=(BUNDLED,),
    products=24,
    products_slow=24,
    repeat=1,
    pictures=4,
    tasks_a_worker=8,
    precision_products=8,
    shard_products=16_384,
    shard_dim=128,
    shard_rounds=1,
)


@dataclass(frozen=True, kw_only=True)
class RowFigures:
    """One row: the medians of its rounds. A ratio is absent where the other row is."""

    products_per_s: float
    to_ceiling: float | None
    to_peer: float | None
    to_naive: float | None
    peak_mb: float
    gpu_peak_mb: float
    others_cores: float
    """Cores that other processes kept busy meanwhile, on average."""
    seconds: list[float]


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """All that was measured with one checkpoint."""

    model: str
    catalog: str
    num_products: int
    towers: Recorded | None
    """What went through the towers, on which device and in which number format."""
    rows: dict[str, RowFigures]
    decode: list[EdgeFigures]
    precision: list[PrecisionFigures]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A whole run."""

    machine: dict[str, object]
    models: list[ModelFigures]
    shards: list[ShardRate]
    failed: dict[str, str]
    """What failed, and why in one line."""


class Bench:
    """One run: its options, its temporary folder, and what failed so far."""

    def __init__(self, options: argparse.Namespace, *, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._size = QUICK if options.quick else FULL
        self._repeat: int = options.repeat or self._size.repeat
        self._failed: dict[str, str] = {}

    def run(self) -> Figures:
        """Measure everything.

        Raises:
            ProdembError: the catalog or a checkpoint is not there.
        """
        names = self._options.model or self._size.models
        models = [self._measure_model(name, folder=self._folder / f"{place}") for place, name in enumerate(names)]
        shards = self._attempt(
            "shards",
            lambda: measure_shards(
                self._folder / "rates",
                num_products=self._size.shard_products,
                dim=self._size.shard_dim,
                rounds=self._size.shard_rounds,
            ),
        )
        return Figures(machine=machine(), models=models, shards=shards or [], failed=self._failed)

    def _measure_model(self, name: str, *, folder: Path) -> ModelFigures:
        model = str(vit_b_32(folder / VIT_B_32)) if name == VIT_B_32 else name
        checkpoint = find_checkpoint(model)
        limit = self._limit(name)
        path = self._catalog(limit=limit)
        products = self._lay_out(path, folder=folder / "products", limit=limit)
        few = self._lay_out(path, folder=folder / "few", limit=min(NUM_FEW, products.num_products))
        job = Job(
            row="embed",
            model=model,
            model_folder=str(checkpoint.folder),
            device=self._options.device,
            dtype=self._options.dtype,
            features=products.features,
            products=str(products.folder),
            few=str(few.folder),
            out=str(folder / "out"),
        )
        recorded = self._attempt(
            f"{name}: recording what embed hands to the towers",
            lambda: (record(job, products=few.folder), record(job, products=products.folder))[1],
        )
        rows = self._measure_rows(name, job=job, num_products=products.num_products)
        return ModelFigures(
            model=name,
            catalog=self._options.catalog or "the generated sample",
            num_products=products.num_products,
            towers=recorded,
            rows=rows,
            decode=self._attempt(f"{name}: decode", lambda: self._decode(model, products=products)) or [],
            precision=self._attempt(f"{name}: precision", lambda: self._precision(job, path=path, folder=folder)) or [],
        )

    def _limit(self, model: str) -> int | None:
        """The most products; None for all of them."""
        if self._options.limit is not None:
            return self._options.limit or None
        on_cpu = self._options.device == "cpu" or not torch.cuda.is_available()
        return self._size.products_slow if on_cpu and model != BUNDLED else self._size.products

    def _catalog(self, *, limit: int | None) -> str:
        if self._options.catalog:
            return str(self._options.catalog)
        num_products = limit or self._size.products
        return str(write_sample(self._folder / f"sample-{num_products}", num_products=num_products, seed=1))

    def _lay_out(self, path: str, *, folder: Path, limit: int | None) -> Products:
        return lay_out(path, folder=folder, limit=limit, text_only=self._options.text_only)

    def _measure_rows(self, model: str, *, job: Job, num_products: int) -> dict[str, RowFigures]:
        """Start all rows, let them run in turn, and work out their figures."""
        timings: dict[RowName, list[Timing]] = {}
        with ExitStack() as stack:
            processes = {
                row: stack.enter_context(RowProcess(replace(job, row=row, out=f"{job.out}/{row}"))) for row in ROW_NAMES
            }
            for row, process in processes.items():
                if self._attempt(f"{model}: {row}", process.when_ready):
                    timings[row] = []
            for _ in range(self._repeat):
                for row in list(timings):
                    timing = self._attempt(f"{model}: {row}", processes[row].run)
                    if timing is None:
                        del timings[row]
                    else:
                        timings[row].append(timing)
        rows: dict[str, RowFigures] = {
            row: _row_figures(row, timings=timings, num_products=num_products) for row in timings
        }
        _warn_if_disturbed(rows)
        return rows

    def _decode(self, model: str, *, products: Products) -> list[EdgeFigures]:
        sources = photos_in(Path(self._options.photos)) if self._options.photos else products.pictures
        if not sources:
            sample = write_sample(self._folder / "pictures", num_products=2 * self._size.pictures, seed=1)
            sources = photos_in(sample.parent / "images")
        return measure_pictures(
            model,
            sources=sources,
            device=self._options.device,
            rounds=self._repeat,
            at_most=self._size.pictures,
            tasks_a_worker=self._size.tasks_a_worker,
        )

    def _precision(self, job: Job, *, path: str, folder: Path) -> list[PrecisionFigures]:
        limit = min(self._size.precision_products, self._options.limit or self._size.precision_products)
        some = self._lay_out(path, folder=folder / "some", limit=limit)
        return measure_precision(job, products=some.folder)

    def _attempt(self, what: str, measure: Callable[[], T]) -> T | None:
        """The result, or None where it failed, which is then said in one line."""
        try:
            return measure()
        except Exception as error:  # the bench goes on with what works
            reason = str(error) if isinstance(error, RowError) else f"{type(error).__name__}: {error}"
            self._failed[what] = (reason.strip().splitlines() or [""])[0]
            print(f"{what}: {self._failed[what]}", file=sys.stderr)
            return None


def _row_figures(row: RowName, *, timings: dict[RowName, list[Timing]], num_products: int) -> RowFigures:
    own = [timing.seconds for timing in timings[row]]

    def ratio_to(other: RowName) -> float | None:
        if other not in timings:
            return None
        return statistics.median(timing.seconds / mine for timing, mine in zip(timings[other], own, strict=True))

    return RowFigures(
        products_per_s=num_products / statistics.median(own),
        to_ceiling=ratio_to("ceiling"),
        to_peer=ratio_to("peer"),
        to_naive=ratio_to("naive"),
        peak_mb=max(timing.peak_mb for timing in timings[row]),
        gpu_peak_mb=max(timing.gpu_peak_mb for timing in timings[row]),
        others_cores=sum(timing.others_seconds for timing in timings[row]) / sum(own),
        seconds=own,
    )


def _warn_if_disturbed(rows: dict[str, RowFigures]) -> None:
    others, cores = max((row.others_cores for row in rows.values()), default=0.0), os.cpu_count() or 1
    if others > TOLERATED_SHARE * cores:
        print(
            f"other processes kept up to {others:.1f} of {cores} cores busy: rows that run each operation on all cores "
            "(naive, peer) suffer far more than the others, and their ratios mean nothing; run it on a quiet machine",
            file=sys.stderr,
        )


def as_text(figures: Figures) -> str:
    """All tables."""
    parts = [_with_dtype(headline(figures.machine), models=figures.models)]
    for model in figures.models:
        parts += [_rows_text(model), _decode_text(model.decode), _precision_text(model.precision)]
    parts.append(_shards_text(figures.shards))
    return "\n\n".join(part for part in parts if part)


def _with_dtype(line: str, *, models: Sequence[ModelFigures]) -> str:
    dtypes = dict.fromkeys(f"{m.towers.dtype} on {m.towers.device}" for m in models if m.towers)
    return "; ".join([line, *dtypes])


def _rows_text(model: ModelFigures) -> str:
    on_gpu = any(row.gpu_peak_mb for row in model.rows.values())
    columns = ["", "products/s", "to ceiling", "to peer", "to naive", "peak MB", *(["GPU MB"] if on_gpu else [])]
    rows = []
    for name, row in model.rows.items():
        ratios = [figure(value) for value in (row.to_ceiling, row.to_peer, row.to_naive)]
        memory = [figure(row.peak_mb, digits=0), *([figure(row.gpu_peak_mb, digits=0)] if on_gpu else [])]
        rows.append([name, figure(row.products_per_s, digits=1), *ratios, *memory])
    title = f"{model.model}: {model.num_products:,} products of {model.catalog}"
    if towers := model.towers:
        title += (
            f"\nto the towers went {towers.num_texts:,} texts of {towers.num_tokens:,} tokens "
            f"({towers.num_padded_tokens:,} with padding) and {towers.num_pictures:,} pictures, "
            f"in {towers.num_batches:,} batches"
        )
    return f"{title}\n\n{table(columns, rows=rows)}"


def _decode_text(figures: Sequence[EdgeFigures]) -> str:
    if not figures:
        return ""
    title = (
        f"Decoding {figures[0].num_pictures} JPEGs: ms a picture on one core with one thread (HF: Hugging Face's "
        f"processor), the cosine of the\nvectors of prodemb's and HF's pixels, and pictures/s in one thread, in "
        f"{figures[0].num_workers} threads and in {figures[0].num_workers} processes"
    )
    columns = ["longest side", "HF", "Pillow", "prodemb", "to HF", "to Pillow", "cosine", "worst"]
    columns += ["1 thread/s", "threads/s", "processes/s"]
    rows = [
        [
            str(edge.edge),
            *(figure(value) for value in (edge.reference_ms, edge.pillow_ms, edge.prodemb_ms)),
            *(figure(value) for value in (edge.to_reference, edge.to_pillow)),
            *(figure(value, digits=5) for value in (edge.mean_cosine, edge.worst_cosine)),
            *(figure(value, digits=0) for value in (edge.one_per_s, edge.threads_per_s, edge.processes_per_s)),
        ]
        for edge in figures
    ]
    return f"{title}\n\n{table(columns, rows=rows)}"


def _precision_text(figures: Sequence[PrecisionFigures]) -> str:
    rows = [
        [f.tower, str(f.num_contents), figure(f.mean_cosine, digits=6), figure(f.worst_cosine, digits=6)]
        for f in figures
    ]
    return table(["bfloat16 to float32", "contents", "cosine", "worst"], rows=rows) if rows else ""


def _shards_text(rates: Sequence[ShardRate]) -> str:
    rows = [[r.operation, figure(r.gb_per_s), figure(r.to_copy), figure(r.to_fixed_size_list)] for r in rates]
    return table(["shards", "GB/s", "to plain copy", "to FixedSizeList"], rows=rows) if rows else ""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", action="append", help=f"{BUNDLED}, {VIT_B_32}, a folder or a hub id; may be repeated [both]"
    )
    parser.add_argument("--catalog", help="a catalog with the standard column names [a generated sample]")
    parser.add_argument(
        "--limit", type=int, help="its first so many products, 0 for all [600; 96 for a real CLIP on a CPU]"
    )
    parser.add_argument("--text-only", action="store_true", help="leave pictures out")
    parser.add_argument("--photos", help="a folder of JPEGs for the decode part [the catalog's pictures]")
    parser.add_argument("--repeat", type=int, help="rounds [3]")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument(
        "--dtype", default="auto", choices=["auto", "float32", "bfloat16"], help="of ceiling and embed [auto]"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object in place of tables")
    parser.add_argument("--quick", action="store_true", help="a smoke test: the bundled CLIP, 24 products, one round")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        try:
            figures = Bench(options, folder=Path(folder)).run()
        except ProdembError as error:
            sys.exit(f"{error}")
    print(json.dumps(asdict(figures), indent=2) if options.json else as_text(figures))


if __name__ == "__main__":
    main()
