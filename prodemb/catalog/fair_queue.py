"""A fair queue: tasks run in threads, first come first served, but no host takes all threads for itself."""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Task:
    number: int
    host: str
    run: Callable[[], Any]
    future: "Future[Any]"


class FairQueue:
    """Runs tasks in threads: the oldest task whose host may take another thread runs next.

    A host may take a share, one thread at least, of the threads that the running tasks of other hosts leave. So several
    slow hosts divide the threads among them, some stay free for a host not seen before, and no thread is held by a task
    that only waits (Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998). A
    host that does not answer has one thread, so that as many as there are threads can be found out at a time.
    """

    def __init__(self, *, num_threads: int, share: float, answers: Callable[[str], bool]) -> None:
        """
        Args:
            share: the part of the threads that other hosts leave which one host may take; more than 0, at most 1.
            answers: whether a host has answered.
        """
        self._num_threads, self._share, self._answers = num_threads, share, answers
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="fetch")
        self._numbers = count()
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        """Tasks by host."""
        self._waiting: defaultdict[str, deque[_Task]] = defaultdict(deque)
        """Tasks by host, oldest first; no queue is empty."""
        self._first: list[tuple[int, str]] = []
        """A heap of the number of each host's oldest waiting task, and the host."""

    def submit(self, host: str, run: Callable[[], T]) -> "Future[T]":
        """Queue a task; the future gives its result or its exception."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting[host].append(_Task(next(self._numbers), host, run, future))
            if len(self._waiting[host]) == 1:
                self._push(host)
            self._start()
        return future

    def shutdown(self, *, wait: bool) -> None:
        """Accept no more tasks; wait for the queued ones, or drop those that have not started."""
        with self._lock:
            left = [task.future for tasks in self._waiting.values() for task in tasks]
            if not wait:
                self._waiting.clear()
                self._first.clear()
        if wait:
            futures.wait(left)
        self._threads.shutdown(wait=wait, cancel_futures=not wait)

    def _push(self, host: str) -> None:
        heappush(self._first, (self._waiting[host][0].number, host))

    def _start(self) -> None:
        """Start all tasks that may run; the lock is held."""
        full: list[str] = []
        while self._first and (free := self._num_threads - self._running.total()) > 0:
            _, host = heappop(self._first)
            if self._running[host] >= self._limit(host, free=free):
                full.append(host)
                continue
            self._running[host] += 1
            self._threads.submit(self._run, self._waiting[host].popleft())
            if self._waiting[host]:
                self._push(host)
            else:
                del self._waiting[host]
        for host in full:
            self._push(host)

    def _limit(self, host: str, *, free: int) -> int:
        """How many threads a host may have, including those it has."""
        return max(1, int(self._share * (free + self._running[host]))) if self._answers(host) else 1

    def _run(self, task: _Task) -> None:
        try:
            task.future.set_result(task.run())
        except BaseException as error:
            task.future.set_exception(error)
        with self._lock:
            self._running[task.host] -= 1
            if not self._running[task.host]:
                del self._running[task.host]
            self._start()
