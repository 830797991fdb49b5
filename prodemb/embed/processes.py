"""Several workers at once: one process each, which share the shards out among them."""

import multiprocessing
import os
import pickle
import queue
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from prodemb.catalog.budget import PictureCounts
from prodemb.core.children import begin_child, take_record
from prodemb.core.errors import ProdembError, WorkerError
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.worker import Callback, Timings, embed_shards
from prodemb.shards.format import ShardRecord, ShardSchema

POLL_SECONDS = 1.0
"""How often it is looked whether all workers are alive."""
LAST_MESSAGES_SECONDS = 3.0
"""How long the last messages of a dead worker may take to arrive."""
END_SECONDS = 5.0
"""How long a worker may take to end when it is told to."""


def embed_in_processes(plan: Plan, *, callback: Callback) -> Timings:
    """Make the shards of a plan by `plan.num_workers` processes.

    They are started afresh (spawn), so a script that calls this needs `if __name__ == "__main__":`, as Python's
    multiprocessing says.

    Raises:
        WorkerError: a worker died.
        ProdembError: what a worker raised.
    """
    context = multiprocessing.get_context("spawn")
    tasks = SharedTasks(plan.todo, num_workers=plan.num_workers, context=context)
    messages: multiprocessing.Queue[tuple[str, Any]] = context.Queue()
    workers = {
        rank: context.Process(
            target=_work, args=(plan, rank, tasks, messages), name=f"prodemb worker {rank}", daemon=True
        )
        for rank in range(plan.num_workers)
    }
    timings = Timings()
    has_started = False
    died_at: dict[int, float] = {}
    try:
        for worker in workers.values():
            worker.start()
        while workers:
            _check_alive(workers, died_at=died_at)
            try:
                name, value = messages.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            match name:
                case "start":
                    if not has_started:
                        callback.on_start(value)
                    has_started = True
                case "window":
                    callback.on_window(*value)
                case "shard":
                    callback.on_shard(*value)
                case "log":
                    take_record(value)
                case "finished":
                    rank, its_timings = value
                    workers.pop(rank).join(END_SECONDS)
                    timings += its_timings
                case _:
                    raise value
    finally:
        for worker in workers.values():
            _end(worker)
    return timings


class SharedTasks:
    """Tasks that several processes take from: neighbours go to one process, so that it can read them in one pass.

    Each starts with a stretch of its own; one that has come to its end takes the second half of the longest stretch
    that is left.
    """

    def __init__(self, tasks: Sequence[ShardTask], *, num_workers: int, context: SpawnContext) -> None:
        self._tasks = tasks
        ends = [len(tasks) * rank // num_workers for rank in range(num_workers + 1)]
        self._lock = context.Lock()
        self._starts: Any = context.Array("q", ends[:-1], lock=False)
        self._stops: Any = context.Array("q", ends[1:], lock=False)

    def of(self, rank: int) -> Iterator[ShardTask]:
        """Take tasks for a worker, one by one, until none is left."""
        while (position := self._take(rank)) is not None:
            yield self._tasks[position]

    def _take(self, rank: int) -> int | None:
        starts, stops = self._starts, self._stops
        with self._lock:
            if starts[rank] == stops[rank]:
                longest = max(range(len(starts)), key=lambda other: stops[other] - starts[other])
                starts[rank], stops[rank] = (starts[longest] + stops[longest]) // 2, stops[longest]
                stops[longest] = starts[rank]
            if starts[rank] == stops[rank]:
                return None
            starts[rank] += 1
            return int(starts[rank]) - 1


def _check_alive(workers: dict[int, SpawnProcess], *, died_at: dict[int, float]) -> None:
    """Raise WorkerError for a dead worker that has not said why, once its last messages have had time to arrive."""
    for rank, worker in workers.items():
        now = time.monotonic()
        if worker.exitcode is not None and now - died_at.setdefault(rank, now) > LAST_MESSAGES_SECONDS:
            raise WorkerError(_cause_of_death(worker))


def _end(worker: SpawnProcess) -> None:
    if worker.pid is None:  # never started
        return
    worker.terminate()
    worker.join(END_SECONDS)
    if worker.is_alive():
        worker.kill()
        worker.join(END_SECONDS)


def _cause_of_death(worker: SpawnProcess) -> str:
    code = worker.exitcode or 0
    names = {-number.value: number.name for number in signal.Signals}
    how = f"was killed by signal {names.get(code, -code)}" if code < 0 else f"ended with status {code}"
    hint = "; possibly out of memory" if code == -signal.SIGKILL else ""
    return f"{worker.name} {how}{hint}; finished shards are kept, the same command goes on from there"


class _Messages:
    """The callback of a worker's process: tells the main process."""

    def __init__(self, messages: "multiprocessing.Queue[tuple[str, Any]]") -> None:
        self._messages = messages

    def on_start(self, schema: ShardSchema) -> None:
        self._messages.put(("start", schema))

    def on_window(self, num_products: int, pictures: PictureCounts) -> None:
        self._messages.put(("window", (num_products, pictures)))

    def on_shard(self, index: int, record: ShardRecord) -> None:
        self._messages.put(("shard", (index, record)))


def _work(plan: Plan, rank: int, tasks: SharedTasks, messages: "multiprocessing.Queue[tuple[str, Any]]") -> None:
    """All that a worker's process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the main process, which ends its workers
    begin_child(lambda record: messages.put(("log", record)))
    try:
        timings = embed_shards(plan, tasks=tasks.of(rank), rank=rank, callback=_Messages(messages))
        messages.put(("finished", (rank, timings)))
    except BaseException as error:
        messages.put(("failed", _portable(error)))
        messages.close()
        messages.join_thread()
        os._exit(1)  # a thread that hangs must not keep it


def _portable(error: BaseException) -> BaseException:
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
