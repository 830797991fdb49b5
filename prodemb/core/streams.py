"""The standard streams of a process, by descriptor: libraries that are not Python write there too."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


def open_closed_streams() -> None:
    """Give a process that was started without some of its standard streams ones that lead nowhere.

    Else the next file that is opened has the number of stderr, and gets what libraries write there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Let nothing of this process reach stderr: a library in Rust prints a trace of its own before it raises.

    What other threads write meanwhile is lost, so keep it short. With `PRODEMB_DEBUG` in the environment all is shown.
    """
    if os.environ.get("PRODEMB_DEBUG"):
        yield
        return
    kept = os.dup(STDERR)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, STDERR)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
