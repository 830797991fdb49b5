"""Requests that wait together are answered together: in order, none for another, and none that has been given up."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.predict.products import CatalogRows
from prodemb.serve.batching import Answer, Batcher, PredictionError
from prodemb.serve.products import SentProducts


def sent(*ids: str, errors: dict[int, str] | None = None) -> SentProducts:
    texts = [{"product_id": name, "title": "mug"} for name in ids]
    return SentProducts(texts=texts, pictures=[name.encode() for name in ids], errors=errors or {})


class Fake:
    """Answers with the ids; whoever is called bad fails, and all wait for the gate."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.entered, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, rows: CatalogRows) -> Answer:
        ids = rows.rows["product_id"].to_pylist()
        self.batches.append(ids)
        self.entered.set()
        self.gate.wait(10)
        if any(name.startswith("bad") for name in ids):
            raise KeyboardInterrupt("as bad as a panic")
        return rows.rows, [rows.errors.get(row) for row in range(len(rows))]


def ids_of(answer: Answer) -> list[str]:
    return list(answer[0]["product_id"].to_pylist())


def batched(
    fake: Fake, work: Callable[[Batcher], Coroutine[Any, Any, Any]], *, batch_size: int = 8, wait_s: float = 0.01
) -> Any:
    async def run() -> Any:
        batcher = Batcher(fake, batch_size=batch_size, wait_s=wait_s)
        async with batcher.running():
            assert batcher.is_running
            return await work(batcher)

    return asyncio.run(run())


def test_requests_that_come_together_are_one_batch_and_errors_stay_with_their_products() -> None:
    fake = Fake()

    async def work(batcher: Batcher) -> list[Answer]:
        asked = [sent("a", "b", errors={1: "truncated"}), sent("c"), sent("d", "e", errors={0: "too large"})]
        return await asyncio.gather(*map(batcher.predict, asked))

    answers = batched(fake, work)
    assert fake.batches == [["a", "b", "c", "d", "e"]]
    assert [ids_of(answer) for answer in answers] == [["a", "b"], ["c"], ["d", "e"]]
    assert [list(answer[1]) for answer in answers] == [[None, "truncated"], [None], ["too large", None]]


def test_a_full_batch_does_not_wait_and_a_large_request_is_one_alone() -> None:
    fake = Fake()

    async def work(batcher: Batcher) -> None:
        asked = [sent("a", "b"), sent("c"), sent(*"defghi"), sent("j")]
        tasks = [asyncio.ensure_future(batcher.predict(each)) for each in asked]
        await asyncio.wait_for(asyncio.gather(*tasks[:3]), 10)
        tasks[3].cancel()

    batched(fake, work, batch_size=4, wait_s=60)
    assert fake.batches == [["a", "b", "c"], ["d", "e", "f", "g", "h", "i"]]


def test_one_that_fails_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    fake = Fake()

    async def work(batcher: Batcher) -> list[Any]:
        asked = map(sent, ("a", "bad", "b", "c", "bad 2", "d"))
        return await asyncio.gather(*map(batcher.predict, asked), return_exceptions=True)

    answers = batched(fake, work)
    assert [isinstance(answer, PredictionError) for answer in answers] == [False, True, False, False, True, False]
    assert [ids_of(answer) for answer in answers if not isinstance(answer, PredictionError)] == [*map(list, "abcd")]
    assert str(answers[1]) == "KeyboardInterrupt: as bad as a panic"
    assert len(caplog.records) == 2


def test_who_has_gone_is_not_answered_and_holds_nobody_up() -> None:
    fake = Fake()
    fake.gate.clear()

    async def work(batcher: Batcher) -> Answer:
        first = asyncio.ensure_future(batcher.predict(sent("first")))
        await asyncio.to_thread(fake.entered.wait, 10)
        gone, stays = (asyncio.ensure_future(batcher.predict(sent(name))) for name in ("gone", "stays"))
        await asyncio.sleep(0)
        first.cancel()
        gone.cancel()
        await asyncio.wait((first, gone))
        fake.gate.set()
        return await stays

    assert ids_of(batched(fake, work)) == ["stays"]
    assert fake.batches == [["first"], ["stays"]]


def test_at_the_end_who_still_waits_is_told() -> None:
    fake = Fake()

    async def run() -> None:
        batcher = Batcher(fake, batch_size=8, wait_s=60)
        async with batcher.running():
            waiting = asyncio.ensure_future(batcher.predict(sent("a")))
            await asyncio.sleep(0.01)
        assert not batcher.is_running
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())
    assert not fake.batches


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 0.003), st.booleans()), max_size=20), st.integers(1, 9))
def test_whatever_comes_when_each_gets_its_own(asked: list[tuple[int, float, bool]], batch_size: int) -> None:
    fake = Fake()

    async def work(batcher: Batcher) -> None:
        async def ask(number: int, num: int, after_s: float, *, leaves: bool) -> None:
            await asyncio.sleep(after_s)
            ids = [f"{number}-{row}" for row in range(num)]
            answer = asyncio.ensure_future(batcher.predict(sent(*ids)))
            if leaves:
                await asyncio.sleep(0)
                answer.cancel()
            else:
                assert ids_of(await answer) == ids

        await asyncio.gather(*(ask(n, num, after, leaves=leaves) for n, (num, after, leaves) in enumerate(asked)))

    batched(fake, work, batch_size=batch_size, wait_s=0.001)
    assert all(len(batch) <= max(batch_size, 5) for batch in fake.batches)
