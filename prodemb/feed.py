"""The feed: reads catalog rows and decodes their pictures ahead of the towers, through bounded queues."""

import hashlib
import queue
import threading
import time
from collections.abc import Iterator, Set
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.images import AbsentImage, ImageLoader
from prodemb.catalog.reader import Catalog
from prodemb.errors import CatalogError
from prodemb.features import CATALOG_COLUMNS
from prodemb.shards.format import HASH_BYTES
from prodemb.towers.image import ImagePreprocessor

WINDOWS_AHEAD = 4
"""Windows that may wait, read and being decoded, for the towers."""
PATIENCE_SECONDS = 600.0
"""A picture or a window that has not come by then ends the run with an error: nothing waits for ever."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture and the hash of the bytes it came from."""

    content_hash: bytes
    pixels: npt.NDArray[np.uint8]
    """(S, S, 3)"""


@dataclass(frozen=True)
class Window:
    """Some neighbouring rows of one shard."""

    shard: int
    rows: pa.Table
    pictures: "list[Future[Picture]] | None"
    """One a row, raising AbsentImage where there is none; None if pictures were not asked for."""


@dataclass
class FeedSeconds:
    """Where the feed's time went; decoding is summed over its workers."""

    reading: float = 0.0
    decoding: float = 0.0
    waiting: float = 0.0
    """Seconds the towers' side waited for rows and pictures."""
    lock: threading.Lock = field(default_factory=threading.Lock)


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
        skip: Set[int],
    ) -> None:
        """
        Args:
            loader: where pictures come from; None leaves them out.
            window: rows at once; divides `shard_size`.
            skip: places of the shards that are done.
        """
        self.seconds = FeedSeconds()
        self._catalog = catalog
        self._loader, self._preprocessor = loader, preprocessor
        self._shard_size, self._window, self._skip = shard_size, window, skip
        self._queue: queue.Queue[Window | BaseException | None] = queue.Queue(maxsize=WINDOWS_AHEAD)
        self._stop = threading.Event()
        self._workers = ThreadPoolExecutor(num_workers, thread_name_prefix="decode")
        self._reader = threading.Thread(target=self._read, name="read", daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._workers.shutdown(wait=kind is None, cancel_futures=True)
        self._reader.join(timeout=PATIENCE_SECONDS if kind is None else 5.0)

    def __iter__(self) -> Iterator[Window]:
        while True:
            started = time.perf_counter()
            try:
                item = self._queue.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                raise CatalogError(f"{self._catalog.name}: no rows came for {PATIENCE_SECONDS:.0f} s") from None
            finally:
                self.seconds.waiting += time.perf_counter() - started
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def rows_hash(self) -> "RowsHash":
        """A fresh hash for the rows of one shard."""
        return RowsHash(self._loader)

    def picture(self, future: "Future[Picture]") -> Picture | str:
        """A decoded picture, or the reason why there is none.

        Raises:
            CatalogError: the decoder has not answered within `PATIENCE_SECONDS`.
        """
        started = time.perf_counter()
        try:
            return future.result(timeout=PATIENCE_SECONDS)
        except AbsentImage as absent:
            return absent.reason
        except FutureTimeoutError:
            raise CatalogError(
                f"{self._catalog.name}: a picture was not ready after {PATIENCE_SECONDS:.0f} s"
            ) from None
        finally:
            self.seconds.waiting += time.perf_counter() - started

    def _read(self) -> None:
        try:
            place = 0
            batches = self._catalog.batches(self._window)
            while not self._stop.is_set():
                started = time.perf_counter()
                rows = next(batches, None)
                self.seconds.reading += time.perf_counter() - started
                if rows is None:
                    self._put(None)
                    return
                shard = place // self._shard_size
                place += rows.num_rows
                if shard not in self._skip:
                    self._put(Window(shard=shard, rows=rows, pictures=self._submit(rows)))
        except BaseException as error:
            self._put(error)

    def _submit(self, rows: pa.Table) -> "list[Future[Picture]] | None":
        if self._loader is None:
            return None
        return [self._workers.submit(self._decode, value) for value in rows["image"].to_pylist()]

    def _put(self, item: Window | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def _decode(self, value: str | bytes | None) -> Picture:
        assert self._loader is not None
        assert self._preprocessor is not None
        if value is None:
            raise AbsentImage("no value")
        data = self._loader.load(value)
        started = time.perf_counter()
        try:
            return Picture(content_hash=content_hash(data), pixels=self._preprocessor.decode(data))
        except AbsentImage:
            raise
        except Exception as error:
            # Decoders fail in ways of their own on hostile bytes; one picture must not end a run.
            raise AbsentImage(f"not decodable ({type(error).__name__})") from error
        finally:
            with self.seconds.lock:
                self.seconds.decoding += time.perf_counter() - started


def content_hash(data: bytes) -> bytes:
    """16 bytes of BLAKE2b: what a vector was made from."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


class RowsHash:
    """A running hash of catalog rows: every column's values, and size and time of local picture files."""

    def __init__(self, loader: ImageLoader | None) -> None:
        self._loader = loader
        parts = [*((name, part) for name in CATALOG_COLUMNS for part in ("lengths", "values")), ("image", "stamps")]
        self._digests = {part: hashlib.blake2b(digest_size=HASH_BYTES) for part in parts}
        if loader is not None:
            self._digests["image", "stamps"].update(loader.rules.encode())

    def update(self, rows: pa.Table) -> None:
        """Take in some rows; in how many pieces they come makes no difference."""
        for name in CATALOG_COLUMNS:
            column = rows[name].combine_chunks()
            empty = b"" if pa.types.is_large_binary(column.type) else ""
            lengths = np.asarray(pc.fill_null(pc.binary_length(column), -1), dtype="<i8")
            self._digests[name, "lengths"].update(lengths.tobytes())
            self._digests[name, "values"].update(_value_bytes(pc.fill_null(column, empty)))
        if self._loader is not None and not pa.types.is_large_binary(rows["image"].type):
            stamps = [self._loader.stamp(value) for value in rows["image"].to_pylist() if value is not None]
            self._digests["image", "stamps"].update("".join(f"{stamp}\n" for stamp in stamps).encode())

    def hexdigest(self) -> str:
        """The hash so far, 32 hexadecimal digits."""
        return content_hash(b"".join(digest.digest() for digest in self._digests.values())).hex()


def _value_bytes(column: pa.Array) -> memoryview:
    """The concatenated bytes of a large string or large binary array without nulls."""
    _, offsets_buffer, values = column.buffers()
    if len(column) == 0 or values is None:
        return memoryview(b"")
    offsets = np.frombuffer(offsets_buffer, dtype="<i8")[column.offset : column.offset + len(column) + 1]
    return memoryview(values)[offsets[0] : offsets[-1]]


def rows_hashes(catalog: Catalog, *, loader: ImageLoader | None, shard_size: int, window: int) -> list[str]:
    """The rows hash of every shard, from one streaming pass over the catalog."""
    hashes: list[RowsHash] = []
    place = 0
    for rows in catalog.batches(window):
        if place % shard_size == 0:
            hashes.append(RowsHash(loader))
        hashes[-1].update(rows)
        place += rows.num_rows
    return [h.hexdigest() for h in hashes]
