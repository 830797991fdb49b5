"""What workers do, where they sit, and what they tell."""

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch

from prodemb.core.errors import ProdembError

Message = tuple[str, Any]
"""What a worker tells: "ask" (for a task), "start", "part", "done", "log", "finished" or "failed", and a value."""

Tell = Callable[[Message], None]
"""Sends a message to the process that runs the crew."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Where one of a run's workers works, and what is its own there."""

    rank: int = 0
    """This one's number."""
    num_workers: int = 1
    """Of the run; they share out what the run may do at a time."""
    num_cores: int | None = None
    """By default this worker's share of the machine's cores, all workers being on it."""
    device: int = 0
    """Which of several CUDA devices; past the last it starts again at the first."""

    def take_cores(self) -> None:
        """Hold torch to its cores."""
        if self.num_cores is not None:
            torch.set_num_threads(self.num_cores)
        elif self.num_workers > 1:
            torch.set_num_threads(max(1, torch.get_num_threads() // self.num_workers))


class Task(Protocol):
    """One file of a run's, say, to be made by one worker."""

    @property
    def index(self) -> int:
        """Of the task among all."""


class Listener(Protocol):
    """Hears how a run goes on; in a worker it is what tells the run's own process."""

    def on_start(self, value: Any) -> None:
        """A worker is ready; nothing is made yet. Of all workers only the first is heard of."""

    def on_part(self, index: int, value: Any) -> None:
        """One more part of a task is done. Each is heard of once, though a task may be begun several times."""

    def on_done(self, index: int, value: Any) -> None:
        """A task is done: what it made is there. In a worker it may be called from any thread."""


class Job(Protocol):
    """What all workers of a run do. Each gets a copy of it, by pickle."""

    noun: ClassVar[str]
    """What a task makes one of, for messages: "shard"."""

    def work(self, tasks: Iterable[Any], *, seat: Seat, listener: Listener) -> Any:
        """Do tasks until there are no more, and return what is to be known of that.

        Args:
            tasks: taken one by one, maybe ahead of need; each is `on_done` once.
        """


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How tasks were done; what they made the listener has heard."""

    results: Sequence[Any]
    """What `Job.work` returned in each worker that came to its end."""
    num_workers: int
    device: str
    """"cpu" or "cuda"."""


def kept(noun: str) -> str:
    """What an error that ends a run says of what there is by then."""
    return f"finished {noun}s are kept, the same command goes on from there"


def work(job: Job, *, seat: Seat, next_task: Callable[[], Task | None], tell: Tell) -> bool:
    """All that a worker does; whether it went well. What goes wrong is told.

    Args:
        next_task: waits for the task that was asked for; None when there is none.
    """

    def asked() -> Iterator[Task]:
        while True:
            tell(("ask", None))
            task = next_task()
            if task is None:
                return
            yield task

    try:
        result = job.work(asked(), seat=seat, listener=_Messenger(tell))
    except BaseException as error:
        tell(("failed", portable(error)))
        return False
    tell(("finished", result))
    return True


class _Messenger:
    """The listener of a worker: tells what it hears."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def on_start(self, value: Any) -> None:
        self._tell(("start", value))

    def on_part(self, index: int, value: Any) -> None:
        self._tell(("part", (index, value)))

    def on_done(self, index: int, value: Any) -> None:
        self._tell(("done", (index, value)))


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
