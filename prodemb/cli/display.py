"""What the commands print: lines, tables and errors."""

import sys
from typing import TYPE_CHECKING, NoReturn

import typer

from prodemb.screen import printable

if TYPE_CHECKING:
    from rich.table import Table

FILE_WIDTH = 100
"""Columns of tables that do not go to a terminal."""
_NO_LIMIT = 10_000


def say(line: str) -> None:
    """Print a line of text."""
    typer.echo(printable(line))


def show(item: "str | Table") -> None:
    """Print a rich table, or a line of text as it is."""
    from rich.console import Console
    from rich.measure import Measurement

    if isinstance(item, str):
        say(item)
        return
    # A name in brackets is a name, not markup.
    console = Console(markup=False, emoji=False)
    # Figures are never cut: a table that does not fit is wider than the terminal.
    least = Measurement.get(console, console.options.update(max_width=_NO_LIMIT), item).minimum
    console.width = max(console.width if console.is_terminal else FILE_WIDTH, least)
    console.print(item)


def fail(message: str) -> NoReturn:
    """Print an error in one line and end with status 1."""
    print(f"prodemb: error: {printable(message)}", file=sys.stderr)
    sys.exit(1)
