"""Several workers on this machine: one process each."""

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess
from typing import Any

from prodemb.core.children import begin_child
from prodemb.workers.crew import run_crew
from prodemb.workers.job import Job, Listener, Message, Outcome, Seat, Task, work

LAST_MESSAGES_SECONDS = 3.0
"""How long the last messages of a dead worker may take to arrive."""
END_SECONDS = 5.0
"""How long a worker may take to end when it is told to."""


def run_in_processes(job: Job, tasks: Sequence[Task], *, num_workers: int, device: str, listener: Listener) -> Outcome:
    """Have tasks done by several processes. One that dies ends the run.

    They are started afresh (spawn), so a script that calls this needs `if __name__ == "__main__":`, as Python's
    multiprocessing says.

    Args:
        device: "cpu" or "cuda".

    Raises:
        WorkerError: a process died.
        ProdembError: what one raised.
    """
    crew = _Processes(job, num_workers=num_workers)
    results = run_crew(crew, tasks, num_workers=num_workers, retries=0, listener=listener, noun=job.noun)
    return Outcome(results=results, num_workers=num_workers, device=device)


class _Processes:
    """A crew of processes."""

    def __init__(self, job: Job, *, num_workers: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._job, self._num_workers = job, num_workers
        self._messages: multiprocessing.Queue[tuple[int, Message]] = self._context.Queue()
        self._answers = [self._context.SimpleQueue() for _ in range(num_workers)]
        self._workers: dict[int, SpawnProcess] = {}
        self._died_at: dict[int, float] = {}

    def start(self, rank: int) -> None:
        seat = Seat(rank=rank, num_workers=self._num_workers, device=rank)
        arguments = (self._job, rank, seat, self._answers[rank], self._messages)
        worker = self._context.Process(target=_work, args=arguments, name=f"prodemb worker {rank}", daemon=True)
        worker.start()
        self._workers[rank] = worker

    def receive(self, timeout: float) -> list[tuple[int, Message]]:
        try:
            rank, message = self._messages.get(timeout=timeout)
        except queue.Empty:
            return []
        if message[0] == "finished":
            self._workers[rank].join(END_SECONDS)
        return [(rank, message)]

    def answer(self, rank: int, task: Task | None) -> None:
        self._answers[rank].put(task)

    def fallen(self) -> dict[int, str]:
        """Dead workers that have not said why, once their last messages have had time to arrive."""
        now = time.monotonic()
        return {
            rank: _cause_of_death(worker)
            for rank, worker in self._workers.items()
            if worker.exitcode is not None and now - self._died_at.setdefault(rank, now) > LAST_MESSAGES_SECONDS
        }

    def end(self, rank: int) -> None:
        worker = self._workers.pop(rank, None)
        if worker is None:
            return
        worker.terminate()  # does nothing to one that has ended
        worker.join(END_SECONDS)
        if worker.is_alive():
            worker.kill()
            worker.join(END_SECONDS)


def _cause_of_death(worker: SpawnProcess) -> str:
    code = worker.exitcode or 0
    names = {-number.value: number.name for number in signal.Signals}
    how = f"was killed by signal {names.get(code, -code)}" if code < 0 else f"ended with status {code}"
    hint = "; possibly out of memory" if code == -signal.SIGKILL else ""
    return f"{worker.name} {how}{hint}"


def _work(
    job: Job, rank: int, seat: Seat, answers: Any, messages: "multiprocessing.Queue[tuple[int, Message]]"
) -> None:
    """All that a worker's process does."""

    def tell(message: Message) -> None:
        messages.put((rank, message))

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the main process, which ends its workers
    begin_child(lambda record: tell(("log", record)))
    if not work(job, seat=seat, next_task=answers.get, tell=tell):
        messages.close()
        messages.join_thread()
        os._exit(1)  # a thread that hangs must not keep it
