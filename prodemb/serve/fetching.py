"""Pictures at addresses in requests, fetched before their products join a batch: a slow host holds up nobody else."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from prodemb.catalog.fair_queue import FairQueue
from prodemb.catalog.images import ImageLoader, ImagesConfig, failure_reason
from prodemb.catalog.urls import host_of
from prodemb.serve.load import Reservation
from prodemb.serve.products import SentProducts

_TIMED_OUT, _TOO_MUCH = "timed out", "the pictures of one request are too large together"


class Fetcher:
    """Fetches the pictures of many requests; use it in the block of `running`."""

    def __init__(self, loader: ImageLoader, *, images: ImagesConfig, timeout_s: float) -> None:
        """
        Args:
            images: the loader's settings.
            timeout_s: after it, pictures that are still not there are left out.
        """
        self._loader, self._timeout_s = loader, timeout_s
        self._queue = FairQueue(num_threads=images.concurrency, share=images.host_share, answers=loader.answers)

    @classmethod
    @contextmanager
    def running(cls, images: ImagesConfig, *, timeout_s: float) -> Iterator[Self]:
        """A fetcher until the end of the block; what is still being fetched then soon gives up."""
        images = images.model_copy(update={"deadline_s": min(images.deadline_s, timeout_s)})
        with ImageLoader(images, root=Path.cwd()) as loader:  # which is given addresses only
            fetcher = cls(loader, images=images, timeout_s=timeout_s)
            try:
                yield fetcher
            finally:
                fetcher._queue.shutdown(wait=False)

    async def fetched(self, products: SentProducts, *, reservation: Reservation) -> SentProducts:
        """The products of a request with bytes, or a reason, in place of each address.

        Bytes are reserved as pictures arrive. Those that a request has no room for, were it alone, are left out.

        Raises:
            RequestProblem: other requests leave no room for the bytes.
        """
        addresses = {row: cell for row, cell in enumerate(products.pictures) if isinstance(cell, str)}
        found: dict[int, bytes | str] = dict.fromkeys(addresses, _TIMED_OUT)
        is_over = threading.Event()
        rows = {
            asyncio.wrap_future(self._queue.submit(host_of(cell) or "", partial(self._load, cell, is_over))): row
            for row, cell in addresses.items()
        }
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout_s
        try:
            while rows and (left_s := until - loop.time()) > 0:
                arrived, _ = await asyncio.wait(rows, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                for each in arrived:
                    row, picture = rows.pop(each), each.result()
                    if isinstance(picture, bytes):
                        if not reservation.would_hold(len(picture)):
                            found |= dict.fromkeys((row, *rows.values()), _TOO_MUCH)
                            rows.clear()
                            break
                        reservation.take(num_bytes=len(picture))
                    found[row] = picture
        finally:
            is_over.set()
        pictures, errors = list(products.pictures), dict(products.errors)
        for row, picture in found.items():
            if isinstance(picture, bytes):
                pictures[row] = picture
            else:
                pictures[row], errors[row] = None, picture
        return replace(products, pictures=pictures, errors=errors)

    def _load(self, address: str, is_over: threading.Event) -> bytes | str:
        """The bytes of a picture, or why there are none; at once where nobody waits for them any more."""
        if is_over.is_set():
            return _TIMED_OUT
        try:
            return self._loader.load(address)
        except Exception as error:
            return failure_reason(error)
