"""Several workers at once, processes or Ray's actors: who makes which shard, what they tell, what their deaths mean."""

import logging
import pickle
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

from prodemb.catalog.budget import PictureCounts
from prodemb.core.children import take_record
from prodemb.core.errors import ProdembError, WorkerError
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.worker import Callback, Seat, Timings, embed_shards
from prodemb.shards.format import ShardRecord, ShardSchema

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often it is looked whether all workers are alive."""
KEPT = "finished shards are kept, the same command goes on from there"

Message = tuple[str, Any]
"""What a worker tells: "ask" (for a shard), "start", "window", "shard", "log", "finished" or "failed", and a value."""

Tell = Callable[[Message], None]
"""Sends a message to the process that runs the crew."""


class Crew(Protocol):
    """Workers of one kind, each known by its rank."""

    def start(self, rank: int) -> None:
        """Start a worker, without waiting for it; it runs `work`."""

    def receive(self, timeout: float) -> Iterable[tuple[int, Message]]:
        """What workers have told, with their ranks; waits at most so many seconds where there is nothing yet."""

    def answer(self, rank: int, task: ShardTask | None) -> None:
        """Give a worker a shard that it has asked for, or None if it is to finish."""

    def fallen(self) -> dict[int, str]:
        """Workers that died, and how; nothing more is received from them."""

    def end(self, rank: int) -> None:
        """End a worker if it has not ended, and forget it."""


def run_crew(crew: Crew, plan: Plan, *, num_workers: int, retries: int, callback: Callback) -> Timings:
    """Make the shards of a plan.

    Args:
        retries: how often the shards of a worker that died are given to another one. The run ends when a shard has
            cost more workers than that, or when in all workers so many times died one after another without a shard
            finished in between.

    Returns:
        Of the workers that finished.

    Raises:
        WorkerError: workers died.
        ProdembError: what a worker raised.
    """
    tasks = SharedTasks(plan.todo, num_workers=num_workers)
    deaths, windows = _Deaths(retries, num_workers=num_workers), _Windows(callback)
    timings = Timings()
    has_started = False
    idle, at_work = list(range(num_workers)), set[int]()
    try:
        while tasks.num_left or at_work:
            for rank in idle[: tasks.num_open]:
                idle.remove(rank)
                crew.start(rank)
            for rank, (name, value) in crew.receive(POLL_SECONDS):
                at_work.add(rank)
                match name:
                    case "ask":
                        crew.answer(rank, tasks.take(rank))
                    case "start":
                        if not has_started:
                            callback.on_start(value)
                        has_started = True
                    case "window":
                        windows.take(*value)
                    case "shard":
                        callback.on_shard(*value)
                        tasks.finish(rank, value[0])
                        deaths.forget()
                    case "log":
                        take_record(value)
                    case "finished":
                        timings += value
                        crew.end(rank)
                        at_work.remove(rank)
                        idle.append(rank)
                    case _:
                        raise value
            for rank, how in crew.fallen().items():
                crew.end(rank)
                at_work.discard(rank)
                idle.append(rank)
                lost = tasks.give_back(rank)
                windows.restart(lost)
                deaths.count(lost, how=how)
    finally:
        for rank in range(num_workers):
            crew.end(rank)
    return timings


def work(plan: Plan, *, seat: Seat, next_task: Callable[[], ShardTask | None], tell: Tell) -> bool:
    """All that a worker does; whether it went well. What goes wrong is told.

    Args:
        next_task: waits for the shard that was asked for; None when there is none.
    """

    def asked() -> Iterator[ShardTask]:
        while True:
            tell(("ask", None))
            task = next_task()
            if task is None:
                return
            yield task

    try:
        timings = embed_shards(plan, tasks=asked(), seat=seat, callback=_Messenger(tell))
    except BaseException as error:
        tell(("failed", portable(error)))
        return False
    tell(("finished", timings))
    return True


class SharedTasks:
    """Tasks that several workers take from: neighbours go to one worker, so that it can read them in one pass.

    Each starts with a stretch of its own; one that has come to its end takes the second half of the longest stretch
    that is left. What a dead worker gives back comes first.
    """

    def __init__(self, tasks: Sequence[ShardTask], *, num_workers: int) -> None:
        ends = [len(tasks) * rank // num_workers for rank in range(num_workers + 1)]
        self._stretches = [deque(tasks[start:stop]) for start, stop in pairwise(ends)]
        self._returned: deque[ShardTask] = deque()
        self._held: list[dict[int, ShardTask]] = [{} for _ in range(num_workers)]

    @property
    def num_open(self) -> int:
        """Tasks that no worker has."""
        return len(self._returned) + sum(map(len, self._stretches))

    @property
    def num_left(self) -> int:
        """Tasks that are not finished."""
        return self.num_open + sum(map(len, self._held))

    def take(self, rank: int) -> ShardTask | None:
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
        """The worker has finished the task of this shard."""
        del self._held[rank][index]

    def give_back(self, rank: int) -> list[int]:
        """Open a worker's unfinished tasks again, and return their shards."""
        held, self._held[rank] = self._held[rank], {}
        self._returned.extend(held.values())
        return list(held)


class _Deaths:
    """How many workers have died, of all and over each shard."""

    def __init__(self, retries: int, *, num_workers: int) -> None:
        self._retries, self._num_workers = retries, num_workers
        self._in_a_row = 0
        self._of_shards: Counter[int] = Counter()

    def forget(self) -> None:
        """A shard was finished."""
        self._in_a_row = 0

    def count(self, lost: Sequence[int], *, how: str) -> None:
        """Count a worker's death that has cost these shards.

        Raises:
            WorkerError: it was one too many.
        """
        self._in_a_row += 1
        self._of_shards.update(lost)
        worst = max(lost, key=lambda index: self._of_shards[index], default=None)
        num_worst = 0 if worst is None else self._of_shards[worst]
        if not self._retries:
            raise WorkerError(f"{how}; {KEPT}")
        if num_worst > self._retries:
            raise WorkerError(f"{how}; {num_worst} workers died over shard {worst}; {KEPT}")
        if self._in_a_row > self._retries * self._num_workers:
            raise WorkerError(f"{how}; {self._in_a_row} workers died and no shard was finished meanwhile; {KEPT}")
        logger.warning("%s; its unfinished shards are made by another worker", how)


class _Windows:
    """Passes windows on, each one once, though a shard may be begun several times."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._passed: Counter[int] = Counter()
        self._taken: Counter[int] = Counter()

    def take(self, index: int, num_products: int, pictures: PictureCounts) -> None:
        self._taken[index] += 1
        if self._taken[index] > self._passed[index]:
            self._passed[index] += 1
            self._callback.on_window(index, num_products, pictures)

    def restart(self, indices: Iterable[int]) -> None:
        """These shards are begun anew."""
        for index in indices:
            self._taken[index] = 0


class _Messenger:
    """The callback of a worker: tells what it is told."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def on_start(self, schema: ShardSchema) -> None:
        self._tell(("start", schema))

    def on_window(self, index: int, num_products: int, pictures: PictureCounts) -> None:
        self._tell(("window", (index, num_products, pictures)))

    def on_shard(self, index: int, record: ShardRecord) -> None:
        self._tell(("shard", (index, record)))


def portable(error: BaseException) -> BaseException:
    """The error as it can be sent to another process; another one than prodemb's keeps its traceback as a note."""
    if isinstance(error, ProdembError):
        return error
    text = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(str(error))
    error.add_note(text)
    return error
