"""Requests that arrive together are answered together: sixteen products cost about as much as one."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pyarrow as pa

from prodemb.predict.products import CatalogRows
from prodemb.serve.products import SentProducts, joined

logger = logging.getLogger(__name__)

Answer = tuple[pa.Table, Sequence[str | None]]
"""n predictions, and (n,) why a product's picture cannot be used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waiting:
    """A request that waits."""

    products: SentProducts
    since: float
    """By the loop's clock."""
    answer: asyncio.Future[Answer]


class Batcher:
    """Answers requests, those that wait together, in one thread; `running` must be entered."""

    def __init__(self, predict: Callable[[CatalogRows], Answer], *, batch_size: int, wait_s: float) -> None:
        """
        Args:
            predict: as `prodemb.predict.predictor.Predictor.predict_rows`.
            batch_size: products after which a batch takes no further request; a larger request is a batch alone.
            wait_s: how long a request waits for others to join it, where nothing is being answered meanwhile.
        """
        self._predict, self._batch_size, self._wait_s = predict, batch_size, wait_s
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether requests are answered."""
        return self._worker is not None and not self._worker.done()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests until the end of the block; those that still wait then are cancelled."""
        with ThreadPoolExecutor(1, thread_name_prefix="predict") as thread:
            self._worker = asyncio.create_task(self._work(thread))
            try:
                yield
            finally:
                self._worker.cancel()
                with suppress(asyncio.CancelledError):
                    await self._worker
                for each in self._waiting:
                    each.answer.cancel()

    async def predict(self, products: SentProducts) -> Answer:
        """The answer for the products of one request, at least one.

        A caller who is cancelled leaves the queue; one whose batch is at work does not hold it up.

        Raises:
            Exception: whatever `predict` raises for these products alone.
        """
        loop = asyncio.get_running_loop()
        request = _Waiting(products=products, since=loop.time(), answer=loop.create_future())
        self._waiting.append(request)
        self._arrived.set()
        try:
            return await request.answer
        finally:
            with suppress(ValueError):
                self._waiting.remove(request)

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        while True:
            await self._answer(await self._next_batch(), thread=thread)

    async def _next_batch(self) -> list[_Waiting]:
        """The requests that are answered next: the one that waits longest, and those that fit beside it."""
        loop = asyncio.get_running_loop()
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        until = self._waiting[0].since + self._wait_s
        while loop.time() < until and sum(len(each.products) for each in self._waiting) < self._batch_size:
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._arrived.wait()
        batch: list[_Waiting] = []
        num_left = self._batch_size
        while self._waiting and (not batch or len(self._waiting[0].products) <= num_left):
            batch.append(self._waiting.popleft())
            num_left -= len(batch[-1].products)
        return batch

    async def _answer(self, batch: Sequence[_Waiting], *, thread: ThreadPoolExecutor) -> None:
        """Answer some requests together; where that fails, each half apart, so that none fails for another."""
        batch = [each for each in batch if not each.answer.done()]
        if not batch:
            return
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(thread, self._attempt, [each.products for each in batch])
        if not isinstance(found, BaseException):
            start = 0
            predictions, errors = found
            for each in batch:
                stop = start + len(each.products)
                if not each.answer.done():
                    each.answer.set_result((predictions.slice(start, stop - start), errors[start:stop]))
                start = stop
        elif len(batch) > 1:
            half = len(batch) // 2
            await self._answer(batch[:half], thread=thread)
            await self._answer(batch[half:], thread=thread)
        elif not batch[0].answer.done():
            logger.error("a request cannot be answered", exc_info=found)
            batch[0].answer.set_exception(PredictionError(f"{type(found).__name__}: {found}"))

    def _attempt(self, requests: Sequence[SentProducts]) -> Answer | BaseException:
        """The answer for all, or what was raised; a panic in Rust is no Exception."""
        try:
            return self._predict(joined(requests))
        except BaseException as error:
            return error


class PredictionError(Exception):
    """A request whose products, alone, made the predictor fail."""
