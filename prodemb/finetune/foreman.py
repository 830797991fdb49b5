"""What runs on a Ray cluster to fine-tune there: a foreman, which has Ray Train start the workers, and each worker."""

import queue
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodemb.core.children import log_to
from prodemb.core.errors import ConfigError
from prodemb.core.text import one_line
from prodemb.finetune.processes import TIMEOUT, is_first_process, is_lost_peer
from prodemb.workers.actor import check_machine, keep_last_words
from prodemb.workers.crew import POLL_SECONDS
from prodemb.workers.job import Message, portable

DELIVERY_SECONDS = 60.0
"""How long a worker waits for its last message to arrive."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The workers of one attempt, and where they work."""

    num_workers: int
    num_cores: int
    num_gpus: int
    """Of each worker."""
    folder: Path
    """Where Ray Train may write, and each worker its last words; it is removed after the run."""
    home: Path
    """The folder that the command was called in."""
    paths: tuple[Path, ...]
    """What each machine must see."""
    versions: Mapping[str, str]
    """Of the machine where the command runs."""

    def last_words(self, rank: int) -> Path:
        """The file that holds what a worker has written to its stderr."""
        return self.folder / f"worker-{rank}"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Why an attempt has failed, as one worker knows it."""

    rank: int | None
    """The worker; None where Ray Train itself failed."""
    text: str
    """What Ray says of a worker that died, else what the worker has raised."""
    is_dead: bool = False
    is_no_room: bool = False
    """Whether nobody was started, because others use the cluster."""


class Foreman:
    """Stands between a command and its workers: has Ray Train run them, and passes on what they tell.

    He is an actor, and owns all that Ray Train starts, so that everything ends with him: Ray Train alone is ended by
    Ctrl-C in the main thread or not at all, and it waits for its workers without an end.
    """

    def __init__(self) -> None:
        self._messages: queue.Queue[Message] = queue.Queue()

    def tell(self, message: Message) -> None:
        """A worker tells something."""
        self._messages.put(message)

    def take(self) -> list[Message]:
        """What there is to tell, at once or when there is something."""
        messages = []
        with suppress(queue.Empty):
            messages.append(self._messages.get(timeout=POLL_SECONDS))
            while True:
                messages.append(self._messages.get_nowait())
        return messages

    def run(self, work: Sequence[Any], group: Group) -> list[Loss]:
        """Run the workers once; returns why that failed, nothing where it did not.

        What a worker raises that running it again would not mend is told as "failed".

        Args:
            work: Ray's reference to what each worker does.
        """
        try:
            return _fit(work[0], group)
        except Exception as error:
            self.tell(("failed", portable(error)))
            return []


def _fit(work: Any, group: Group) -> list[Loss]:
    import ray

    try:
        from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise ConfigError(
            f"[finetune] engine: found 'ray', but Ray Train cannot be loaded ({one_line(error)}); wanted pip install "
            "'prodemb[ray]'"
        ) from None
    foreman = ray.get_runtime_context().current_actor

    def train() -> None:
        _work(work, group=group, rank=ray.train.get_context().get_world_rank(), tell=foreman.tell)

    class Trainer(TorchTrainer):  # type: ignore[misc]  # ray.train says nothing of its types
        def _create_default_callbacks(self) -> list[Any]:
            # Without the watcher that would outlive the run: on a cluster without a dashboard it never ends.
            callbacks: list[Any] = super()._create_default_callbacks()
            return [each for each in callbacks if type(each).__name__ != "PlacementGroupCleanerCallback"]

    trainer = Trainer(
        train,
        torch_config=TorchConfig(timeout_s=int(TIMEOUT.total_seconds())),
        scaling_config=ScalingConfig(
            num_workers=group.num_workers,
            use_gpu=bool(group.num_gpus),
            resources_per_worker={"CPU": group.num_cores} | ({"GPU": group.num_gpus} if group.num_gpus else {}),
            placement_strategy="PACK" if group.num_gpus else "SPREAD",
        ),
        run_config=RunConfig(
            name="ray",
            storage_path=str(group.folder),
            # The command tries again: it knows which errors are worth it, and which machines are left.
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0),
        ),
    )
    try:
        trainer.fit()
    except WorkerGroupError as error:
        causes = {rank: getattr(each, "health_check_failure", each) for rank, each in error.worker_failures.items()}
        return [
            Loss(rank=rank, text=str(cause), is_dead=isinstance(cause, ray.exceptions.RayActorError))
            for rank, cause in causes.items()
        ]
    except ControllerError as error:
        cause = error.controller_failure
        return [Loss(rank=None, text=str(cause), is_no_room=type(cause).__name__ == "WorkerGroupStartupTimeoutError")]
    return []


def _work(work: Any, *, group: Group, rank: int, tell: Any) -> None:
    """One worker from start to end."""
    import ray

    def send(message: Message) -> None:
        tell.options(concurrency_group="tell").remote(message)

    def deliver(message: Message) -> None:
        ray.get(tell.options(concurrency_group="tell").remote(message), timeout=DELIVERY_SECONDS)

    def send_progress(done: int, total: int | None) -> None:
        if is_first_process():
            send(("progress", (done, total)))

    log_to(lambda record: send(("log", record)))
    try:
        check_machine((group.folder, *group.paths), home=group.home, versions=group.versions)
        group.last_words(rank).write_bytes(b"")
        keep_last_words(group.last_words(rank))
        send(("started", (rank, socket.gethostname())))
        ray.get(work)(on_progress=send_progress)
    except BaseException as error:
        if not is_lost_peer(error):  # of a worker that died Ray Train tells itself
            deliver(("failed", portable(error)))
        raise
    deliver(("finished", rank))
