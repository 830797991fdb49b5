"""`prodemb serve` in a process of its own."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.command_line import started

READY_S = 60


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers, on a port that was free."""

    address: str
    process: ForkServerProcess
    stderr: Path


@contextmanager
def running(*arguments: str | Path, cwd: Path) -> Iterator[Running]:
    """Run the command in a folder until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        process = started(["serve", "--port", "0", *map(str, arguments)], cwd=cwd, streams=[stdout, stderr])
        try:
            until = time.monotonic() + READY_S
            while "serving at" not in (said := stdout.read_text() if stdout.exists() else ""):
                if process.exitcode is not None or time.monotonic() > until:
                    raise AssertionError(stderr.read_text())
                time.sleep(0.02)
            yield Running(address=said.split("serving at ")[1].split(": ")[0], process=process, stderr=stderr)
        finally:
            process.terminate()
            process.join(30)
            process.kill()
            process.join()
