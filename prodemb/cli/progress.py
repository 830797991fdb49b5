"""How far a step is, on stderr: a bar on a terminal, and a plain line now and then where there is none."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from prodemb.job.watch import Advance

FIRST_LINE = 5.0
"""Seconds until a step says where it is; one that is done before says nothing."""
NEXT_LINES = 30.0
"""Seconds from one of its lines to the next."""


class _Told(NamedTuple):
    """What a step has told."""

    first: tuple[int, float] | None
    """What was done at its first word, and when that was."""
    done: int
    total: int | None
    at: float

    def rate(self) -> float | None:
        if self.first is None or self.at <= self.first[1] or self.done <= self.first[0]:
            return None
        return (self.done - self.first[0]) / (self.at - self.first[1])


class Pace:
    """How far one step is, and how fast it goes since the first time it told."""

    def __init__(self, title: str, *, now: float) -> None:
        """Begin.

        Args:
            now: seconds on some clock, as everywhere here.
        """
        self.title = title
        self._began = now
        # Replaced as a whole, so that the thread that reads it never sees halves of two.
        self._told = _Told(first=None, done=0, total=None, at=now)

    def advance(self, done: int, total: int | None, *, now: float) -> None:
        """Take what the step tells. What was done before its first word, as by an earlier run, has no rate."""
        told = self._told
        begins = told.first is None or done < told.done
        self._told = _Told(first=(done, now) if begins else told.first, done=done, total=total, at=now)

    def rate(self) -> float | None:
        """Done in a second; None until that can be said."""
        return self._told.rate()

    def line(self, *, now: float) -> str:
        """Done and all, rate and time left, as far as they are known."""
        told = self._told
        rate, parts = told.rate(), [f"{self.title}: {_span(now - self._began)}"]
        if told.done:
            parts.append(f"{told.done:,} done" if told.total is None else f"{told.done:,} of {told.total:,}")
        if rate is not None:
            parts.append(rate_text(rate))
            if told.total is not None and told.total > told.done:
                parts.append(f"{_span((told.total - told.done) / rate)} left")
        return ", ".join(parts)


@contextmanager
def watch(title: str) -> Iterator[Advance]:
    """Show how far a step is while it runs."""
    # The terminal itself is asked: rich takes any output for one where FORCE_COLOR is set.
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    with (_bar if is_terminal else _lines)(title) as advance:
        yield advance


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
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

        def advance(done: int, total: int | None) -> None:
            pace.advance(done, total, now=time.monotonic())
            rate = pace.rate()
            progress.update(task, completed=done, total=total, rate="" if rate is None else rate_text(rate))

        yield advance


@contextmanager
def _lines(title: str) -> Iterator[Advance]:
    """A thread of its own prints them, so that a step that tells nothing is seen to run all the same."""
    pace, ended = Pace(title, now=time.monotonic()), threading.Event()

    def tell() -> None:
        wait = FIRST_LINE
        while not ended.wait(wait):
            with suppress(OSError):  # nobody reads it any more
                print(f"prodemb: {pace.line(now=time.monotonic())}", file=sys.stderr, flush=True)
            wait = NEXT_LINES

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield lambda done, total: pace.advance(done, total, now=time.monotonic())
    finally:
        ended.set()
        teller.join(timeout=1)


def rate_text(rate: float) -> str:
    """Done in a second, or the time that one takes where that is longer."""
    if rate >= 10:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:,.1f} s each"


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
