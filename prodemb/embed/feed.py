"""The feed: reads catalog rows and decodes their pictures ahead of the towers, through bounded queues."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.catalog.budget import PictureCounts
from prodemb.catalog.fair_queue import Turns
from prodemb.catalog.images import ImageLoader, why_absent
from prodemb.catalog.reader import Catalog
from prodemb.catalog.urls import host_of
from prodemb.core.errors import CatalogError
from prodemb.embed.reuse import Reuse
from prodemb.shards.format import HASH_BYTES, NO_VALUE
from prodemb.shards.hashes import RowsHash, content_hash, image_sources
from prodemb.towers.image import ImagePreprocessor

WINDOWS_AHEAD = 4
"""Windows that may wait, read and being decoded, for the towers."""
PICTURES_A_TASK = 4
"""Local pictures that a worker takes at once: each task costs 30 microseconds that no other thread can use."""
POLL_SECONDS = 1.0
"""How often it is looked whether the reader gets on."""
PATIENCE_SECONDS = 600.0
"""A reader that has not got on for so long ends the run with an error, and so does a picture, or where the deadline is
long, after three of them: it may wait for another one's end, and then has its own. Nothing waits for ever."""


@dataclass(frozen=True)
class Picture:
    """A picture and the hash of the bytes it came from."""

    content_hash: bytes
    pixels: npt.NDArray[np.uint8] | None
    """(3, height, width); None where an earlier set has its vector."""


@dataclass(frozen=True)
class Window:
    """Some neighbouring rows of one shard."""

    shard: int
    rows: pa.Table
    rows_hash: RowsHash
    """The shard's; whole once the shard's last window has come."""
    cells: list[str | bytes | None]
    """Where each row's picture is, as the catalog says. Empty if no pictures were asked for."""
    sources: npt.NDArray[np.uint8]
    """`image_sources` of the rows."""
    known: list[Picture | str | None]
    """The picture of each row, or the reason why there is none; None where it has to be loaded."""
    loading: "list[Future[list[Picture | str]]]"
    """Those that have to be loaded, some at a time, in order."""


@dataclass
class FeedSeconds:
    """Where the feed's time went; decoding is summed over its workers."""

    reading: float = 0.0
    decoding: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_decoding(self, seconds: float) -> None:
        """Count what a worker spent."""
        with self.lock:
            self.decoding += seconds


class Feed:
    """Iterates over the windows of the shards that are to be made, in catalog order."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        loader: ImageLoader | None,
        preprocessor: ImagePreprocessor | None,
        shard_size: int,
        window: int,
        num_workers: int,
        num_shards: int,
        is_mine: Callable[[int], bool],
        reuse_for: Callable[[int], Reuse | None],
    ) -> None:
        """
        Args:
            loader: where pictures come from; None leaves them out.
            window: rows at once; divides `shard_size`.
            num_workers: pictures that are decoded at a time; as many as the loader allows are fetched meanwhile.
            num_shards: how many the catalog had when the run began.
            is_mine: whether the shard at this place is to be made; asked once for each, in their order.
            reuse_for: the earlier set from which the shard at this place may take vectors, if any.
        """
        self.seconds = FeedSeconds()
        self.counts = PictureCounts()
        """Of the pictures that were given out so far."""
        self._catalog = catalog
        self._loader, self._preprocessor = loader, preprocessor
        self._shard_size, self._window = shard_size, window
        self._num_shards, self._is_mine, self._reuse_for = num_shards, is_mine, reuse_for
        self._queue: queue.Queue[Window | BaseException | None] = queue.Queue(maxsize=WINDOWS_AHEAD)
        self._stop = threading.Event()
        self._workers = ThreadPoolExecutor(num_workers, thread_name_prefix="decode")
        self._downloads: Turns[list[Picture | str]] = Turns(
            num_threads=1 if loader is None else loader.config.concurrency,
            share=1 if loader is None else loader.config.host_share,
        )
        self._decoding = threading.Semaphore(num_workers)
        self._patience_s = max(PATIENCE_SECONDS, 0.0 if loader is None else 3 * loader.config.deadline_s)
        self._got_on = time.monotonic()
        self._reader = threading.Thread(target=self._read, name="read", daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._downloads.shutdown(wait=kind is None)
        self._workers.shutdown(wait=kind is None, cancel_futures=True)
        self._reader.join(timeout=PATIENCE_SECONDS if kind is None else 5.0)

    def __iter__(self) -> Iterator[Window]:
        while True:
            try:
                item = self._queue.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if time.monotonic() - self._got_on > PATIENCE_SECONDS:
                    raise CatalogError(f"{self._catalog.name}: no rows came for {PATIENCE_SECONDS:.0f} s") from None
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def pictures(self, window: Window) -> Iterator[Picture | str]:
        """The window's pictures, one a row, or the reason why there is none.

        Raises:
            CatalogError: the decoders have not answered within `PATIENCE_SECONDS`.
        """
        loaded = self._loaded(window)
        for cell, known in zip(window.cells, window.known, strict=True):
            if known is not None:
                yield known
                continue
            picture = next(loaded)
            assert cell is not None
            self.counts.add(cell, reason=picture if isinstance(picture, str) else None)
            yield picture

    def _loaded(self, window: Window) -> Iterator[Picture | str]:
        for task in window.loading:
            try:
                yield from task.result(timeout=self._patience_s)
            except TimeoutError:
                raise CatalogError(
                    f"{self._catalog.name}: a picture was not ready after {self._patience_s:.0f} s"
                ) from None

    def _read(self) -> None:
        try:
            place, shard, is_mine = 0, -1, False
            batches = self._catalog.batches(self._window)
            while not self._stop.is_set():
                started = time.perf_counter()
                rows = next(batches, None)
                self.seconds.reading += time.perf_counter() - started
                self._got_on = time.monotonic()
                if rows is None:
                    self._put(None)
                    return
                if place // self._shard_size != shard:
                    shard = place // self._shard_size
                    if shard >= self._num_shards:
                        raise CatalogError(f"{self._catalog.name}: grew while it was read; run again")
                    is_mine = self._is_mine(shard)
                    rows_hash = RowsHash()
                place += rows.num_rows
                if is_mine:
                    self._put(self._window_of(rows, shard=shard, rows_hash=rows_hash))
        except BaseException as error:
            self._put(error)

    def _window_of(self, rows: pa.Table, *, shard: int, rows_hash: RowsHash) -> Window:
        """Take in the rows, and start loading those of their pictures that nobody knows."""
        if self._loader is None:
            rows_hash.update(rows, sources=None)
            nothing = np.zeros((0, HASH_BYTES), dtype=np.uint8)
            return Window(shard=shard, rows=rows, rows_hash=rows_hash, cells=[], sources=nothing, known=[], loading=[])
        cells = rows["image"].to_pylist()
        sources = image_sources(cells, loader=self._loader)
        rows_hash.update(rows, sources=sources)
        reuse = self._reuse_for(shard)
        known: list[Picture | str | None] = [None] * len(cells)
        if reuse is not None:
            known = [
                None if found is None else found.absent or Picture(content_hash=found.content_hash, pixels=None)
                for found in reuse.pictures(sources)
            ]
        known = [NO_VALUE if cell is None else found for cell, found in zip(cells, known, strict=True)]
        unknown = [cell for cell, found in zip(cells, known, strict=True) if found is None]
        return Window(
            shard=shard,
            rows=rows,
            rows_hash=rows_hash,
            cells=cells,
            sources=sources,
            known=known,
            loading=list(self._start_loading(unknown, reuse)),
        )

    def _start_loading(self, cells: list[str | bytes], reuse: Reuse | None) -> Iterator[Future[list[Picture | str]]]:
        """Some local pictures together, each other one alone."""
        for host, neighbours in groupby(cells, key=host_of):
            if host is not None:
                for cell in neighbours:
                    yield self._downloads.submit(host, partial(self._load, [cell], reuse))
                continue
            while task := list(islice(neighbours, PICTURES_A_TASK)):
                yield self._workers.submit(self._load, task, reuse)

    def _put(self, item: Window | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                self._got_on = time.monotonic()
                return
            except queue.Full:
                continue

    def _load(self, cells: list[str | bytes], reuse: Reuse | None) -> list[Picture | str]:
        return ["stopped" if self._stop.is_set() else self._picture(cell, reuse) for cell in cells]

    def _picture(self, value: str | bytes, reuse: Reuse | None) -> Picture | str:
        assert self._loader is not None
        assert self._preprocessor is not None
        try:
            data = self._loader.load(value)
            with self._decoding:
                started = time.perf_counter()
                hashed = content_hash(data)
                is_known = reuse is not None and reuse.has_picture(hashed)
                picture = Picture(content_hash=hashed, pixels=None if is_known else self._preprocessor.decode(data))
                self.seconds.add_decoding(time.perf_counter() - started)
        except Exception as error:
            return why_absent(error)
        return picture
