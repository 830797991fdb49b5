"""How the commands print: lines and tables on stdout, warnings and errors on stderr."""

import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

import typer

from prodemb.core.text import for_terminal

if TYPE_CHECKING:
    from rich.table import Table

FILE_WIDTH = 100
"""Columns of tables that do not go to a terminal."""
_NO_LIMIT = 10_000


class LogFormatter(logging.Formatter):
    """A warning on a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        return for_terminal(f"prodemb: {super().format(record)}")


def say(line: str) -> None:
    """Print a line of text."""
    typer.echo(for_terminal(line))


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
    console.print(table)


def fail(message: str) -> NoReturn:
    """Print an error on one line and exit with status 1."""
    print(f"prodemb: error: {for_terminal(message)}", file=sys.stderr)
    sys.exit(1)
