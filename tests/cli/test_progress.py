"""A step says how far it is: by a bar on a terminal, elsewhere by plain lines, and not at all where it is short."""

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from prodemb.cli.progress import Pace, rate_text

STEP = """
import sys

from prodemb.cli import progress

progress.FIRST_LINE = progress.NEXT_LINES = {seconds}
with progress.show_progress("Embedding") as on_progress:
    on_progress(1000, 4000)
    on_progress(2000, 4000)
    sys.stdin.read()
"""


@contextmanager
def started(stderr: int, *, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """A step that lasts until its input is closed, and is killed after a minute."""
    program = STEP.format(seconds=seconds)
    environment = os.environ | {"TERM": "xterm", "FORCE_COLOR": "1"}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr, env=environment) as step:
        killer = threading.Timer(60, step.kill)
        killer.start()
        try:
            yield step
        finally:
            killer.cancel()
            step.kill()


def end(step: subprocess.Popen[bytes]) -> bytes:
    """Let the step end; what it had still to say."""
    return step.communicate(timeout=60)[1] or b""


def read_terminal(own: int) -> bytes:
    """What the step shows; nothing once it has ended."""
    try:
        return os.read(own, 4096)
    except OSError:  # the terminal's other end is closed
        return b""


def test_where_there_is_no_terminal_a_long_step_prints_plain_lines() -> None:
    with started(subprocess.PIPE, seconds=0.01) as step:
        assert step.stderr is not None
        lines = [step.stderr.readline()]
        while b"2,000 of 4,000" not in lines[-1]:
            assert lines[-1], lines
            lines.append(step.stderr.readline())
        lines += end(step).splitlines(keepends=True)
    assert step.returncode == 0
    for line in lines:
        assert re.fullmatch(rb"prodemb: Embedding: \d+ s[ -~]*\n", line), line


def test_where_there_is_no_terminal_a_short_step_prints_nothing() -> None:
    with started(subprocess.PIPE, seconds=3600) as step:
        assert (end(step), step.returncode) == (b"", 0)


def test_on_a_terminal_there_is_a_bar() -> None:
    own, its = pty.openpty()
    with started(its, seconds=0.01) as step:
        os.close(its)
        shown = b""
        while b"2000/4000" not in shown:
            more = read_terminal(own)
            assert more, shown
            shown += more
        assert step.stdin is not None
        step.stdin.close()
        while more := read_terminal(own):
            shown += more
        os.close(own)
        assert step.wait(timeout=60) == 0
    assert b"\x1b[" in shown
    assert b"prodemb:" not in shown


def test_a_line_says_all_that_is_known() -> None:
    pace = Pace("Embedding", now=100.0)
    assert pace.line(now=105.0) == "Embedding: 5 s"
    pace.update(9000, 20_000, now=110.0)
    assert pace.line(now=115.0) == "Embedding: 15 s, 9,000 of 20,000"
    pace.update(10_000, 20_000, now=120.0)
    assert pace.line(now=130.0) == "Embedding: 30 s, 10,000 of 20,000, 100/s, 100 s left"
    pace.update(20_000, 20_000, now=220.0)
    assert pace.line(now=230.0) == "Embedding: 2 min, 20,000 of 20,000, 100/s"
    pace.update(20_001, None, now=230.0)
    assert pace.line(now=7300.0) == "Embedding: 2 h 00 min, 20,001 done, 92/s"


def test_what_an_earlier_run_did_is_not_this_one_s_speed() -> None:
    pace = Pace("Embedding", now=0.0)
    pace.update(1_000_000, 2_000_000, now=10.0)
    pace.update(1_000_100, 2_000_000, now=20.0)
    assert pace.rate() == pytest.approx(10.0)


def test_a_step_that_begins_anew_has_a_new_speed() -> None:
    pace = Pace("Deciding", now=0.0)
    pace.update(10, 100, now=0.0)
    pace.update(90, 100, now=1.0)
    pace.update(5, 50, now=2.0)
    assert pace.rate() is None
    pace.update(10, 50, now=3.0)
    assert pace.rate() == pytest.approx(5.0)


def test_a_step_that_tells_while_its_rate_is_asked_for_does_no_harm() -> None:
    pace = Pace("Embedding", now=0.0)

    class Interrupted(int):
        def __le__(self, other: int) -> bool:
            pace.update(0, None, now=20.0)  # as another thread may
            return int(self) <= other

    pace.update(1, 4, now=0.0)
    pace.update(Interrupted(2), 4, now=10.0)
    assert pace.rate() == pytest.approx(0.1)


def test_slow_steps_have_a_rate_too() -> None:
    assert [rate_text(rate) for rate in (1234.5, 9.87, 0.05)] == ["1,234/s", "9.9/s", "20.0 s each"]
