"""Starting one process per device for fine-tuning, as `accelerate launch` does, from within the command."""

import logging
import multiprocessing
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from prodemb.core.children import begin_child, own_signals, take_record
from prodemb.core.errors import ProdembError, WorkerError
from prodemb.core.progress import ProgressCallback
from prodemb.finetune.processes import is_first_process

KEPT = "saved steps are kept, the same command resumes from them"


class Work(Protocol):
    """What each process does; it can be pickled."""

    def __call__(self, *, on_progress: ProgressCallback | None) -> object: ...


def launch(work: Work, *, count: int, on_progress: ProgressCallback | None) -> None:
    """Run `work` in `count` fresh processes that know of each other; the first one's progress is reported.

    If one dies the others are ended (torch's elastic agent watches them), so nobody waits for it. They are started by
    spawn, so a script that calls this needs `if __name__ == "__main__":`, as Python's multiprocessing says.

    Raises:
        WorkerError: a process died.
        ProdembError: what a process raised.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # It reports failures at length, with addresses and process ids; we raise them.
    for name in ("torch.distributed.elastic", "torch.distributed.elastic.agent.server.api"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
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
    messages = multiprocessing.get_context("spawn").SimpleQueue()
    died: ChildFailedError | None = None
    with ThreadPoolExecutor(1) as listener:
        errors = listener.submit(_listen, messages, on_progress)
        try:
            with own_signals():
                elastic_launch(config, _run)(work, messages)
        except ChildFailedError as error:
            died = error
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + error.sigval) from None
        finally:
            messages.put(None)
    if errors.result():
        raise errors.result()[0]
    if died is not None:
        rank, failure = died.get_first_failure()
        reason = failure.message["message"] if isinstance(failure.message, dict) else failure.message
        raise WorkerError(f"fine-tuning process {rank} ended with status {failure.exitcode}: {reason}; {KEPT}")


def _listen(messages: Any, on_progress: ProgressCallback | None) -> list[ProdembError]:
    """Pass on what the processes send until None comes; returns their errors."""
    errors: list[ProdembError] = []
    while (message := messages.get()) is not None:
        if isinstance(message, ProdembError):
            errors.append(message)
        elif isinstance(message, logging.LogRecord):
            take_record(message)
        elif on_progress is not None:
            on_progress(*message)
    return errors


def _run(work: Work, messages: Any) -> None:
    """One process from start to end."""
    begin_child(messages.put)

    def send_progress(done: int, total: int | None) -> None:
        if is_first_process():
            messages.put((done, total))

    try:
        work(on_progress=send_progress)
    except ProdembError as error:
        messages.put(error)
        raise
