"""One worker of a Ray cluster, as it runs on its machine."""

import os
import queue
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from prodemb import __version__
from prodemb.core.children import log_to
from prodemb.core.errors import ConfigError
from prodemb.workers.crew import POLL_SECONDS
from prodemb.workers.job import Job, Message, Seat, Task, portable, work

VERSIONS = {"prodemb": __version__, "torch": torch.__version__}
"""What has to be the same on all machines."""


class Actor:
    """One worker of the cluster: it works in a thread, and this object is asked what there is to tell."""

    def __init__(self, job: Job, *, seat: Seat, home: Path, paths: Sequence[Path], versions: Mapping[str, str]) -> None:
        """
        Args:
            home: the folder that the command was called in.
            paths: what this machine must see; the first is the file that takes the last words.
            versions: of the machine where the command runs.
        """
        self._messages: queue.Queue[Message] = queue.Queue()
        self._answers: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        arguments = {"seat": seat, "home": home, "paths": paths, "versions": versions}
        threading.Thread(target=self._work, args=(job,), kwargs=arguments, name="work", daemon=True).start()

    def exchange(self, answers: Sequence[Task | None]) -> tuple[str, list[Message]]:
        """Take answers; return this machine's name and what there is to tell, at once or when there is something."""
        for answer in answers:
            self._answers.put(answer)
        messages = []
        with suppress(queue.Empty):
            messages.append(self._messages.get(timeout=POLL_SECONDS))
            while True:
                messages.append(self._messages.get_nowait())
        return socket.gethostname(), messages

    def _work(self, job: Job, *, seat: Seat, home: Path, paths: Sequence[Path], versions: Mapping[str, str]) -> None:
        log_to(lambda record: self._messages.put(("log", record)))
        try:
            check_machine(paths, home=home, versions=versions)
            keep_last_words(paths[0])
        except Exception as error:
            self._messages.put(("failed", portable(error)))
            return
        work(job, seat=seat, next_task=self._answers.get, tell=self._messages.put)


def check_machine(paths: Sequence[Path], *, home: Path, versions: Mapping[str, str]) -> None:
    """Work in the folder that the command was called in.

    Raises:
        ConfigError: that folder or one of the paths is not to be seen here, or other versions are installed.
    """
    host = socket.gethostname()
    if versions != VERSIONS:
        found, wanted = (", ".join(f"{name} {each}" for name, each in all_.items()) for all_ in (VERSIONS, versions))
        raise ConfigError(f"Ray worker on {host}: found {found}; wanted {wanted}, as where the command runs")
    for path in (home, *paths):
        if not path.exists():
            raise ConfigError(
                f"Ray worker on {host}: found no {path}, which is there where the command runs; wanted one file system "
                "for all machines, with all that the command reads and writes at the same paths"
            )
    os.chdir(home)


def keep_last_words(file: Path) -> None:
    """Have all that this process writes to its stderr from now on in a file."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.close(descriptor)
