"""Turns: tasks run in threads, first come first served, but only so many at a time for one host."""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from queue import PriorityQueue
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(order=True, frozen=True)
class _Task(Generic[T]):
    number: int
    host: str = field(compare=False)
    run: Callable[[], T] = field(compare=False)
    future: "Future[T]" = field(compare=False)


class Turns(Generic[T]):
    """Runs tasks in threads: of those whose host has a place free, always the one that came first.

    A host that answers slowly thus keeps its own tasks waiting, and no thread waits with them.
    """

    def __init__(self, *, num_threads: int, at_most: int) -> None:
        """At most so many tasks of one host run at a time."""
        self._at_most = at_most
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="fetch")
        self._numbers = count()
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        """Places by host, of tasks that run or are ready."""
        self._ready: PriorityQueue[_Task[T]] = PriorityQueue()
        """As many as there are calls of `_work` to come."""
        self._waiting: defaultdict[str, deque[_Task[T]]] = defaultdict(deque)
        """For a place."""

    def submit(self, host: str, run: Callable[[], T]) -> "Future[T]":
        """Have a task run when its turn comes."""
        future: Future[T] = Future()
        with self._lock:
            task = _Task(next(self._numbers), host, run, future)
            if self._taken[host] >= self._at_most:
                self._waiting[host].append(task)
                return future
            self._taken[host] += 1
            self._ready.put(task)
        self._threads.submit(self._work)
        return future

    def shutdown(self, *, wait: bool) -> None:
        """Take no more tasks, and wait for those there are, or forget those that have not begun."""
        if not wait:
            with self._lock:
                self._waiting.clear()
        self._threads.shutdown(wait=wait, cancel_futures=not wait)

    def _work(self) -> None:
        """Run a task, and go on as long as one that waited gets its place."""
        while True:
            task = self._ready.get_nowait()
            try:
                task.future.set_result(task.run())
            except BaseException as error:
                task.future.set_exception(error)
            with self._lock:
                waiting = self._waiting.get(task.host)
                if not waiting:
                    self._waiting.pop(task.host, None)
                    self._taken[task.host] -= 1
                    if not self._taken[task.host]:
                        del self._taken[task.host]
                    return
                self._ready.put(waiting.popleft())
