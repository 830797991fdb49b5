"""Progress of a step on stderr: a bar on a terminal, elsewhere a plain line now and then; or as JSON lines."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from prodemb.cli.json_lines import progress_events
from prodemb.cli.manner import manner
from prodemb.core.progress import ProgressCallback, no_progress

FIRST_LINE = 5.0
"""Seconds until a step prints its first line; a shorter step prints none."""
NEXT_LINES = 30.0
"""Seconds between its lines."""


class _State(NamedTuple):
    """What a step has reported so far."""

    first: tuple[int, float] | None
    """How much was done at its first report, and when that was."""
    done: int
    total: int | None
    at: float

    def rate(self) -> float | None:
        if self.first is None or self.at <= self.first[1] or self.done <= self.first[0]:
            return None
        return (self.done - self.first[0]) / (self.at - self.first[1])


class Pace:
    """How far one step is, and its rate since its first report."""

    def __init__(self, title: str, *, now: float) -> None:
        """Start the clock.

        Args:
            now: seconds on some clock, as in the other methods.
        """
        self.title = title
        self._started = now
        # Replaced as a whole: the thread that reads it must not see a mixture of two states.
        self._state = _State(first=None, done=0, total=None, at=now)

    def update(self, done: int, total: int | None, *, now: float) -> None:
        """Take a report of the step. What was done before the first one, by an earlier run, is not part of the rate."""
        state = self._state
        restarted = state.first is None or done < state.done
        self._state = _State(first=(done, now) if restarted else state.first, done=done, total=total, at=now)

    def rate(self) -> float | None:
        """Units per second; None until it is known."""
        return self._state.rate()

    def line(self, *, now: float) -> str:
        """Time, units done and in all, rate and time left, as far as they are known."""
        state = self._state
        rate, parts = state.rate(), [f"{self.title}: {span(now - self._started)}"]
        if state.done:
            parts.append(f"{state.done:,} done" if state.total is None else f"{state.done:,} of {state.total:,}")
        if rate is not None:
            parts.append(rate_text(rate))
            if state.total is not None and state.total > state.done:
                parts.append(f"{span((state.total - state.done) / rate)} left")
        return ", ".join(parts)


@contextmanager
def show_progress(title: str) -> Iterator[ProgressCallback]:
    """Show how far a step is while it runs."""
    # Not left to rich, which takes any output for a terminal where FORCE_COLOR is set.
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    for_people = _bar if is_terminal else _lines
    with {"human": for_people, "quiet": no_progress, "json": progress_events}[manner()](title) as on_progress:
        yield on_progress


@contextmanager
def _bar(title: str) -> Iterator[ProgressCallback]:
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
    pace = Pace(title, now=time.monotonic())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, rate="")

        def on_progress(done: int, total: int | None) -> None:
            pace.update(done, total, now=time.monotonic())
            rate = pace.rate()
            progress.update(task, completed=done, total=total, rate="" if rate is None else rate_text(rate))

        yield on_progress


@contextmanager
def _lines(title: str) -> Iterator[ProgressCallback]:
    """A thread prints the lines, so that a step that reports nothing is still seen to run."""
    pace, ended = Pace(title, now=time.monotonic()), threading.Event()

    def print_lines() -> None:
        wait = FIRST_LINE
        while not ended.wait(wait):
            with suppress(OSError):  # the reader has gone
                print(f"prodemb: {pace.line(now=time.monotonic())}", file=sys.stderr, flush=True)
            wait = NEXT_LINES

    printer = threading.Thread(target=print_lines, name="progress", daemon=True)
    printer.start()
    try:
        yield lambda done, total: pace.update(done, total, now=time.monotonic())
    finally:
        ended.set()
        printer.join(timeout=1)


def rate_text(rate: float) -> str:
    """Units per second, or seconds per unit where a unit takes longer than a second."""
    if rate >= 10:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:,.1f} s each"


def span(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
