"""One worker of a Ray cluster, as it runs on its machine."""

import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from prodemb import __version__
from prodemb.core.children import log_to
from prodemb.core.errors import ConfigError
from prodemb.workers.crew import POLL_SECONDS
from prodemb.workers.job import Job, Message, Seat, Task, portable, work

_END_BYTES = 1 << 16

VERSIONS = {"prodemb": __version__, "torch": torch.__version__}
"""What has to be the same on all machines."""


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """Where an actor is."""

    host: str
    node_id: str
    """Ray's name of its machine."""
    last_words: str
    """The file there that takes what it writes to its stderr."""


class Actor:
    """One worker of the cluster: it works in a thread, and this object is asked what there is to tell."""

    def __init__(
        self,
        job: Job,
        *,
        seat: Seat,
        home: Path | None,
        paths: Sequence[Path],
        last_words: Path | None,
        versions: Mapping[str, str],
    ) -> None:
        """
        Args:
            home: the folder that the command was called in; None where nothing lies in it that is needed here.
            paths: what this machine must see.
            last_words: the file that takes them, which this machine must see too; by default Ray's own.
            versions: of the machine where the command runs.
        """
        self._messages: queue.Queue[Message] = queue.Queue()
        self._answers: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        words = os.path.realpath("/proc/self/fd/2") if last_words is None else str(last_words)
        import ray

        node_id = ray.get_runtime_context().get_node_id()
        self._whereabouts = Whereabouts(host=socket.gethostname(), node_id=node_id, last_words=words)
        seen = paths if last_words is None else (last_words, *paths)
        check = partial(check_machine, seen, home=home, versions=versions)
        arguments = {"seat": seat, "check": check, "last_words": last_words}
        threading.Thread(target=self._work, args=(job,), kwargs=arguments, name="work", daemon=True).start()

    def exchange(self, answers: Sequence[Task | None]) -> tuple[Whereabouts, list[Message]]:
        """Take answers; return where this is and what there is to tell, at once or when there is something."""
        for answer in answers:
            self._answers.put(answer)
        messages = []
        with suppress(queue.Empty):
            messages.append(self._messages.get(timeout=POLL_SECONDS))
            while True:
                messages.append(self._messages.get_nowait())
        return self._whereabouts, messages

    def _work(self, job: Job, *, seat: Seat, check: Callable[[], None], last_words: Path | None) -> None:
        log_to(lambda record: self._messages.put(("log", record)))
        try:
            check()
            if last_words is not None:
                keep_last_words(last_words)
        except Exception as error:
            self._messages.put(("failed", portable(error)))
            return
        work(job, seat=seat, next_task=self._answers.get, tell=self._messages.put)


def check_machine(paths: Sequence[Path], *, home: Path | None, versions: Mapping[str, str]) -> None:
    """See that this machine can work on a run, and work in the folder that the command was called in, if it matters.

    Raises:
        ConfigError: that folder or one of the paths is not to be seen here, or other versions are installed.
    """
    host = socket.gethostname()
    if versions != VERSIONS:
        found, wanted = (", ".join(f"{name} {each}" for name, each in all_.items()) for all_ in (VERSIONS, versions))
        raise ConfigError(f"Ray worker on {host}: found {found}; wanted {wanted}, as where the command runs")
    for path in (*paths,) if home is None else (home, *paths):
        if not path.exists():
            raise ConfigError(
                f"Ray worker on {host}: found no {path}, which is there where the command runs; wanted one file system "
                "for all machines, with all that the command reads and writes at the same paths"
            )
    if home is not None:
        os.chdir(home)


def read_end(path: str) -> str:
    """What stands at the end of a file of this machine, nothing where it cannot be read."""
    with suppress(OSError), Path(path).open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _END_BYTES))
        return file.read(_END_BYTES).decode(errors="replace")
    return ""


def keep_last_words(file: Path) -> None:
    """Have all that this process writes to its stderr from now on in a file."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.close(descriptor)
