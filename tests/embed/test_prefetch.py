"""Items are made ahead, as many as may wait, and a thread that was kept waiting is not taken for stuck."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from prodemb.core.errors import CatalogError
from prodemb.embed import prefetch
from prodemb.embed.prefetch import Prefetcher


def test_items_are_made_ahead_and_no_more_than_may_wait() -> None:
    made: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            if number == 4:
                enough.set()
            yield number

    with Prefetcher(items(), ahead=3, source="here") as prefetched:
        iterator = iter(prefetched)
        assert next(iterator) == 0
        assert enough.wait(10)
        time.sleep(0.05)
        assert made == [0, 1, 2, 3, 4]
        assert list(iterator) == list(range(1, 20))


def test_what_goes_wrong_is_raised_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    with Prefetcher(items(), ahead=3, source="here") as prefetched:
        iterator = iter(prefetched)
        assert next(iterator) == 1
        with pytest.raises(KeyError, match="broken"):
            next(iterator)


def test_a_thread_that_was_kept_waiting_is_not_taken_for_stuck_and_one_that_is_stuck_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(prefetch, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(prefetch, "POLL_SECONDS", 0.02)
    gate = threading.Event()

    def items() -> Iterator[int]:
        for number in range(9):
            time.sleep(0.2 if number == 6 else 0)
            yield number
        gate.wait(10)

    with Prefetcher(items(), ahead=4, source="the catalog") as prefetched:
        iterator = iter(prefetched)
        next(iterator)
        now = 10_000.0  # the thread has made all that may wait, and the consumer took its time
        assert [next(iterator) for _ in range(8)] == list(range(1, 9))
        now = 20_000.0
        with pytest.raises(CatalogError, match="the catalog: no rows came for 600 s"):
            next(iterator)
        gate.set()
