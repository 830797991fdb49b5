"""What the commands print: lines, tables, warnings and errors."""

import logging
import sys
from typing import TYPE_CHECKING, NoReturn

import typer

from prodemb.core.text import printable, without_secrets

if TYPE_CHECKING:
    from rich.table import Table

FILE_WIDTH = 100
"""Columns of tables that do not go to a terminal."""
_NO_LIMIT = 10_000


class LogFormatter(logging.Formatter):
    """A warning in a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(f"prodemb: {super().format(record)}")


def shown(text: str) -> str:
    """Text as a person may see it on a terminal."""
    return printable(without_secrets(text))


def say(line: str) -> None:
    """Print a line of text."""
    typer.echo(shown(line))


def show(item: "str | Table") -> None:
    """Print a rich table, or a line of text as it is."""
    from rich.measure import Measurement

    from prodemb.cli.console import TableConsole

    if isinstance(item, str):
        say(item)
        return
    console = TableConsole()
    # Figures are never cut: a table that does not fit is wider than the terminal.
    least = Measurement.get(console, console.options.update(max_width=_NO_LIMIT), item).minimum
    console.width = max(console.width if console.is_terminal else FILE_WIDTH, least)
    console.print(item)


def fail(message: str) -> NoReturn:
    """Print an error in one line and end with status 1."""
    print(f"prodemb: error: {shown(message)}", file=sys.stderr)
    sys.exit(1)
