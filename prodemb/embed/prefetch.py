"""Making items ahead of need, in a thread and through a bounded queue."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from prodemb.core.errors import CatalogError

POLL_SECONDS = 1.0
"""How often it is looked whether the thread makes progress."""
PATIENCE_SECONDS = 600.0
"""A thread that has made no progress for so long ends the run with an error: nothing waits for ever."""

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Iterates over items that its thread takes from another iterator in advance; `with` ends the thread."""

    def __init__(self, items: Iterable[T], *, ahead: int, source: str) -> None:
        """
        Args:
            ahead: items that may wait; what bounds the memory.
            source: where they come from, for errors.
        """
        self._items, self._source = items, source
        self._queue: queue.Queue[T | BaseException | None] = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        self._progress_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=PATIENCE_SECONDS if kind is None else 5.0)

    def __iter__(self) -> Iterator[T]:
        """Raises what the other iterator raises.

        Raises:
            CatalogError: the thread has made no progress for `PATIENCE_SECONDS`.
        """
        while True:
            try:
                item = self._queue.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if time.monotonic() - self._progress_at > PATIENCE_SECONDS:
                    raise CatalogError(f"{self._source}: no rows came for {PATIENCE_SECONDS:.0f} s") from None
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            for item in self._items:
                self._put(item)
                if self._stop.is_set():
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, item: T | BaseException | None) -> None:
        self._progress_at = time.monotonic()
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                self._progress_at = time.monotonic()
                return
            except queue.Full:
                continue
