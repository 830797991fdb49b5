"""The rows of the stage-one bench, and the process of its own that each runs in.

Nothing heavy is imported before a row needs it, so that a row's peak memory is its own.
"""

import gc
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from measure import RowError, busy_seconds, gpu_peak_mb, peak_mb

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from products import Batch

RowName = Literal["towers", "embed", "sentence-transformers", "transformers"]
ROW_NAMES: tuple[RowName, ...] = get_args(RowName)

CATALOG = "catalog.parquet"
INPUTS = "inputs.json"
BATCHES = "batches.pt"
BATCH = 32
"""Texts or pictures at a time in the plain loop of transformers: the default of sentence-transformers."""
PICTURES_OPEN = 256
CUDA_STREAMS = 2

Run = Callable[[], None]
Row = Callable[[Path], Run]
"""From a folder of products to what is timed."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a row's process needs to know."""

    row: RowName
    model: str
    """`bundled`, a folder or a hub id."""
    model_folder: str
    device: str
    dtype: str
    """Of embed and towers."""
    features: tuple[str, ...]
    products: str
    """The folder of the products that are timed."""
    few: str
    """The folder of a few of them, to warm up on."""
    out: str
    """A folder for what the row writes."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One run of a row."""

    seconds: float
    cpu_seconds: float
    """Processor time of the row's own process."""
    peak_mb: float
    """Of the process since it began."""
    gpu_peak_mb: float
    """Device memory that torch allocated at most; 0 without CUDA."""
    others_seconds: float
    """Processor time that other processes took meanwhile."""


class RowProcess:
    """A process that prepares one row and then runs it as often as asked."""

    def __init__(self, job: Job) -> None:
        """Start it; it prepares in the background."""
        Path(job.out).mkdir(parents=True, exist_ok=True)
        self._log = Path(job.out) / f"{job.row}.log"
        quiet = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, json.dumps(asdict(job))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | quiet,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def when_ready(self) -> Self:
        """Itself, once the row is prepared and warmed up.

        Raises:
            RowError: it failed.
        """
        self._answer()
        return self

    def run(self) -> Timing:
        """Run the row once.

        Raises:
            RowError: it failed.
        """
        assert self._process.stdin is not None
        try:
            print("run", file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self._answer()
        return Timing(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            lines = self._log.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
            raise RowError(f"its process ended with status {self._process.wait()}: {lines[-1]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RowError(answer["error"])
        return answer


def main() -> None:
    """The row's process: prepare, answer, then run once for each line on stdin."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not come between the answers
    values = json.loads(sys.argv[1])
    job = Job(**values | {"features": tuple(values["features"])})
    try:
        row = prepare(job)
        row(Path(job.few))()
        run = row(Path(job.products))
        print("{}", file=answers)
        for _ in sys.stdin:
            gc.collect()
            busy_before, cpu_before, started = busy_seconds(), time.process_time(), time.perf_counter()
            run()
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_before
            timing = Timing(
                seconds=seconds,
                cpu_seconds=cpu_seconds,
                peak_mb=peak_mb(),
                gpu_peak_mb=gpu_peak_mb(),
                others_seconds=max(0.0, busy_seconds() - busy_before - cpu_seconds),
            )
            print(json.dumps(asdict(timing)), file=answers)
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        print(json.dumps({"error": f"{type(error).__name__}: {first_line}"}), file=answers)


def prepare(job: Job) -> Row:
    """Load what the row needs and does not count."""
    match job.row:
        case "towers":
            return towers(job)
        case "embed":
            return embed(job)
        case "sentence-transformers":
            return sentence_transformers(job)
        case "transformers":
            return transformers(job)


def towers(job: Job) -> Row:
    """The bare towers on ready tensors."""
    import torch

    from prodemb.towers.checkpoint import find_checkpoint
    from prodemb.towers.load import load_towers

    loaded = load_towers(find_checkpoint(job.model), device=job.device, dtype=job.dtype)  # type: ignore[arg-type]

    def row(products: Path) -> Run:
        batches = torch.load(products / BATCHES, map_location=loaded.device)

        @torch.inference_mode()
        def encode(batch: "Batch") -> None:
            tower, inputs, named = batch
            vectors_of = loaded.text_vectors if tower == "text" else loaded.image_vectors
            vectors_of(*inputs, **named).half().cpu()

        return faster(
            lambda: deque(map(encode, batches), maxlen=0),
            lambda: side_by_side(encode, batches, device=loaded.device),
        )

    return row


def side_by_side(encode: "Callable[[Batch], None]", batches: "list[Batch]", *, device: "torch.device") -> None:
    """One batch a core, each by one thread; on CUDA in two streams."""
    import torch

    num_threads = torch.get_num_threads()
    on_cuda = device.type == "cuda"

    def start_thread() -> None:
        if on_cuda:
            torch.cuda.set_stream(torch.cuda.Stream(device))
        else:
            torch.set_num_threads(1)

    if not on_cuda:
        torch.set_num_threads(1)
    with ThreadPoolExecutor(CUDA_STREAMS if on_cuda else num_threads, initializer=start_thread) as threads:
        deque(threads.map(encode, batches), maxlen=0)
    torch.set_num_threads(num_threads)


def faster(*ways: Callable[[], object]) -> Run:
    """The one that takes less time now."""
    seconds = []
    for way in ways:
        started = time.perf_counter()
        way()
        seconds.append(time.perf_counter() - started)
    best = ways[seconds.index(min(seconds))]

    def run() -> None:
        best()

    return run


def embed(job: Job) -> Row:
    """prodemb, from opening the catalog to finished shards; it loads the checkpoint in that time."""
    import shutil

    from prodemb.catalog.images import ImagesConfig
    from prodemb.catalog.reader import CatalogConfig, open_catalog
    from prodemb.embed.config import EmbedConfig
    from prodemb.embed.embed import embed as embed_catalog

    config = EmbedConfig.model_validate(
        {"model": job.model, "out": f"{job.out}/shards", "features": job.features}
        | {"device": job.device, "dtype": job.dtype, "workers": 1}
    )

    def run(products: Path) -> None:
        shutil.rmtree(config.out, ignore_errors=True)
        catalog = open_catalog(CatalogConfig(path=str(products / CATALOG)))
        embed_catalog(config, catalog=catalog, images=ImagesConfig(allow_outside_root=True))

    return lambda products: partial(run, products)


def transformers(job: Job) -> Row:
    """A plain loop of transformers' model and processor; it loads the checkpoint in that time."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    device = _device(job)

    def row(products: Path) -> Run:
        inputs = json.loads((products / INPUTS).read_text())

        @torch.inference_mode()
        def run() -> None:
            clip = AutoModel.from_pretrained(job.model_folder, dtype=torch.float32).to(device).eval()
            tokenizer = AutoTokenizer.from_pretrained(job.model_folder)
            for texts in inputs["texts"].values():
                for start in range(0, len(texts), BATCH):
                    some = texts[start : start + BATCH]
                    tokens = tokenizer(some, padding="max_length", truncation=True, return_tensors="pt").to(device)
                    clip.get_text_features(**tokens).pooler_output.cpu()
            if inputs["pictures"]:
                processor = AutoImageProcessor.from_pretrained(job.model_folder)
                for pictures in opened(inputs["pictures"], at_once=BATCH):
                    pixels = processor(pictures, return_tensors="pt")["pixel_values"].to(device)
                    clip.get_image_features(pixel_values=pixels).pooler_output.cpu()

        return run

    return row


def sentence_transformers(job: Job) -> Row:
    """sentence-transformers with its default settings, loaded beforehand."""
    import torch
    from sentence_transformers import SentenceTransformer

    clip = SentenceTransformer(job.model_folder, device=_device(job), model_kwargs={"dtype": torch.float32})

    def row(products: Path) -> Run:
        inputs = json.loads((products / INPUTS).read_text())

        def run() -> None:
            for texts in inputs["texts"].values():
                clip.encode(texts, show_progress_bar=False)
            for pictures in opened(inputs["pictures"], at_once=PICTURES_OPEN):
                clip.encode(pictures, show_progress_bar=False)

        return run

    return row


def opened(paths: list[str], *, at_once: int) -> "Iterator[list[Image.Image]]":
    """Pictures from their files, some at a time; broken ones are left out."""
    from PIL import Image

    for start in range(0, len(paths), at_once):
        pictures = []
        for path in paths[start : start + at_once]:
            try:
                pictures.append(Image.open(path).convert("RGB"))
            except OSError:
                continue
        if pictures:
            yield pictures


def _device(job: Job) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if job.device == "auto" else job.device


if __name__ == "__main__":
    main()
