"""Fetching pictures in threads: local ones by the decode workers, those on servers through a fair queue of hosts."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import groupby, islice
from types import TracebackType
from typing import Generic, Self, TypeVar

from prodemb.catalog.budget import PictureCounts, picture_source
from prodemb.catalog.fair_queue import FairQueue
from prodemb.catalog.images import ImageLoader, failure_reason
from prodemb.catalog.urls import host_of
from prodemb.core.errors import ImagesError
from prodemb.towers.decoders import DECODERS

PICTURES_PER_TASK = 4
"""Local pictures that a worker takes at once: each task costs 30 microseconds that no other thread can use."""
PATIENCE_SECONDS = 600.0
"""Where no picture was ready for longer, the run ends with an error; where the deadline of a download is long, three
deadlines: a download may wait for another one's end, and then has its own."""

T = TypeVar("T")


class PictureBatch(Generic[T]):
    """Pictures that are being fetched; iterating waits for each in turn."""

    def __init__(
        self, cells: Sequence[str | bytes], tasks: "Sequence[Future[list[T | str]]]", *, fetcher: "PictureFetcher"
    ) -> None:
        self.counts = PictureCounts()
        """Of the pictures given out so far."""
        self._cells, self._tasks, self._fetcher = cells, tasks, fetcher

    def __iter__(self) -> Iterator[T | str]:
        """What `decode` made of each picture, or the reason why it failed, in the order of the cells.

        Raises:
            ImagesError: no picture, here or elsewhere, was ready in time.
        """
        cells = iter(self._cells)
        for task in self._tasks:
            results = self._fetcher.wait_for(task)
            if results is None:
                raise ImagesError(
                    f"a picture was not ready after {self._fetcher.timeout_s:.0f} s: {picture_source(next(cells))}"
                )
            for result, cell in zip(results, cells, strict=False):
                self.counts.add(cell, reason=result if isinstance(result, str) else None)
                yield result


class PictureFetcher:
    """Loads and decodes pictures, many at a time; `with` ends its threads."""

    def __init__(self, loader: ImageLoader, *, num_workers: int) -> None:
        """
        Args:
            num_workers: pictures that are decoded at a time; as many as the loader allows are fetched meanwhile.
        """
        self.loader = loader
        self.seconds = 0.0
        """Spent on decoding in all threads."""
        self.timeout_s = max(PATIENCE_SECONDS, 3 * loader.config.deadline_s)
        """How long it may take until the next picture is ready."""
        self._ready_at = time.monotonic()
        self._stopped = threading.Event()
        self._workers = ThreadPoolExecutor(num_workers, thread_name_prefix="decode")
        self._downloads = FairQueue(
            num_threads=loader.config.concurrency, share=loader.config.host_share, answers=loader.answers
        )
        self._decoding = threading.Semaphore(num_workers)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        if kind is not None:
            DECODERS.end()
        self._downloads.shutdown(wait=kind is None)
        self._workers.shutdown(wait=kind is None, cancel_futures=True)

    def fetch(self, cells: Sequence[str | bytes], decode: Callable[[bytes], T]) -> PictureBatch[T]:
        """Start on pictures, given as the catalog names them (paths, addresses) or holds them (bytes)."""
        return PictureBatch(cells, list(self._submit(cells, decode)), fetcher=self)

    def wait_for(self, task: "Future[list[T | str]]") -> list[T | str] | None:
        """The result of a task that was started here; None where for `timeout_s` no picture of any task was ready."""
        started = time.monotonic()
        while (left := max(started, self._ready_at) + self.timeout_s - time.monotonic()) > 0:
            with suppress(TimeoutError):
                return task.result(timeout=left)
        return None

    def _submit(self, cells: Sequence[str | bytes], decode: Callable[[bytes], T]) -> Iterator[Future[list[T | str]]]:
        """Some local pictures together, each other one alone."""
        for host, neighbours in groupby(cells, key=host_of):
            while some := list(islice(neighbours, PICTURES_PER_TASK if host is None else 1)):
                task = partial(self._load_all, some, decode)
                yield self._workers.submit(task) if host is None else self._downloads.submit(host, task)

    def _load_all(self, cells: Sequence[str | bytes], decode: Callable[[bytes], T]) -> list[T | str]:
        return [self._load(cell, decode) for cell in cells]

    def _load(self, cell: str | bytes, decode: Callable[[bytes], T]) -> T | str:
        if self._stopped.is_set():
            return "stopped"
        try:
            data = self.loader.load(cell)
            with self._decoding:
                if self._stopped.is_set():
                    return "stopped"
                started = time.perf_counter()
                picture = decode(data)
                seconds = time.perf_counter() - started
        except Exception as error:
            return failure_reason(error)
        finally:
            self._ready_at = time.monotonic()
        with self._lock:
            self.seconds += seconds
        return picture
