"""Writing: whole under the final name or not at all, and nothing of anybody else's touched."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from prodemb.core.bounded import read_json
from prodemb.core.errors import BusyError, ConfigError, OutputError
from prodemb.core.files import expanded, naming, nearest_folder, replacing, sha256_of, temporary_name, write_json
from tests.conftest import fill


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


def make_temporary(path: Path, *, content: bytes = b"half") -> Path:
    """What a killed run would have left of a file."""
    left = path.with_name(temporary_name(path.name))
    left.write_bytes(content)
    return left


def test_what_a_killed_run_left_of_a_file_is_removed(tmp_path: Path) -> None:
    make_temporary(tmp_path / "a.json")
    other, own = make_temporary(tmp_path / "b.json"), tmp_path / "a.json.tmp"
    own.write_text("mine")
    write_json(tmp_path / "a.json", 1)
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.json", own, other])


def test_two_runs_cannot_make_one_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as first:
        first.write_text("first")
        with pytest.raises(BusyError, match="another run is writing it"), replacing(tmp_path / "a"):
            pass
        with replacing(tmp_path / "b") as other:
            other.write_text("other")
    assert (tmp_path / "a").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    theirs, folder = tmp_path / "theirs", tmp_path / "received"
    theirs.write_text("precious")
    folder.mkdir()
    for name in ("a.json", "a.json.tmp", temporary_name("a.json")):
        (folder / name).symlink_to(theirs)
    write_json(folder / "a.json", 1)
    assert theirs.read_text() == "precious"
    assert not (folder / "a.json").is_symlink()
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "a.json.tmp"]


def test_a_temporary_file_that_was_exchanged_is_not_put_in_place(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")

    def write() -> None:
        with replacing(tmp_path / "a") as temporary:
            temporary.unlink()
            temporary.symlink_to(theirs)

    with pytest.raises(OutputError, match="became a link meanwhile"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: os.mkfifo(path)])
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a")
    with pytest.raises(OutputError, match="is no regular file"):
        write_json(tmp_path / "a", 1)


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("shards/part-00001.parquet", None),
        ("shards/part-00001.parquet", "shards/part-00001.parquet"),
        ("shards/part-00001.parquet", "shards/.part-00001.parquet.0123456789abcdef.tmp"),
        ("new/shards/part-00001.parquet", "new"),
        ("shards", "shards/.prodemb"),
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


@pytest.mark.parametrize(("folder", "said"), [("file", "Not a directory"), ("/proc/none", "No such file or directory")])
def test_a_folder_that_cannot_be_made_is_told_of_the_output(tmp_path: Path, folder: str, said: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / folder / "a.json"
    with pytest.raises(OutputError, match=rf"{path}: cannot be written: {said}; "):
        write_json(path, 1)


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_a_full_disk_that_another_library_tells_of_names_the_file(small_disk: Path, size: int) -> None:
    fill(small_disk, leave=600)
    path = small_disk / "a"
    full = rf"{path}: cannot be written: No space left on device"
    with (
        pytest.raises(OutputError, match=full),
        replacing(path) as to,
    ):
        save_file({"a": torch.zeros(size)}, to)
    with (
        pytest.raises(OutputError, match=full),
        replacing(path) as to,
    ):
        pl.DataFrame({"a": [str(number) for number in range(size)]}).write_parquet(to)
    assert not path.exists()


def test_another_library_s_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="os error 2"), naming(Path("a")):
        raise ValueError("cannot open (os error 2)")


def test_the_home_of_nobody_is_named() -> None:
    assert expanded("~/a") == Path.home() / "a"
    with pytest.raises(ConfigError, match="~nosuchuser/a: no user 'nosuchuser'"):
        expanded("~nosuchuser/a")


def test_the_nearest_folder_is_the_path_or_one_above_it(tmp_path: Path) -> None:
    assert nearest_folder(tmp_path) == tmp_path
    (tmp_path / "file").touch()
    assert nearest_folder(tmp_path / "file" / "x") == nearest_folder(tmp_path / "a" / "b" / "c") == tmp_path


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodemb.core.files.MAX_BYTES", 40)
    write_json(tmp_path / "a.json", "x" * 37)
    with pytest.raises(OutputError, match=r"a\.json: would be 41 bytes"):
        write_json(tmp_path / "a.json", "x" * 38)
    assert read_json(tmp_path / "a.json") == "x" * 37
