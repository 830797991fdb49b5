"""Running batches through the towers side by side: one thread per core on a CPU, two streams on a CUDA device.

On a CPU a batch stays on one core. That is faster than all cores on one batch (no barrier after each operation: 3 % for
ViT-B/32, 17 % for the bundled CLIP on 2 cores, and decoders do not stall it), and a vector's last bits then do not
depend on the number of cores. Nor does a text stand beside longer ones there: padding it gives other last bits, while
how many texts a batch holds makes no difference in bfloat16, and at most one unit of float16 in float32. On CUDA the
copies of one batch run beside the kernels of the other, and batches are padded.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.core.errors import ModelError
from prodemb.towers.load import Towers
from prodemb.towers.text import token_batches
from prodemb.towers.text_encoder import TextEncoder

logger = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float16]

CPU_BATCH_TOKENS = 512
"""Padded tokens per batch on a CPU, where activations must stay in the core's cache: 4,096 are 15 % slower (B/32)."""
FIRST_BATCH_TOKENS = 4_096
"""From here on the best number is found by trial on CUDA."""
PAYS = 1.05
"""A batch of twice the size must be this many times faster, or the smaller one is kept."""
CUDA_STREAMS = 2
QUEUED_PER_THREAD = 2
"""Batches that may wait for each thread: what bounds the memory."""
PATIENCE_SECONDS = 600.0
"""A batch that has not come by then ends the run with an error."""


@dataclass
class TowerTimings:
    """Seconds in each tower, summed over the pool's threads, and how many distinct contents went through it."""

    text: float = 0.0
    image: float = 0.0
    encoder: float = 0.0
    """In the text encoder beside CLIP."""
    num_texts: int = 0
    num_images: int = 0
    num_joined: int = 0
    """Texts that went through that encoder."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Encoding:
    """The vectors of n contents, some of which may still be in the towers."""

    def __init__(self, num: int, *, dim: int) -> None:
        self._num, self._dim = num, dim
        self._parts: list[tuple[npt.NDArray[np.int64], Future[Vectors]]] = []

    def add(self, indices: npt.NDArray[np.int64], part: "Future[Vectors]") -> None:
        """Add the batch that holds the contents with these indices."""
        self._parts.append((indices, part))

    def result(self) -> Vectors:
        """Wait for the vectors, (n, dim) float16.

        Raises:
            ModelError: a tower failed, or has not answered within `PATIENCE_SECONDS`.
        """
        vectors = np.empty((self._num, self._dim), dtype="<f2")
        for indices, part in self._parts:
            try:
                vectors[indices] = part.result(timeout=PATIENCE_SECONDS)
            except TimeoutError:
                raise ModelError(f"a batch was not encoded after {PATIENCE_SECONDS:.0f} s") from None
        return vectors


class TowerPool:
    """Encodes strings and pictures in batches of at most `batch_tokens` padded tokens.

    Use it in a `with` block. Within, torch runs each operation on one CPU core, here and in threads started meanwhile.
    """

    def __init__(
        self,
        towers: Towers,
        *,
        batch_tokens: int | None = None,
        max_pictures: int = 1024,
        text_encoder: TextEncoder | None = None,
    ) -> None:
        """
        Args:
            batch_tokens: by default `CPU_BATCH_TOKENS`, and on CUDA found by trial.
            max_pictures: as many as are handed over at once at most, so the trial need not go further.
            text_encoder: one beside the towers, on their device; it shares their threads.
        """
        self.towers = towers
        self.text_encoder = text_encoder
        self.seconds = TowerTimings()
        self._on_cuda = towers.device.type == "cuda"
        self._torch_threads = torch.get_num_threads()
        self.num_threads = CUDA_STREAMS if self._on_cuda else self._torch_threads
        if batch_tokens is None:
            batch_tokens = _found_by_trial(towers, max_pictures=max_pictures) if self._on_cuda else CPU_BATCH_TOKENS
        self.batch_tokens = batch_tokens
        self._threads = ThreadPoolExecutor(self.num_threads, thread_name_prefix="tower", initializer=self._start_thread)
        self._queued = threading.Semaphore((1 + QUEUED_PER_THREAD) * self.num_threads)
        self._running = threading.Semaphore(self.num_threads)
        self._alone = threading.Lock()
        self._stream = threading.local()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        if self._on_cuda:
            torch.cuda.synchronize(self.towers.device)
        else:
            torch.set_num_threads(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._threads.shutdown(wait=kind is None, cancel_futures=True)
        finally:
            if not self._on_cuda:
                torch.set_num_threads(self._torch_threads)

    @property
    def pictures_per_batch(self) -> int:
        """Pictures in a full batch."""
        return max(1, self.batch_tokens // self.towers.image_tokens)

    def texts(self, texts: Sequence[str]) -> Encoding:
        """Encode strings by the text tower, those of like length together."""
        self.seconds.num_texts += len(texts)
        return self._texts(texts, by=self.towers, run=self._encode_texts)

    def joined(self, texts: Sequence[str]) -> Encoding:
        """Encode strings by the text encoder, likewise."""
        assert self.text_encoder is not None
        self.seconds.num_joined += len(texts)
        return self._texts(texts, by=self.text_encoder, run=self._encode_joined)

    def _texts(
        self, texts: Sequence[str], *, by: Towers | TextEncoder, run: "Callable[[list[Any]], Vectors]"
    ) -> Encoding:
        encoding = Encoding(len(texts), dim=by.dim)
        tokens = by.text.tokenize(texts)
        lengths = [_padded_length([ids], by=by) for ids in tokens]
        for indices in token_batches(lengths, max_tokens=self.batch_tokens, padded=self._on_cuda):
            batch = [tokens[index] for index in indices]
            encoding.add(np.asarray(indices), self._submit(run, batch))
        return encoding

    def images(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> Encoding:
        """Encode pictures, each (3, height, width) uint8."""
        encoding = Encoding(len(pixels), dim=self.towers.dim)
        size = self.pictures_per_batch
        for start in range(0, len(pixels), size):
            batch = list(pixels[start : start + size])
            encoding.add(np.arange(start, start + len(batch)), self._submit(self._encode_images, batch))
        self.seconds.num_images += len(pixels)
        return encoding

    def _submit(self, run: "Callable[[list[Any]], Vectors]", batch: "list[Any]") -> "Future[Vectors]":
        """Queue a batch for the next free thread, once only a few are waiting."""
        if not self._queued.acquire(timeout=PATIENCE_SECONDS):
            raise ModelError(f"the towers took no batch for {PATIENCE_SECONDS:.0f} s")
        if self._failure is not None:
            self._queued.release()
            raise self._failure
        future = self._threads.submit(run, batch)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: "Future[Vectors]") -> None:
        if not future.cancelled() and (failure := future.exception()) is not None:
            self._failure = self._failure or failure
        self._queued.release()

    def _start_thread(self) -> None:
        if self._on_cuda:
            self._stream.own = torch.cuda.Stream(self.towers.device)  # type: ignore[no-untyped-call]
        else:
            torch.set_num_threads(1)

    def _encode_texts(self, batch: list[list[int]]) -> Vectors:
        started = time.perf_counter()
        vectors = self._text_batch(batch, by=self.towers)
        with self.seconds.lock:
            self.seconds.text += time.perf_counter() - started
        return vectors

    def _encode_joined(self, batch: list[list[int]]) -> Vectors:
        assert self.text_encoder is not None
        started = time.perf_counter()
        vectors = self._text_batch(batch, by=self.text_encoder)
        with self.seconds.lock:
            self.seconds.encoder += time.perf_counter() - started
        return vectors

    def _text_batch(self, batch: list[list[int]], *, by: Towers | TextEncoder) -> Vectors:
        vectors_of = partial(self._text_vectors, by=by)
        return self._fitting(vectors_of, batch, tokens_each=_padded_length(batch, by=by))

    def _encode_images(self, batch: list[npt.NDArray[np.uint8]]) -> Vectors:
        started = time.perf_counter()
        vectors = self._fitting(self._image_vectors, batch, tokens_each=self.towers.image_tokens)
        with self.seconds.lock:
            self.seconds.image += time.perf_counter() - started
        return vectors

    def _fitting(self, vectors_of: "Callable[[list[Any]], Tensor]", batch: "list[Any]", *, tokens_each: int) -> Vectors:
        """Encode a batch; where the device's memory is too small beside other batches, alone, and then in pieces."""
        with self._running:
            try:
                return self._run(vectors_of, batch)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
        with self._alone:
            for _ in range(self.num_threads):
                self._running.acquire()
            try:
                return self._in_pieces(vectors_of, batch, tokens_each=tokens_each)
            finally:
                self._running.release(self.num_threads)

    def _in_pieces(
        self, vectors_of: "Callable[[list[Any]], Tensor]", batch: "list[Any]", *, tokens_each: int
    ) -> Vectors:
        """Encode a batch while no other runs; if it does not fit even so, in halves, and later batches are smaller."""
        if self._on_cuda:
            torch.cuda.empty_cache()
        try:
            return self._run(vectors_of, batch)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ModelError(
                    f"{self.towers.checkpoint.name}: too little memory on {self.towers.device} for a batch of one"
                ) from None
        half = len(batch) // 2
        if half * tokens_each < self.batch_tokens:
            self.batch_tokens = half * tokens_each
            logger.warning(
                "%s is out of memory: batches of %d tokens from here on", self.towers.device, self.batch_tokens
            )
        halves = (batch[:half], batch[half:])
        return np.concatenate([self._in_pieces(vectors_of, part, tokens_each=tokens_each) for part in halves])

    def _run(self, vectors_of: "Callable[[list[Any]], Tensor]", batch: "list[Any]") -> Vectors:
        with torch.inference_mode(), self._own_stream():
            vectors: Vectors = vectors_of(batch).half().cpu().numpy()
            return vectors

    def _text_vectors(self, batch: list[list[int]], *, by: Towers | TextEncoder) -> Tensor:
        token_ids, mask = (None if part is None else self._on_device(part) for part in by.text.pad(batch))
        assert token_ids is not None
        return by.text_vectors(token_ids, mask)

    def _image_vectors(self, batch: list[npt.NDArray[np.uint8]]) -> Tensor:
        return self.towers.image_vectors(self._on_device(torch.from_numpy(np.stack(batch))))

    def _on_device(self, values: Tensor) -> Tensor:
        """Copy to the device; from pinned memory, so that the copy runs beside other kernels."""
        return values.pin_memory().to(self.towers.device, non_blocking=True) if self._on_cuda else values

    def _own_stream(self) -> "AbstractContextManager[Any]":
        return torch.cuda.stream(self._stream.own) if self._on_cuda else nullcontext()


def _padded_length(batch: list[list[int]], *, by: Towers | TextEncoder) -> int:
    return by.text.max_length if by.text.pad_to_max else max(map(len, batch))


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had too little memory: torch says so, or one of the libraries under it."""
    message = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in message or "ALLOC_FAILED" in message


def best_batch_tokens(rate: Callable[[int], float], *, at_most: int) -> int:
    """The batch size from which doubling no longer pays.

    Args:
        at_most: where to stop.
        rate: tokens per second at a batch of so many tokens; raises OutOfMemoryError where they do not fit.
    """
    best, best_rate = FIRST_BATCH_TOKENS, 0.0
    tokens = FIRST_BATCH_TOKENS
    while tokens <= at_most:
        try:
            found = rate(tokens)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            break
        if found < PAYS * best_rate:
            break
        best, best_rate = tokens, found
        tokens *= 2
    return best


def _found_by_trial(towers: Towers, *, max_pictures: int) -> int:
    """Time the vision tower of a CUDA device at growing batches."""

    @torch.inference_mode()
    def rate(tokens: int) -> float:
        picture = torch.from_numpy(towers.image.grey()).to(towers.device)
        pixels = picture.repeat(max(1, tokens // towers.image_tokens), *(1 for _ in towers.image.shape))
        seconds = []
        for _ in range(3):
            torch.cuda.synchronize(towers.device)
            started = time.perf_counter()
            towers.image_vectors(pixels)
            torch.cuda.synchronize(towers.device)
            seconds.append(time.perf_counter() - started)
        return len(pixels) * towers.image_tokens / min(seconds)

    found = best_batch_tokens(rate, at_most=max(FIRST_BATCH_TOKENS, max_pictures * towers.image_tokens))
    torch.cuda.empty_cache()
    return found
