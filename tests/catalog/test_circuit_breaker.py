"""A host that fails picture after picture rests, and is tried again by one picture."""

import pytest

from prodemb.catalog import circuit_breaker
from prodemb.catalog.circuit_breaker import CircuitBreaker, retry_after_s


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(circuit_breaker, "time", clock)
    return clock


def test_a_host_rests_after_some_failures_in_a_row_and_one_picture_tries_it(clock: Clock) -> None:
    breaker = CircuitBreaker(max_failures=3, max_silent_s=60, reset_s=60)
    for _ in range(3):
        assert breaker.allows("a.example")
        breaker.record_failure("a.example", waited_s=0)
    assert not breaker.allows("a.example")
    assert breaker.allows("b.example")
    clock.now += 61
    assert [breaker.allows("a.example") for _ in range(3)] == [True, False, False]
    breaker.record_failure("a.example", waited_s=0)
    clock.now += 59
    assert not breaker.allows("a.example")
    clock.now += 2
    assert breaker.allows("a.example")
    breaker.record_success("a.example")
    assert all(breaker.allows("a.example") for _ in range(9))


def test_failures_with_answers_between_them_do_not_count(clock: Clock) -> None:
    breaker = CircuitBreaker(max_failures=3, max_silent_s=60, reset_s=60)
    for _ in range(20):
        breaker.record_failure("a.example", waited_s=0)
        breaker.record_failure("a.example", waited_s=0)
        breaker.record_success("a.example")
        assert breaker.allows("a.example")


def test_a_host_that_keeps_pictures_waiting_rests_sooner(clock: Clock) -> None:
    breaker = CircuitBreaker(max_failures=20, max_silent_s=60, reset_s=60)
    breaker.record_failure("a.example", waited_s=40)
    assert breaker.allows("a.example")
    breaker.record_failure("a.example", waited_s=20)
    assert not breaker.allows("a.example")


def test_no_host_rests_for_a_picture_that_others_of_it_overtook(clock: Clock) -> None:
    breaker = CircuitBreaker(max_failures=20, max_silent_s=60, reset_s=60)
    breaker.record_success("a.example")
    clock.now += 1
    for _ in range(9):
        breaker.record_failure("a.example", waited_s=60)
    assert breaker.allows("a.example")
    clock.now += 59
    breaker.record_failure("a.example", waited_s=60)
    assert not breaker.allows("a.example")


def test_a_host_answers_from_its_first_answer_to_its_next_failure() -> None:
    breaker = CircuitBreaker(max_failures=20, max_silent_s=60, reset_s=60)
    assert not breaker.answers("a.example")
    breaker.record_success("a.example")
    assert breaker.answers("a.example")
    breaker.record_failure("a.example", waited_s=0)
    assert not breaker.answers("a.example")


def test_a_picture_that_never_comes_back_does_not_keep_the_host_away(clock: Clock) -> None:
    breaker = CircuitBreaker(max_failures=1, max_silent_s=60, reset_s=60)
    breaker.record_failure("a.example", waited_s=0)
    clock.now += 61
    assert breaker.allows("a.example")
    clock.now += 61
    assert breaker.allows("a.example")


@pytest.mark.parametrize(("value", "seconds"), [(" 7 ", 7), ("\xb2", 0), ("soon", 0), ("-1", 0), ("", 0)])
def test_a_retry_after_that_cannot_be_read_asks_for_no_pause(value: str, seconds: float) -> None:
    assert retry_after_s(value) == seconds
