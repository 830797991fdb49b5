"""How a command ends: a status, and at most one line that says why."""

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prodemb.cli.display import tell, tell_end
from prodemb.cli.manner import speaking
from prodemb.cli.statuses import FAILED, INTERRUPTED, TERMINATED, status_of
from prodemb.core.errors import OutputError, ProdembError
from prodemb.core.text import one_line

_STOPPED = "stopped; completed work is kept: run the same command to continue"
_NAMES_OF_FILES = ("path", "folder", "out")
"""Variables of ours that hold the file that a function is about."""


@contextmanager
def ending_well() -> Iterator[None]:
    """Let whatever a command raises end this process in one line and a status.

    With `PRODEMB_DEBUG` in the environment the traceback stands before the line.
    """
    status: Any = FAILED
    previous = signal.signal(signal.SIGTERM, _terminate)
    with speaking():
        try:
            yield
            status = 0
        except SystemExit as stop:
            status = stop.code
            if status in (INTERRUPTED, TERMINATED):
                tell("stopped", _STOPPED)
        except KeyboardInterrupt:
            status = INTERRUPTED
            tell("stopped", _STOPPED)
        except BaseException as error:  # a panic in Rust is no Exception
            if os.environ.get("PRODEMB_DEBUG"):
                traceback.print_exception(error)
            status = status_of(error)
            tell("error", explained(error), kind=type(error).__name__, status=status)
        finally:
            signal.signal(signal.SIGTERM, previous)
        tell_end(status)
        status = _written(status)
    sys.exit(status)


def explained(error: BaseException) -> str:
    """What a person is told of an error, as one line."""
    match error:
        case ProdembError():
            return str(error)
        case OSError() if error.strerror:
            where = (
                f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else _at_work_on(error)
            )
            return f"{where}{error.strerror}; completed work is kept"
        case MemoryError():
            return f"{_at_work_on(error)}out of memory ({one_line(error)}); completed work is kept"
        case _:
            kind = type(error).__name__
            said = one_line(error)
            what = kind if said == kind else f"{kind}: {said}"
            return f"{_at_work_on(error)}{what}; completed work is kept (PRODEMB_DEBUG=1 shows where it happened)"


def _at_work_on(error: BaseException) -> str:
    """The file that the innermost function of ours that has one was about, before a colon; nothing where none has."""
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").startswith("prodemb."):
            files = [frame.f_locals.get(name) for name in _NAMES_OF_FILES]
            found = next((f"{file}: " for file in files if isinstance(file, Path)), found)
    return found


def _terminate(number: int, _frame: object) -> None:
    """End as after Ctrl-C; the next signal ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def _written(status: Any) -> Any:
    """The status, or that of a failure where what was printed cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            if stream is sys.stdout and status == 0:
                status = FAILED
                if not isinstance(error, BrokenPipeError):
                    full = OutputError(f"stdout: cannot be written: {one_line(error)}; completed work is kept")
                    status = status_of(full)
                    tell("error", str(full), kind=type(full).__name__, status=status)
            with open(os.devnull, "w") as nowhere:  # so that Python does not try again and complain  # noqa: PTH123
                os.dup2(nowhere.fileno(), stream.fileno())
    return status
