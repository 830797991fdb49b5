"""What a command says with `--log-json`: one JSON object per line and event on stdout, each written whole at once."""

import json
import math
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from prodemb.cli.stdout import on_stdout
from prodemb.core.progress import ProgressCallback
from prodemb.core.text import line_for_terminal
from prodemb.storage.address import Address
from prodemb.storage.names import named

if TYPE_CHECKING:
    from rich.table import Table

TICK = 1.0
"""Seconds between two lines about one title, at least."""
HEARTBEAT = 30.0
"""Seconds after which a title that has reported nothing new gets a line all the same."""

_lock = threading.Lock()
_about: dict[str, Any] = {"command": None, "step": None, "where": None}
_started = time.monotonic()


def begin(command: str | None) -> None:
    """The command that all events from here on are about."""
    global _started
    _about.update(command=command, step=command, where=None)
    _started = time.monotonic()


def emit(event: str, **values: Any) -> None:
    """Write one event.

    Raises:
        OutputError: stdout cannot be written.
    """
    found = {"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **_about, **values}
    line = json.dumps(_plain(found), allow_nan=False)
    with _lock, on_stdout():
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def emit_step(step: str, where: object) -> None:
    """Say that a step begins; events are about it until the next one does."""
    _about.update(step=step, where=None if where is None else str(where))
    emit("started")


def emit_item(item: "str | Table") -> None:
    """A line or a table for people, as it would be shown."""
    if isinstance(item, str):
        if text := item.strip():
            emit("text", text=text)
        return
    columns = [list(column.cells) for column in item.columns]
    emit(
        "table",
        title=None if item.title is None else str(item.title),
        columns=[str(column.header) for column in item.columns],
        rows=[[str(cell) for cell in row] for row in zip(*columns, strict=True)],
    )


def emit_end(status: Any) -> None:
    """The last event of a command."""
    emit("end", status=status if isinstance(status, int) else int(status is not None), seconds=_since(_started))


@contextmanager
def progress_events(title: str) -> Iterator[ProgressCallback]:
    """A thread writes them, so that a step that reports often does not write often, and a silent one is seen to run.

    The last one comes at the end, so that each title has one.
    """
    started, ended = time.monotonic(), threading.Event()
    state: tuple[int, int | None] = (0, None)
    told: tuple[int, int | None] | None = None

    def tell() -> None:
        nonlocal told
        told = state
        with suppress(Exception):  # what the step does matters more; a reader that has gone is met at the next event
            emit("progress", doing=title, done=told[0], total=told[1], seconds=_since(started))

    def tick() -> None:
        last = started
        while not ended.wait(TICK):
            if state != told or time.monotonic() - last >= HEARTBEAT:
                tell()
                last = time.monotonic()

    def on_progress(done: int, total: int | None) -> None:
        nonlocal state
        state = (done, total)

    ticker = threading.Thread(target=tick, name="progress", daemon=True)
    ticker.start()
    try:
        yield on_progress
    finally:
        ended.set()
        ticker.join(timeout=1)
        if told != state:
            tell()


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _plain(value: Any) -> Any:
    """A value as every JSON reader takes it: no NaN, no lone surrogate, no secret of a URL, no endless text."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return line_for_terminal(named(value))
        case PathLike():
            return line_for_terminal(named(str(fspath(value))))
        case Address():
            return line_for_terminal(str(value))
        case Mapping():
            return {line_for_terminal(str(key)): _plain(each) for key, each in value.items()}
        case _:
            return [_plain(each) for each in value]
