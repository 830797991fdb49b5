"""What the commands say: to a person lines and tables on stdout, warnings and errors on stderr; or as JSON lines."""

import logging
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import typer

from prodemb.cli.json_lines import emit, emit_end, emit_item, emit_step
from prodemb.cli.manner import manner
from prodemb.cli.stdout import on_stdout
from prodemb.core.errors import OutputError
from prodemb.core.text import line_for_terminal
from prodemb.storage.address import Place
from prodemb.storage.names import named

if TYPE_CHECKING:
    from rich.table import Table

FILE_WIDTH = 100
"""Columns of tables that do not go to a terminal."""
_NO_LIMIT = 10_000


class LogHandler(logging.Handler):
    """Tells each warning that is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        tell("warning", self.format(record))


def say(line: str) -> None:
    """Say a line about what came of a command; quietly, nothing."""
    show([line])


def show(items: "Iterable[str | Table]") -> None:
    """Say what came of a command, in lines of text and rich tables; quietly, nothing, but `items` are gone through."""
    for item in items:
        if manner() != "quiet":
            _put(item)


def answer(items: "Iterable[str | Table]") -> None:
    """Say what a command was asked for, also quietly."""
    for item in items:
        _put(item)


def started(step: str, *, where: Place | str | None) -> None:
    """Tell a program that reads along that a step begins.

    Args:
        step: the command that does the same on its own.
        where: the file or folder that it is about.
    """
    if manner() == "json":
        emit_step(step, where)


def finished(report: object) -> None:
    """Publish what a step wrote to a bucket, then tell a program that reads along what came of it.

    Whatever says that something was made comes after this call, so that it is true.

    Args:
        report: of the step, told as figures whose names stay.

    Raises:
        ConflictError, StorageError: as `prodemb.storage.desk.publish_changes`.
    """
    from prodemb.storage.desk import publish_changes

    publish_changes()
    if manner() == "json":
        from prodemb.cli.report.results import result_of

        emit("result", **result_of(report))


def tell(event: str, message: str, **values: Any) -> None:
    """Print a line on stderr; where that is full or closed, there is nobody to tell.

    Args:
        event: what it is called as a JSON line.
        values: of that.
    """
    if manner() == "json":
        with suppress(OutputError, OSError, ValueError):
            emit(event, text=message, **values)
            return
    shown = f"error: {message}" if event == "error" else message
    with suppress(OSError, ValueError):
        print(line_for_terminal(f"prodemb: {named(shown)}"), file=sys.stderr, flush=True)


def tell_end(status: Any) -> None:
    """Tell a program that reads along that the command ends, and how."""
    if manner() == "json":
        with suppress(OutputError, OSError, ValueError):
            emit_end(status)


def _put(item: "str | Table") -> None:
    """One item on stdout."""
    if manner() == "json":
        emit_item(item)
    elif isinstance(item, str):
        _print_line(item)
    else:
        _print_table(item)


def _print_line(line: str) -> None:
    """Print a line of text, below as many empty ones as it begins with."""
    text = line.lstrip("\n")
    with on_stdout():
        typer.echo("\n" * (len(line) - len(text)) + line_for_terminal(named(text)))


def _print_table(table: "Table") -> None:
    from rich.measure import Measurement

    from prodemb.cli.console import TableConsole

    console = TableConsole()
    # Numbers are never cut: a table that does not fit is wider than the terminal.
    least = Measurement.get(console, console.options.update(max_width=_NO_LIMIT), table).minimum
    console.width = max(console.width if console.is_terminal else FILE_WIDTH, least)
    with on_stdout():
        console.print(table)
