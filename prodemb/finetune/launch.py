"""Starting one process a device for fine-tuning, as `accelerate launch` does, from within the command."""

import logging
import multiprocessing
import threading
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from prodemb.core.children import begin_child, take_record
from prodemb.core.errors import ProdembError, WorkerError
from prodemb.finetune.processes import is_first_process

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


class Work(Protocol):
    """What each process does; it can be pickled."""

    def __call__(self, *, progress: Progress | None) -> object: ...


def launch(work: Work, *, count: int, progress: Progress | None) -> None:
    """Run `work` in `count` fresh processes that know of each other; the first one's progress is shown.

    If one dies the others are ended (torch's elastic agent watches them), so nobody waits for it. They are started by
    spawn, so a script that calls this needs `if __name__ == "__main__":`, as Python's multiprocessing says.

    Raises:
        WorkerError: a process died.
        ProdembError: what a process raised.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # It tells of a failure at length, with addresses and process ids; we raise it.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    messages = multiprocessing.get_context("spawn").SimpleQueue()
    failures: list[ProdembError] = []
    listener = threading.Thread(target=_listen, args=(messages, failures, progress), daemon=True)
    listener.start()
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    died: ChildFailedError | None = None
    try:
        elastic_launch(config, _work)(work, messages)
    except ChildFailedError as error:
        died = error
    finally:
        messages.put(None)
        listener.join()
    if failures:
        raise failures[0]
    if died is not None:
        rank, failure = died.get_first_failure()
        said = failure.message["message"] if isinstance(failure.message, dict) else failure.message
        raise WorkerError(
            f"fine-tuning process {rank} ended with status {failure.exitcode}: {said}; what is saved stays, the same "
            "command goes on from there"
        )


def _listen(messages: Any, failures: list[ProdembError], progress: Progress | None) -> None:
    while (message := messages.get()) is not None:
        if isinstance(message, ProdembError):
            failures.append(message)
        elif isinstance(message, logging.LogRecord):
            take_record(message)
        elif progress is not None:
            progress(*message)


def _work(work: Work, messages: Any) -> None:
    """A process's whole life."""
    begin_child(messages.put)

    def report(done: int, total: int) -> None:
        if is_first_process():
            messages.put((done, total))

    try:
        work(progress=report)
    except ProdembError as error:
        messages.put(error)
        raise
