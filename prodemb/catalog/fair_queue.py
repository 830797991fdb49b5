"""Turns: tasks run in threads, first come first served, but one host's leave places for the others."""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Task(Generic[T]):
    number: int
    host: str
    run: Callable[[], T]
    future: "Future[T]"


class Turns(Generic[T]):
    """Runs tasks in threads: of those whose host has a place free, always the one that came first.

    A host has a share, one at least, of the places that the running tasks of other hosts leave. So several that answer
    slowly divide the places among them, some stay free for a host that comes anew, and no thread waits with a task
    that waits (Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998).
    """

    def __init__(self, *, num_threads: int, share: float) -> None:
        """As many places as threads; a host may take `share` of those that others leave, more than 0 and at most 1."""
        self._num_threads, self._share = num_threads, share
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="fetch")
        self._numbers = count()
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        """Tasks by host."""
        self._waiting: defaultdict[str, deque[_Task[T]]] = defaultdict(deque)
        """For a place, by host; none is empty."""
        self._first: list[tuple[int, str]] = []
        """A heap of the first waiting task's number, and the host, of each that has any."""

    def submit(self, host: str, run: Callable[[], T]) -> "Future[T]":
        """Have a task run when its turn comes."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting[host].append(_Task(next(self._numbers), host, run, future))
            if len(self._waiting[host]) == 1:
                self._line_up(host)
            self._begin()
        return future

    def shutdown(self, *, wait: bool) -> None:
        """Take no more tasks, and wait for those there are, or forget those that have not begun."""
        with self._lock:
            left = [task.future for tasks in self._waiting.values() for task in tasks]
            if not wait:
                self._waiting.clear()
                self._first.clear()
        if wait:
            futures.wait(left)
        self._threads.shutdown(wait=wait, cancel_futures=not wait)

    def _line_up(self, host: str) -> None:
        heappush(self._first, (self._waiting[host][0].number, host))

    def _begin(self) -> None:
        """Begin all tasks that may run; the lock is held."""
        held: list[str] = []
        while self._first and (free := self._num_threads - self._running.total()) > 0:
            _, host = heappop(self._first)
            if self._running[host] >= self._share_of(host, free=free):
                held.append(host)
                continue
            self._running[host] += 1
            self._threads.submit(self._run, self._waiting[host].popleft())
            if self._waiting[host]:
                self._line_up(host)
            else:
                del self._waiting[host]
        for host in held:
            self._line_up(host)

    def _share_of(self, host: str, *, free: int) -> int:
        """How many places it may have, those that it has among them."""
        return max(1, int(self._share * (free + self._running[host])))

    def _run(self, task: _Task[T]) -> None:
        try:
            task.future.set_result(task.run())
        except BaseException as error:
            task.future.set_exception(error)
        with self._lock:
            self._running[task.host] -= 1
            if not self._running[task.host]:
                del self._running[task.host]
            self._begin()
