"""The command line as a user meets it: a process for each command, with its own streams, folder and exit status.

The processes are forked from one that has imported everything and computed nothing, so that a command costs what it
does and not the seconds that loading torch takes. Ray is not among what is imported: what it starts would hang when
forked from there.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from prodemb.cli import main

_PRELOADED = (
    "prodemb.embed.embed",
    "prodemb.job.run",
    "prodemb.job.init",
    "prodemb.job.serve",
    "transformers.models.clip.modeling_clip",
    *(f"transformers.models.auto.{part}_auto" for part in ("modeling", "processing", "tokenization")),
    "sklearn",
)


def prodemb(
    *arguments: str | Path, cwd: Path, before: Callable[[], None] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run one command.

    Args:
        cwd: the folder it runs in.
        before: called in its process first; a function of a module.
    """
    words = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("stdout", "stderr")]
        process = started(words, cwd=cwd, streams=streams, before=before)
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout_s)
        status = process.exitcode
        process.close()
        return subprocess.CompletedProcess(words, status, *(path.read_text() for path in streams))


def started(
    words: list[str], *, cwd: Path, streams: list[Path], before: Callable[[], None] | None = None
) -> ForkServerProcess:
    """Start one command, whose stdout and stderr go to two files."""
    process = context().Process(target=_run, args=(words, cwd, streams, before))
    process.start()
    return process


class _Inheriting(ForkServerProcess):
    """Has the environment of the process that starts it, as a spawned one."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._environment = dict(os.environ)

    def run(self) -> None:
        os.environ.clear()
        os.environ.update(self._environment)
        super().run()


class InheritingContext(ForkServerContext):
    """Processes that are forked from the one that has imported everything, and see the environment as it is now."""

    Process = _Inheriting

    def __init__(self) -> None:
        self.set_forkserver_preload([__name__, *_PRELOADED])


def context() -> InheritingContext:
    """See `InheritingContext`."""
    return InheritingContext()


def _run(words: list[str], cwd: Path, streams: list[Path], before: Callable[[], None] | None) -> None:
    for number, path in enumerate(streams, start=1):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(cwd)
    if before:
        before()
    sys.argv = ["prodemb", *words]
    main()
