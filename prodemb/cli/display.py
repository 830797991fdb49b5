"""What the commands print: lines, tables and how far a step is."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from prodemb.screen import printable


@contextmanager
def watch(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on stderr: done and all, rate, time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None, rate="")
        started = time.perf_counter()

        def advance(done: int, total: int | None) -> None:
            rate = done / max(1e-9, time.perf_counter() - started)
            progress.update(task, completed=done, total=total, rate=f"{rate:,.0f}/s")

        yield advance


def say(line: str) -> None:
    """Print a line of text."""
    typer.echo(printable(line))


def show(item: Any) -> None:
    """Print a rich table, or a line of text as it is."""
    from rich.console import Console

    if isinstance(item, str):
        say(item)
        return
    # A name in brackets is a name, not markup.
    console = Console(markup=False, emoji=False)
    console.width = max(console.width, 100)
    console.print(item)


def fail(message: str) -> None:
    """Print an error in one line and end with status 1."""
    print(f"prodemb: error: {printable(message)}", file=sys.stderr)
    sys.exit(1)
