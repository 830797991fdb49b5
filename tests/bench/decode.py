"""Decoding pictures: prodemb's decoder beside Hugging Face's processor and Pillow, and how it spreads over cores.

    python tests/bench/decode.py                            pictures of the sample, at the bundled CLIP's 64 pixels
    python tests/bench/decode.py --model vit-b-32 --photos folder/of/jpegs

At each longest side: milliseconds per JPEG on one core with one thread (HF: Hugging Face's processor), the cosine of
the vectors of prodemb's and HF's pixels, and pictures/s in one thread, in a thread per core and in a process per core.
"""

import argparse
import io
import itertools
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from measure import in_turn, median_ratio
from PIL import Image
from products import SHAPES, make_checkpoint
from report import figure, options_parser, reporting, table

from prodemb.sample.catalog import write_sample
from prodemb.towers.checkpoint import BUNDLED, find_checkpoint
from prodemb.towers.image import ImagePreprocessor
from prodemb.towers.load import Towers, load_towers

EDGES = (600, 800, 1000, 1200)
"""Longest sides."""
QUALITY = 90
MAX_WORKERS = 32
BATCH = 16
START_TIMEOUT = 300.0

Decode = Callable[[bytes], Any]


@dataclass(frozen=True, kw_only=True)
class EdgeFigures:
    """Figures of pictures of one size; milliseconds are per picture on one core."""

    num_pictures: int
    reference_ms: float
    pillow_ms: float
    prodemb_ms: float
    to_reference: float
    """How many pictures prodemb decodes in the time in which the reference decodes one."""
    to_pillow: float
    mean_cosine: float
    """Between the vectors of prodemb's and of the reference's pixels."""
    worst_cosine: float
    one_per_s: float
    """Pictures per second: prodemb in one thread, in `--workers` threads, in as many processes."""
    threads_per_s: float
    processes_per_s: float


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Threads and processes, all started."""

    threads: Executor
    processes: Executor


@contextmanager
def started_workers(num_workers: int, *, folder: Path) -> Iterator[Workers]:
    """Workers that decode for the checkpoint in `folder`."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(num_workers)
    with (
        ThreadPoolExecutor(num_workers) as threads,
        ProcessPoolExecutor(
            num_workers, mp_context=context, initializer=_start_worker, initargs=(folder, barrier)
        ) as processes,
    ):
        list(processes.map(_decode_in_worker, [_jpeg(Image.new("RGB", (8, 8)), edge=8)] * num_workers))
        yield Workers(threads=threads, processes=processes)


def measure_edge(
    edge: int,
    *,
    originals: Sequence[Image.Image],
    towers: Towers,
    folder: Path,
    workers: Workers,
    options: argparse.Namespace,
) -> EdgeFigures:
    """The figures of the pictures scaled to a longest side of `edge`."""
    decode = towers.image.decode
    files = [_jpeg(picture, edge=edge) for picture in originals]
    tasks = list(itertools.islice(itertools.cycle(files), options.tasks * options.workers))
    cosines = _cosines(files, towers=towers, reference=_reference(folder))
    with _one_torch_thread():
        seconds = in_turn(
            {name: partial(_decode_all, files, decode=decode) for name, decode in _decoders(folder).items()},
            rounds=options.repeat,
        )
        rates = in_turn(
            {
                "one_per_s": lambda: _decode_all(tasks, decode=decode),
                "threads_per_s": lambda: list(workers.threads.map(decode, tasks)),
                "processes_per_s": lambda: list(workers.processes.map(_decode_in_worker, tasks, chunksize=4)),
            },
            rounds=options.repeat,
        )
    return EdgeFigures(
        num_pictures=len(files),
        **{f"{name}_ms": statistics.median(times) * 1000 / len(files) for name, times in seconds.items()},
        to_reference=median_ratio(seconds["reference"], seconds["prodemb"]),
        to_pillow=median_ratio(seconds["pillow"], seconds["prodemb"]),
        mean_cosine=float(cosines.mean()),
        worst_cosine=float(cosines.min()),
        **{name: len(tasks) / statistics.median(times) for name, times in rates.items()},
    )


def photos_in(folder: Path) -> list[Path]:
    """The JPEGs of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))


def _readable(sources: Iterable[Path]) -> Iterator[Image.Image]:
    for path in sources:
        try:
            yield Image.open(path).convert("RGB")
        except OSError:
            continue


def _jpeg(picture: Image.Image, *, edge: int) -> bytes:
    """A picture scaled to a longest side of `edge`, as a JPEG file."""
    share = edge / max(picture.size)
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _decoders(folder: Path) -> dict[str, Decode]:
    preprocessor = ImagePreprocessor.from_folder(folder)
    return {
        "reference": _reference(folder),
        "pillow": lambda data: _pillow(data, preprocessor=preprocessor),
        "prodemb": preprocessor.decode,
    }


def _reference(folder: Path) -> Callable[[bytes], torch.Tensor]:
    """Hugging Face's processor of the checkpoint: bytes to what the vision tower takes, (1, 3, height, width)."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder)

    def decode(data: bytes) -> torch.Tensor:
        pixels: torch.Tensor = processor(Image.open(io.BytesIO(data)), return_tensors="pt")["pixel_values"]
        return pixels

    return decode


def _pillow(data: bytes, *, preprocessor: ImagePreprocessor) -> npt.NDArray[np.uint8]:
    """Draft at twice the size wanted, as Pillow's thumbnails, resize and crop; (height, width, 3)."""
    image = Image.open(io.BytesIO(data))
    size, resample = preprocessor.size, Image.Resampling(preprocessor.resample)
    full = image.size
    if isinstance(size, int):
        width, height = (size * edge // min(full) for edge in full)
    else:
        height, width = size
    image.draft("RGB", (2 * width, 2 * height))
    resized = image.convert("RGB").resize((width, height), resample)
    tall, wide = preprocessor.crop or (height, width)
    left, top = (width - wide) // 2, (height - tall) // 2
    return np.asarray(resized.crop((left, top, left + wide, top + tall)))


@torch.inference_mode()
def _cosines(
    files: Sequence[bytes], *, towers: Towers, reference: Callable[[bytes], torch.Tensor]
) -> npt.NDArray[np.float32]:
    """Of each picture: its vector from prodemb's pixels with that from the reference's, (n,)."""
    cosines = []
    for start in range(0, len(files), BATCH):
        some = files[start : start + BATCH]
        ours = towers.image_vectors(torch.from_numpy(np.stack([towers.image.decode(data) for data in some])))
        wanted = torch.cat([reference(data) for data in some]).to(towers.device)
        output = towers.model.get_image_features(pixel_values=wanted)
        theirs = torch.nn.functional.normalize(getattr(output, "pooler_output", output).float(), dim=-1)
        cosines.append((ours * theirs).sum(1).cpu().numpy())
    return np.concatenate(cosines)


def _decode_all(files: Sequence[bytes], *, decode: Decode) -> None:
    for data in files:
        decode(data)


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_preprocessor: ImagePreprocessor
"""A worker process's own."""


def _start_worker(folder: Path, barrier: Barrier) -> None:
    """Prepare a worker process, and hold it until all have started, so that none starts during a measurement."""
    global _preprocessor
    torch.set_num_threads(1)
    _preprocessor = ImagePreprocessor.from_folder(folder)
    barrier.wait(timeout=START_TIMEOUT)


def _decode_in_worker(data: bytes) -> npt.NDArray[np.uint8]:
    return _preprocessor.decode(data)


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--model", default=BUNDLED, help=f"{BUNDLED}, {', '.join(SHAPES)}, a folder or a hub id")
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs [pictures of the generated sample]")
    parser.add_argument("--pictures", type=int, default=40, help="at most so many [40]")
    parser.add_argument("--edges", type=int, nargs="+", default=list(EDGES), help=f"longest sides {list(EDGES)}")
    parser.add_argument("--tasks", type=int, default=64, help="pictures per worker where workers are compared [64]")
    cores = min(os.cpu_count() or 1, MAX_WORKERS)
    parser.add_argument("--workers", type=int, default=cores, help="threads and processes [one per core]")
    parser.add_argument("--repeat", type=int, default=3, help="rounds [3]")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="of the cosines")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as temporary:
        model = find_checkpoint(make_checkpoint(options.model, folder=Path(temporary) / "checkpoint"))
        if options.photos is None:
            sample = write_sample(Path(temporary) / "sample", num_products=2 * options.pictures, seed=1)
        photos = options.photos or sample.parent / "images"
        originals = list(itertools.islice(_readable(photos_in(photos)), options.pictures))
        if not originals:
            parser.error(f"--photos {photos}: found no JPEG that can be opened")
        towers = load_towers(model, device=options.device, dtype="float32")
        with started_workers(options.workers, folder=model.folder) as workers:
            edges = {
                str(edge): report.attempt(
                    f"{edge} pixels",
                    partial(
                        measure_edge,
                        edge,
                        originals=originals,
                        towers=towers,
                        folder=model.folder,
                        workers=workers,
                        options=options,
                    ),
                )
                for edge in options.edges
            }
        columns = ["longest side", "HF ms", "Pillow ms", "prodemb ms", "to HF", "to Pillow", "cosine", "worst"]
        columns += ["1 thread/s", f"{options.workers} threads/s", f"{options.workers} processes/s"]
        report.add(f"{len(originals)} JPEGs for {options.model}\n\n{table(columns, edges, cells=_cells)}", edges=edges)


def _cells(edge: EdgeFigures) -> list[str]:
    return [
        *(figure(value) for value in (edge.reference_ms, edge.pillow_ms, edge.prodemb_ms)),
        *(figure(value, digits=1) for value in (edge.to_reference, edge.to_pillow)),
        *(figure(value, digits=5) for value in (edge.mean_cosine, edge.worst_cosine)),
        *(figure(value, digits=0) for value in (edge.one_per_s, edge.threads_per_s, edge.processes_per_s)),
    ]


if __name__ == "__main__":
    main()
