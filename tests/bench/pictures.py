"""Decoding pictures: prodemb's decoder against Hugging Face's processor and Pillow, and how it spreads over cores."""

import io
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from prodemb.core.device import DeviceName
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.image import ImagePreprocessor
from prodemb.towers.load import Towers, load_towers

EDGES = (600, 800, 1000, 1200)
"""Longest sides."""
QUALITY = 90
NUM_WORKERS = min(os.cpu_count() or 1, 32)
BATCH = 16
PATIENCE_SECONDS = 300.0

Decode = Callable[[bytes], Any]


@dataclass(frozen=True, kw_only=True)
class EdgeFigures:
    """Figures of pictures of one size; milliseconds are of one picture on one core."""

    edge: int
    num_pictures: int
    num_workers: int
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
    """Pictures a second: prodemb in one thread, in a thread a core, in a process a core."""
    threads_per_s: float
    processes_per_s: float


def measure_pictures(
    model: str, *, sources: Sequence[Path], device: DeviceName, rounds: int, at_most: int, tasks_a_worker: int
) -> list[EdgeFigures]:
    """The figures at each of `EDGES`, of at most that many of the pictures in `sources`.

    Args:
        model: `bundled`, a folder or a hub id.
        tasks_a_worker: pictures for each thread or process, where they are compared.

    Raises:
        ValueError: no picture can be opened.
    """
    folder = find_checkpoint(model).folder
    towers = load_towers(find_checkpoint(model), device=device, dtype="float32")
    decode = towers.image.decode
    originals = list(itertools.islice(_readable(sources), at_most))
    if not originals:
        raise ValueError("no picture to decode")
    context = multiprocessing.get_context("spawn")
    all_started = context.Barrier(NUM_WORKERS)
    figures = []
    with (
        ThreadPoolExecutor(NUM_WORKERS) as threads,
        ProcessPoolExecutor(
            NUM_WORKERS, mp_context=context, initializer=_start_worker, initargs=(folder, all_started)
        ) as processes,
    ):
        list(processes.map(_decode_in_worker, [_jpeg(originals[0], edge=EDGES[0])] * NUM_WORKERS))
        for edge in EDGES:
            files = [_jpeg(picture, edge=edge) for picture in originals]
            tasks = list(itertools.islice(itertools.cycle(files), tasks_a_worker * NUM_WORKERS))
            cosines = _cosines(files, towers=towers, reference=_reference(folder))
            with _one_torch_thread():
                alone = _times(files, decoders=_decoders(folder), rounds=rounds)
                rates = {
                    "one_per_s": _rate(tasks, map_all=lambda data: map(decode, data), rounds=rounds),
                    "threads_per_s": _rate(tasks, map_all=lambda data: threads.map(decode, data), rounds=rounds),
                    "processes_per_s": _rate(
                        tasks, map_all=lambda data: processes.map(_decode_in_worker, data, chunksize=4), rounds=rounds
                    ),
                }
            figures.append(
                EdgeFigures(
                    edge=edge,
                    num_pictures=len(files),
                    num_workers=NUM_WORKERS,
                    **{f"{name}_ms": statistics.median(times) for name, times in alone.items()},
                    to_reference=_ratio(alone["reference"], alone["prodemb"]),
                    to_pillow=_ratio(alone["pillow"], alone["prodemb"]),
                    mean_cosine=float(cosines.mean()),
                    worst_cosine=float(cosines.min()),
                    **rates,
                )
            )
    return figures


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


def _times(files: Sequence[bytes], *, decoders: dict[str, Decode], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a picture, of each decoder in each round; decoders take turns."""
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for decode in decoders.values():
        decode(files[0])
    for _ in range(rounds):
        for name, decode in decoders.items():
            started = time.perf_counter()
            for data in files:
                decode(data)
            times[name].append((time.perf_counter() - started) * 1000 / len(files))
    return times


def _rate(tasks: list[bytes], *, map_all: Callable[[list[bytes]], Iterable[Any]], rounds: int) -> float:
    """Pictures a second, the median of the rounds."""
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in map_all(tasks):
            pass
        rates.append(len(tasks) / (time.perf_counter() - started))
    return statistics.median(rates)


def _ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median over the rounds of how many times faster `fast` is."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


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


def _start_worker(folder: Path, all_started: Barrier) -> None:
    """Prepare a worker process, and hold it until all are there, so that none starts during a measurement."""
    global _preprocessor
    torch.set_num_threads(1)
    _preprocessor = ImagePreprocessor.from_folder(folder)
    all_started.wait(timeout=PATIENCE_SECONDS)


def _decode_in_worker(data: bytes) -> npt.NDArray[np.uint8]:
    return _preprocessor.decode(data)
