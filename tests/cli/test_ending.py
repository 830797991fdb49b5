"""However a command ends, it ends with a status and at most one line that says why."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import NoReturn

import pytest

from prodemb.cli.ending import ending_well
from prodemb.core.errors import ConfigError
from tests.command_line import prodemb


class Panic(BaseException):
    """As pyo3's PanicException: no Exception."""


def about(path: Path, error: BaseException) -> NoReturn:
    raise error


ours = FunctionType(about.__code__, {"__name__": "prodemb.made.up"})


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("a\nprodemb: error: b"), 3, r"error: a\nprodemb: error: b"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            9,
            "error: no such/file: No space left on device; ",
        ),
        (OSError(errno.ENOSPC, "No space left", "x/y"), 9, "error: x/y: No space left; completed work is kept"),
        (Panic("index out of bounds"), 1, "error: no such/file: Panic: index out of bounds; completed work is kept"),
        (
            ValueError("two\nlines"),
            1,
            "error: no such/file: ValueError: two lines; completed work is kept (PROD",
        ),
        (
            RecursionError(),
            1,
            "error: no such/file: RecursionError; completed work is kept (PRODEMB_DEBUG=1",
        ),
        (MemoryError("1 TB"), 1, "error: no such/file: out of memory (1 TB); completed work is kept"),
        (KeyboardInterrupt(), 130, "stopped; completed work is kept: run the same command to continue"),
        (SystemExit(143), 143, "stopped; completed work is kept"),
        (SystemExit(2), 2, ""),
    ],
)
def test_whatever_is_raised_is_one_line(
    capsys: pytest.CaptureFixture[str], error: BaseException, status: int, said: str
) -> None:
    with pytest.raises(SystemExit) as stop, ending_well():
        ours(Path("no such/file"), error)
    assert stop.value.code == status
    shown = capsys.readouterr().err
    assert shown.startswith(f"prodemb: {said}" if said else "")
    assert len(shown.splitlines()) == bool(said)


def test_debugging_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODEMB_DEBUG", "1")
    with pytest.raises(SystemExit), ending_well():
        raise ConfigError("no")
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("prodemb: error: no\n")


def test_the_second_signal_ends_the_process() -> None:
    program = (
        "import os, signal\n"
        "from prodemb.cli.ending import ending_well\n"
        "with ending_well():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n"
        "    finally: os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == -signal.SIGTERM


COMMAND = f"{sys.executable} -m prodemb.cli"


@pytest.mark.parametrize(
    ("words", "status", "stdout", "stderr"),
    [
        ("read c.csv 2>&-", 0, "1 row", ""),
        ("read c.csv >&-", 0, "", ""),
        ("read c.csv <&- >&- 2>&-", 0, "", ""),
        ("read none.csv 2>&-", 4, "", ""),
        ("read none.csv 2>/dev/full", 4, "", ""),
        ("read none.csv >&-", 4, "", "prodemb: error: none.csv: no such file"),
        ("read c.csv >/dev/full", 9, "", "prodemb: error: stdout: cannot be written: No space left on device"),
        ("sample --help >/dev/full", 9, "", "prodemb: error: No space left on device"),
        ("embed c.csv --out c.csv/a", 9, "", "prodemb: error: c.csv/a: cannot be written: Not a directory"),
        ("sample c.csv", 9, "", "prodemb: error: c.csv: cannot be written: Not a directory"),
        ("init c.csv --out c.csv", 9, "", "prodemb: error: c.csv/brand.toml: cannot be written: Not a directory"),
        ("read c.csv p.parquet >&- 2>&- && cmp -s p.parquet p.parquet && head -c4 p.parquet", 0, "PAR1", ""),
        ("read '~nosuchuser/c.csv'", 3, "", "prodemb: error: ~nosuchuser/c.csv: no user 'nosuchuser'"),
        ("read $'caf\\xe9.csv'", 3, "", r"prodemb: error: found the argument 'caf\udce9.csv', which is not UTF-8"),
    ],
)
def test_streams_that_are_closed_or_full_and_names_that_are_none(
    tmp_path: Path, words: str, status: int, stdout: str, stderr: str
) -> None:
    (tmp_path / "c.csv").write_text("product_id,title\na,b\n")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    shell = ["bash", "-c", f"{COMMAND} {words}"]
    done = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    assert stdout in done.stdout
    assert stderr in done.stderr
    assert len(done.stderr.splitlines()) == bool(stderr)


def c_locale() -> None:
    os.environ.update(LC_ALL="C")


def test_files_whose_names_are_not_utf_8_are_read(tmp_path: Path) -> None:
    for name, product in ((b"caf\xe9.csv", "a"), ("größe.csv".encode(), "b")):
        (Path(os.fsdecode(bytes(tmp_path))) / os.fsdecode(name)).write_text(f"product_id,title\n{product},b\n")
    done = prodemb("read", ".", "all.parquet", cwd=tmp_path, before=c_locale)
    assert done.returncode == 0, done.stderr
    assert "wrote 2 products" in done.stdout


def in_a_name(folder: Path) -> None:
    (folder / "c.csv").write_text('"a\nprodemb: error: forged",price\n1,2\n')


def of_endless_names(folder: Path) -> None:
    (folder / "c.csv").write_text(",".join(f"{'x' * 500}{n}" for n in range(300)) + "\n" + "1," * 299 + "1\n")


def that_turns_text_round(folder: Path) -> None:
    (folder / "c.csv").write_text("a\u2028b,\u200fc,\u202ed\n1,2,3\n")


@pytest.mark.parametrize("write", [in_a_name, of_endless_names, that_turns_text_round])
def test_no_column_forges_a_line_or_fills_the_screen(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    for words in (("embed", "c.csv"), ("init", "c.csv"), ("read", "c.csv")):
        done = prodemb(*words, cwd=tmp_path)
        lines = done.stderr.splitlines()
        assert len([line for line in lines if line.startswith("prodemb: error:")]) <= 1
        assert all(line.startswith("prodemb: ") for line in lines), done.stderr
        assert max(map(len, (*lines, *done.stdout.splitlines())), default=0) < 4100
        assert not {"\u2028", "\u200f", "\u202e"} & {*done.stderr, *done.stdout}
