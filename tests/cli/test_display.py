"""Tables fit a terminal as far as they can, and no figure of them is ever cut."""

import os
import pty
import re
import subprocess
import sys

import pytest
from rich.table import Table

from prodemb.cli.display import show

TABLE = """
from rich.table import Table

from prodemb.cli.display import show

table = Table("products", *["top-1"] * 9)
table.add_row("letter by letter", *["100.0"] * 9)
show([table])
"""


def on_terminal(program: str, *, width: int) -> str:
    """What a program prints on a terminal of so many columns."""
    own, its = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": str(width)}
    child = subprocess.Popen([sys.executable, "-c", program], stdout=its, env=environment)
    os.close(its)
    shown = b""
    try:
        while more := os.read(own, 4096):
            shown += more
    except OSError:  # the terminal's other end is closed
        pass
    os.close(own)
    assert child.wait(timeout=60) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())


@pytest.mark.parametrize(("width", "most"), [(120, 120), (90, 90), (20, 90)])
def test_a_table_is_as_narrow_as_the_terminal_but_no_figure_is_cut(width: int, most: int) -> None:
    shown = on_terminal(TABLE, width=width)
    assert "…" not in shown
    assert shown.count("100.0") == shown.count("top-1") == 9
    assert max(len(line) for line in shown.splitlines()) <= most


def test_a_file_gets_wide_tables() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    shown = subprocess.run(
        [sys.executable, "-c", TABLE], env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "letter by letter" in shown
    assert "\x1b" not in shown


def test_no_part_of_a_table_commands_the_terminal_or_shows_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title="shards\x1b]8;;http://x\x07", caption="a\x9bb")
    table.add_column("model\x1b[2J")
    table.add_row("tiny\x1b]0;own\x07")
    table.add_row("https://ann:secret@a.example/x")
    show([table])
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\x9b"} & set(printed)
    assert "secret" not in printed
    assert all(
        part in printed for part in (r"\x1b]8;;", r"a\x9bb", r"model\x1b[2J", r"tiny\x1b]0;own\x07", "https://...")
    )
