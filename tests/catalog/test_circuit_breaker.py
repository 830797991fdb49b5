"""A host that fails picture after picture rests, and is tried again by one picture."""

import pytest

from prodemb.catalog import circuit_breaker as hosts
from prodemb.catalog.circuit_breaker import Hosts, retry_after_s


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hosts, "time", clock)
    return clock


def test_a_host_rests_after_some_failures_in_a_row_and_one_picture_tries_it(clock: Clock) -> None:
    known = Hosts(max_failures=3, rest_s=60)
    for _ in range(3):
        assert known.may_ask("a.example")
        known.failed("a.example")
    assert not known.may_ask("a.example")
    assert known.may_ask("b.example")
    clock.now += 61
    assert [known.may_ask("a.example") for _ in range(3)] == [True, False, False]
    known.failed("a.example")
    clock.now += 59
    assert not known.may_ask("a.example")
    clock.now += 2
    assert known.may_ask("a.example")
    known.answered("a.example")
    assert all(known.may_ask("a.example") for _ in range(9))


def test_failures_with_answers_between_them_do_not_count(clock: Clock) -> None:
    known = Hosts(max_failures=3, rest_s=60)
    for _ in range(20):
        known.failed("a.example")
        known.failed("a.example")
        known.answered("a.example")
        assert known.may_ask("a.example")


def test_a_picture_that_never_comes_back_does_not_keep_the_host_away(clock: Clock) -> None:
    known = Hosts(max_failures=1, rest_s=60)
    known.failed("a.example")
    clock.now += 61
    assert known.may_ask("a.example")
    clock.now += 61
    assert known.may_ask("a.example")


@pytest.mark.parametrize(("value", "seconds"), [(" 7 ", 7), ("\xb2", 0), ("soon", 0), ("-1", 0), ("", 0)])
def test_a_retry_after_that_cannot_be_read_asks_for_no_pause(value: str, seconds: float) -> None:
    assert retry_after_s(value) == seconds
