"""Writing: whole under the final name or not at all, and one writer a folder."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prodemb.core.errors import OutputError
from prodemb.core.files import naming, read_json, replacing, sha256_of, write_json, writing_to


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"é": 1})
    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        temporary.with_name("elsewhere").read_text()
    with pytest.raises(UnicodeEncodeError), replacing(path) as temporary:
        temporary.write_text("half \ud800", encoding="utf-8")
    assert read_json(path) == {"é": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_checksum_is_the_file_s(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_another_process_is_told_that_the_folder_is_taken(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from prodemb.core.errors import BusyError
from prodemb.core.files import writing_to

try:
    with writing_to(Path(sys.argv[1])):
        print("wrote")
except BusyError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with writing_to(tmp_path):
        answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert "another run is writing here" in answer
    assert subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout == "wrote\n"


def test_leftovers_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet.123.tmp").write_bytes(b"half")
    (tmp_path / "part-00000.parquet").write_bytes(b"whole")
    with writing_to(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "part-00000.parquet"]


def test_a_leftover_that_goes_meanwhile_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checked.json.tmp").touch()
    unlink = Path.unlink

    def after_another(path: Path, *, missing_ok: bool = False) -> None:
        unlink(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", after_another)
    with writing_to(tmp_path):
        assert not [*tmp_path.glob("*.tmp")]


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("shards/part-00001.parquet", None),
        ("shards/part-00001.parquet", "shards/part-00001.parquet"),
        ("shards/part-00001.parquet", "shards/part-00001.parquet.tmp"),
        ("new/shards/part-00001.parquet", "new"),
        ("shards", "shards/.lock"),
        ("shards/.reuse", "shards/.reuse/texts.first.npy"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path: Path, output: str, named: str | None) -> None:
    (tmp_path / "shards").mkdir()
    error = OSError(errno.EACCES, os.strerror(errno.EACCES), None if named is None else str(tmp_path / named))
    with (
        pytest.raises(OutputError, match=rf"{output}: cannot be written: Permission denied"),
        naming(tmp_path / output),
    ):
        raise error


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("shards/part-00001.parquet", "catalog.csv"),
        ("shards/part-00001.parquet", "shards/part-00007.parquet"),
        ("shards/.reuse", "shards/part-00007.parquet"),
        ("shards/part-00001.parquet", "shards"),
    ],
)
def test_what_cannot_be_read_is_not_taken_for_the_output(tmp_path: Path, output: str, named: str) -> None:
    (tmp_path / "shards").mkdir()
    error = OSError(errno.EIO, os.strerror(errno.EIO), str(tmp_path / named))
    with pytest.raises(OSError, match=named) as raised, naming(tmp_path / output):
        raise error
    assert raised.value is error
