"""Tasks come in their order, and those of a few hosts hold up no other's."""

import threading
from collections import Counter
from concurrent.futures import Future
from functools import partial

import pytest

from prodemb.catalog.fair_queue import FairQueue


def always(host: str) -> bool:
    return True


def test_a_host_that_has_not_answered_has_one_place() -> None:
    gate, begun, answering = threading.Event(), threading.Semaphore(0), {"a"}

    def run() -> None:
        begun.release()
        assert gate.wait(30)

    fair = FairQueue(num_threads=8, share=0.5, answers=answering.__contains__)
    tasks = [fair.submit(host, run) for host in "abcd" for _ in range(9)]
    assert [begun.acquire(timeout=10) for _ in range(7)] == [True] * 7  # 4 of a, 1 of each other
    assert not begun.acquire(timeout=0.1)
    answering |= {*"bcd"}
    gate.set()
    fair.shutdown(wait=True)
    assert [each.result(timeout=0) for each in tasks] == [None] * 36


def test_a_host_has_so_many_places_and_its_tasks_keep_their_order() -> None:
    begun: list[tuple[str, int]] = []
    gate = threading.Event()

    def run(host: str, number: int) -> int:
        begun.append((host, number))
        assert host == "fast" or gate.wait(30)
        return number

    fair = FairQueue(num_threads=4, share=0.5, answers=always)
    slow = [fair.submit("slow", partial(run, "slow", number)) for number in range(6)]
    fast = [fair.submit("fast", partial(run, "fast", number)) for number in range(20)]
    assert [each.result(timeout=10) for each in fast] == list(range(20))
    assert [begin for begin in begun if begin[0] == "slow"] == [("slow", 0), ("slow", 1)]
    gate.set()
    fair.shutdown(wait=True)
    assert [each.result(timeout=0) for each in slow] == list(range(6))
    assert sorted(begun) == [*(("fast", n) for n in range(20)), *(("slow", n) for n in range(6))]


def test_several_slow_hosts_leave_places_for_others_and_divide_the_rest() -> None:
    gates = {host: threading.Event() for host in "abc"}
    running: Counter[str] = Counter()
    changed = threading.Condition()

    def run(host: str) -> None:
        with changed:
            running[host] += 1
            changed.notify_all()
        assert gates[host].wait(30)
        with changed:
            running[host] -= 1

    fair = FairQueue(num_threads=32, share=0.5, answers=always)
    slow = [fair.submit(host, partial(run, host)) for host in "abc" for _ in range(100)]
    with changed:
        assert changed.wait_for(lambda: running == {"a": 16, "b": 8, "c": 4}, timeout=10), running
    fast = [fair.submit("fast", partial(int, 1)) for _ in range(20)]
    assert [each.result(timeout=10) for each in fast] == [1] * 20
    gates["a"].set()
    with changed:
        assert changed.wait_for(lambda: running["b"] > 8 and running["c"] > 4, timeout=10), running
    for gate in gates.values():
        gate.set()
    fair.shutdown(wait=True)
    assert [each.result(timeout=0) for each in slow] == [None] * 300


def test_what_came_first_is_run_first_once_its_host_has_a_place() -> None:
    begun: list[str] = []
    gate = threading.Event()

    def run(name: str) -> None:
        begun.append(name)
        assert gate.wait(30)

    fair = FairQueue(num_threads=1, share=1, answers=always)
    for name in ("a1", "a2", "b1", "b2", "a3"):
        fair.submit(name[0], partial(run, name))
    gate.set()
    fair.shutdown(wait=True)
    assert begun == ["a1", "a2", "b1", "b2", "a3"]


def test_an_error_is_the_task_s_own_and_its_place_is_free_again() -> None:
    fair = FairQueue(num_threads=1, share=1, answers=always)
    failed = fair.submit("host", lambda: 1 // 0)
    after = fair.submit("host", lambda: 1)
    with pytest.raises(ZeroDivisionError):
        failed.result(timeout=10)
    assert after.result(timeout=10) == 1
    fair.shutdown(wait=True)


def test_leaving_forgets_what_has_not_begun() -> None:
    gate, begun = threading.Event(), threading.Event()

    def run() -> int:
        begun.set()
        assert gate.wait(30)
        return 1

    fair = FairQueue(num_threads=1, share=1, answers=always)
    first, *rest = [fair.submit(host, run) for host in ("a", "a", "b")]
    assert begun.wait(10)
    fair.shutdown(wait=False)
    gate.set()
    assert first.result(timeout=10) == 1
    fair.shutdown(wait=True)
    assert not any(map(Future.done, rest))
