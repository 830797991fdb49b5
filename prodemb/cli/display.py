"""How the commands print: lines and tables on stdout, warnings and errors on stderr."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from prodemb.core.errors import OutputError
from prodemb.core.text import line_for_terminal

if TYPE_CHECKING:
    from rich.table import Table

FILE_WIDTH = 100
"""Columns of tables that do not go to a terminal."""
_NO_LIMIT = 10_000


class LogFormatter(logging.Formatter):
    """A warning on a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        return line_for_terminal(f"prodemb: {super().format(record)}")


def say(line: str) -> None:
    """Print a line of text, below as many empty ones as it begins with."""
    text = line.lstrip("\n")
    with _on_stdout():
        typer.echo("\n" * (len(line) - len(text)) + line_for_terminal(text))


def show(items: "Iterable[str | Table]") -> None:
    """Print lines of text and rich tables."""
    for item in items:
        if isinstance(item, str):
            say(item)
        else:
            _show_table(item)


def _show_table(table: "Table") -> None:
    from rich.measure import Measurement

    from prodemb.cli.console import TableConsole

    console = TableConsole()
    # Numbers are never cut: a table that does not fit is wider than the terminal.
    least = Measurement.get(console, console.options.update(max_width=_NO_LIMIT), table).minimum
    console.width = max(console.width if console.is_terminal else FILE_WIDTH, least)
    with _on_stdout():
        console.print(table)


@contextmanager
def _on_stdout() -> Iterator[None]:
    """Say of a failure that it is of stdout; that its reader has gone is typer's to handle."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"stdout: cannot be written: {error.strerror}; completed work is kept") from error


def tell(message: str) -> None:
    """Print a line on stderr; where that is full or closed, there is nobody to tell."""
    with suppress(OSError, ValueError):
        print(line_for_terminal(f"prodemb: {message}"), file=sys.stderr, flush=True)
