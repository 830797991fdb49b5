"""Several workers at once: one process each, shards dealt out as they come to them."""

import multiprocessing
import os
import pickle
import queue
import signal
import time
import traceback
from multiprocessing.context import SpawnProcess
from typing import Any

from prodemb.catalog.budget import PictureCounts
from prodemb.core.children import begin_child, take_record
from prodemb.core.errors import ProdembError, WorkerError
from prodemb.embed.worker import Job, Listener, Spent, make_shards
from prodemb.shards.format import ShardRecord, ShardSchema

POLL_SECONDS = 1.0
"""How often it is looked whether all workers are alive."""
LAST_WORDS_SECONDS = 3.0
"""How long what a dead worker has said may take to arrive."""
END_SECONDS = 5.0
"""How long a worker may take to end when it is told to."""


def make_shards_in_processes(job: Job, *, is_done: list[bool], listener: Listener) -> Spent:
    """Make the shards that are not done by `job.num_workers` processes; whoever comes to a shard first makes it.

    They are started afresh (spawn), so a script that calls this needs `if __name__ == "__main__":`, as Python's
    multiprocessing says.

    Args:
        is_done: one for each shard of the catalog.

    Raises:
        WorkerError: a worker died.
        ProdembError: what a worker raised.
    """
    context = multiprocessing.get_context("spawn")
    taken = context.Array("b", is_done)
    messages: multiprocessing.Queue[tuple[str, Any]] = context.Queue()
    workers = {
        place: context.Process(
            target=_work, args=(job, place, taken, messages), name=f"prodemb worker {place}", daemon=True
        )
        for place in range(job.num_workers)
    }
    spent = Spent()
    started = False
    died_at: dict[int, float] = {}
    try:
        for worker in workers.values():
            worker.start()
        while workers:
            _look_after(workers, died_at=died_at)
            try:
                name, value = messages.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if name == "started":
                if not started:
                    listener.started(value)
                started = True
            elif name == "encoded":
                listener.encoded(*value)
            elif name == "written":
                listener.written(*value)
            elif name == "logged":
                take_record(value)
            elif name == "finished":
                place, its_part = value
                workers.pop(place).join(END_SECONDS)
                spent += its_part
            else:
                raise value
    finally:
        for worker in workers.values():
            _end(worker)
    return spent


def _look_after(workers: dict[int, SpawnProcess], *, died_at: dict[int, float]) -> None:
    """Raise WorkerError for a worker that is dead and has not said why, once its last words have had time to come."""
    for place, worker in workers.items():
        now = time.monotonic()
        if worker.exitcode is not None and now - died_at.setdefault(place, now) > LAST_WORDS_SECONDS:
            raise WorkerError(_obituary(worker))


def _end(worker: SpawnProcess) -> None:
    if worker.pid is None:  # never started
        return
    worker.terminate()
    worker.join(END_SECONDS)
    if worker.is_alive():
        worker.kill()
        worker.join(END_SECONDS)


def _obituary(worker: SpawnProcess) -> str:
    code = worker.exitcode or 0
    names = {-number.value: number.name for number in signal.Signals}
    how = f"was killed by signal {names.get(code, -code)}" if code < 0 else f"ended with status {code}"
    hint = "; perhaps for want of memory" if code == -signal.SIGKILL else ""
    return f"{worker.name} {how}{hint}; what is finished stays, the same command goes on from there"


class _Messages:
    """A listener in a worker's process that tells the main process."""

    def __init__(self, messages: "multiprocessing.Queue[tuple[str, Any]]") -> None:
        self._messages = messages

    def started(self, schema: ShardSchema) -> None:
        self._messages.put(("started", schema))

    def encoded(self, num_products: int, pictures: PictureCounts) -> None:
        self._messages.put(("encoded", (num_products, pictures)))

    def written(self, index: int, record: ShardRecord) -> None:
        self._messages.put(("written", (index, record)))


def _work(job: Job, place: int, taken: Any, messages: "multiprocessing.Queue[tuple[str, Any]]") -> None:
    """A worker's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the main process, which ends its workers
    begin_child(lambda record: messages.put(("logged", record)))

    def take(shard: int) -> bool:
        with taken.get_lock():
            if taken[shard]:
                return False
            taken[shard] = True
            return True

    try:
        messages.put(("finished", (place, make_shards(job, place=place, is_mine=take, listener=_Messages(messages)))))
    except BaseException as error:
        messages.put(("failed", _portable(error)))
        messages.close()
        messages.join_thread()
        os._exit(1)  # a thread that hangs must not keep it


def _portable(error: BaseException) -> BaseException:
    """The error as it can be sent to another process; one that is not of ours keeps its traceback as a note."""
    if isinstance(error, ProdembError):
        return error
    text = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(str(error))
    error.add_note(text)
    return error
