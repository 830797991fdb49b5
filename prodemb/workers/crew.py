"""Several workers at once, processes or Ray's actors: who does which task, what they tell, what their deaths mean."""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Protocol

from prodemb.core.children import take_record
from prodemb.core.errors import BusyError, WorkerError
from prodemb.workers.job import Listener, Message, Task, kept

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often it is looked whether all workers are alive."""
LINGERING_SECONDS = 60.0
"""How long a worker that counts as dead may hold the file that it was writing."""


class Crew(Protocol):
    """Workers of one kind, each known by its rank."""

    def start(self, rank: int) -> None:
        """Start a worker, without waiting for it; it runs `prodemb.workers.job.work`."""

    def receive(self, timeout: float) -> Iterable[tuple[int, Message]]:
        """What workers have told, with their ranks; waits at most so many seconds where there is nothing yet."""

    def answer(self, rank: int, task: Task | None) -> None:
        """Give a worker a task that it has asked for, or None if it is to finish."""

    def fallen(self) -> dict[int, str]:
        """Workers that died, and how; nothing more is received from them."""

    def end(self, rank: int) -> None:
        """End a worker if it has not ended, and forget it."""


def run_crew(
    crew: Crew, tasks: Sequence[Task], *, num_workers: int, retries: int, listener: Listener, noun: str
) -> list[Any]:
    """Have tasks done.

    Args:
        retries: how often the tasks of a worker that died are given to another one. The run ends when a task has
            cost more workers than that, or when in all workers so many times died one after another without a task
            finished in between.
        noun: `Job.noun`.

    Returns:
        What the workers that finished returned.

    Raises:
        WorkerError: workers died.
        ProdembError: what a worker raised.
    """
    shared = SharedTasks(tasks, num_workers=num_workers)
    deaths, parts = _Deaths(retries, num_workers=num_workers, noun=noun), _Parts(listener)
    results: list[Any] = []
    has_started = False
    idle, at_work = list(range(num_workers)), set[int]()

    def lose(rank: int) -> list[int]:
        """Forget a worker; its unfinished tasks, which are open again."""
        crew.end(rank)
        at_work.discard(rank)
        idle.append(rank)
        lost = shared.give_back(rank)
        parts.restart(lost)
        return lost

    try:
        while shared.num_left or at_work:
            for rank in idle[: shared.num_open]:
                idle.remove(rank)
                crew.start(rank)
            for rank, (name, value) in crew.receive(POLL_SECONDS):
                if rank in idle:  # a thread of it has told something after its end
                    continue
                at_work.add(rank)
                match name:
                    case "ask":
                        crew.answer(rank, shared.take(rank))
                    case "start":
                        if not has_started:
                            listener.on_start(value)
                        has_started = True
                    case "part":
                        parts.take(*value)
                    case "done":
                        listener.on_done(*value)
                        shared.finish(rank, value[0])
                        deaths.forget()
                    case "log":
                        take_record(value)
                    case "finished":
                        results.append(value)
                        crew.end(rank)
                        at_work.remove(rank)
                        idle.append(rank)
                    case _:
                        # One that was given up may live on for a while, with the file that it was writing locked.
                        if not isinstance(value, BusyError) or not deaths.are_recent():
                            raise value
                        lose(rank)
            for rank, how in crew.fallen().items():
                deaths.count(lose(rank), how=how)
    finally:
        for rank in range(num_workers):
            crew.end(rank)
    return results


class SharedTasks:
    """Tasks that several workers take from: neighbours go to one worker, so that it can read them in one pass.

    Each starts with a stretch of its own; one that has come to its end takes the second half of the longest stretch
    that is left. What a dead worker gives back comes first.
    """

    def __init__(self, tasks: Sequence[Task], *, num_workers: int) -> None:
        ends = [len(tasks) * rank // num_workers for rank in range(num_workers + 1)]
        self._stretches = [deque(tasks[start:stop]) for start, stop in pairwise(ends)]
        self._returned: deque[Task] = deque()
        self._held: list[dict[int, Task]] = [{} for _ in range(num_workers)]

    @property
    def num_open(self) -> int:
        """Tasks that no worker has."""
        return len(self._returned) + sum(map(len, self._stretches))

    @property
    def num_left(self) -> int:
        """Tasks that are not finished."""
        return self.num_open + sum(map(len, self._held))

    def take(self, rank: int) -> Task | None:
        """The next task for a worker; None if no other is open."""
        own = self._stretches[rank]
        if not own and not self._returned:
            longest = max(self._stretches, key=len)
            for _ in range((len(longest) + 1) // 2):
                own.appendleft(longest.pop())
        if not own and not self._returned:
            return None
        task = (self._returned or own).popleft()
        self._held[rank][task.index] = task
        return task

    def finish(self, rank: int, index: int) -> None:
        """The worker has finished this task."""
        del self._held[rank][index]

    def give_back(self, rank: int) -> list[int]:
        """Open a worker's unfinished tasks again, and return their numbers."""
        held, self._held[rank] = self._held[rank], {}
        self._returned.extend(held.values())
        return list(held)


class _Deaths:
    """How many workers have died, of all and over each task."""

    def __init__(self, retries: int, *, num_workers: int, noun: str) -> None:
        self._retries, self._num_workers, self._noun = retries, num_workers, noun
        self._in_a_row = 0
        self._of_tasks: Counter[int] = Counter()
        self._last_at = -LINGERING_SECONDS

    def are_recent(self) -> bool:
        """Whether a worker that counts as dead may still be there."""
        return time.monotonic() - self._last_at < LINGERING_SECONDS

    def forget(self) -> None:
        """A task was finished."""
        self._in_a_row = 0

    def count(self, lost: Sequence[int], *, how: str) -> None:
        """Count a worker's death that has cost these tasks.

        Raises:
            WorkerError: it was one too many.
        """
        self._in_a_row += 1
        self._last_at = time.monotonic()
        self._of_tasks.update(lost)
        noun = self._noun
        worst = max(lost, key=lambda index: self._of_tasks[index], default=None)
        num_worst = 0 if worst is None else self._of_tasks[worst]
        if not self._retries:
            raise WorkerError(f"{how}; {kept(noun)}")
        if num_worst > self._retries:
            raise WorkerError(f"{how}; {num_worst} workers died over {noun} {worst}; {kept(noun)}")
        if self._in_a_row > self._retries * self._num_workers:
            raise WorkerError(
                f"{how}; {self._in_a_row} workers died and no {noun} was finished meanwhile; {kept(noun)}"
            )
        logger.warning("%s; its unfinished %ss are made by another worker", how, noun)


class _Parts:
    """Passes parts on, each one once, though a task may be begun several times."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._passed: Counter[int] = Counter()
        self._taken: Counter[int] = Counter()

    def take(self, index: int, value: Any) -> None:
        self._taken[index] += 1
        if self._taken[index] > self._passed[index]:
            self._passed[index] += 1
            self._listener.on_part(index, value)

    def restart(self, indices: Iterable[int]) -> None:
        """These tasks are begun anew."""
        for index in indices:
            self._taken[index] = 0
