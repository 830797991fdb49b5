"""Folders: prodemb's own alone, one run at a time, and replaced as a whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prodemb.core import folders
from prodemb.core.errors import BusyError, OutputError
from prodemb.core.files import temporary_name
from prodemb.core.folders import MARKER, check_apart, holding, is_marked, replacing_folder

OWN = ("card.json", "weights")


def fill(folder: Path, **files: str) -> Path:
    """Write small files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_empty_or_new_folder_becomes_ours_and_stays_so(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "deep" / "new"):
        with holding(folder, kind="shard set") as held:
            held.check()
        assert is_marked(folder, kind="shard set")
    fill(tmp_path, part_parquet="x")
    with holding(tmp_path, kind="shard set"):
        assert (tmp_path / "part.parquet").read_text() == "x"


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, **{"part-00000_parquet": "theirs", "notes_tmp": "theirs"})
    with pytest.raises(OutputError, match=r"what prodemb did not make \(notes.tmp, part-00000.parquet\)"):
        holding(tmp_path, kind="shard set").__enter__()
    assert names(tmp_path) == ["notes.tmp", "part-00000.parquet"]


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with holding(tmp_path, kind="head"):
        pass
    with pytest.raises(OutputError, match="holds a head of prodemb, wanted a shard set"):
        holding(tmp_path, kind="shard set").__enter__()


def test_a_folder_that_is_known_needs_no_marker(tmp_path: Path) -> None:
    fill(tmp_path, manifest_json="ours")
    with holding(tmp_path, kind="shard set", is_own=lambda folder: (folder / "manifest.json").exists()):
        assert is_marked(tmp_path, kind="shard set")


def test_a_marker_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    theirs, folder = fill(tmp_path / "theirs", a="precious") / "a", tmp_path / "received"
    for make in (Path.symlink_to, Path.hardlink_to, lambda marker, _: os.mkfifo(marker)):
        folder.mkdir(exist_ok=True)
        make(folder / MARKER, theirs)
        with pytest.raises(OutputError, match=r"is no regular file of its own|is a link"):
            holding(folder, kind="shard set").__enter__()
        assert theirs.read_text() == "precious"
        (folder / MARKER).unlink()


def test_leftovers_of_killed_runs_go_and_nothing_else(tmp_path: Path) -> None:
    with holding(tmp_path, kind="shard set"):
        pass
    fill(tmp_path, **{temporary_name("part").replace("_", "."): "half", "my_tmp": "theirs"})
    fill(tmp_path / temporary_name("index"), a="half")
    with holding(tmp_path, kind="shard set"):
        assert names(tmp_path) == [MARKER, "my.tmp"]


def test_another_process_is_told_that_the_folder_is_taken(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from prodemb.core.errors import BusyError
from prodemb.core.folders import holding

try:
    with holding(Path(sys.argv[1]), kind="shard set"):
        print("wrote")
except BusyError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with holding(tmp_path, kind="shard set"):
        answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert "another run is writing here" in answer
    assert subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout == "wrote\n"


def test_a_folder_that_is_moved_away_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    with holding(folder, kind="shard set") as held:
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(OutputError, match="was moved or replaced"):
            held.check()
        folder.mkdir()
        with pytest.raises(OutputError, match="was moved or replaced"):
            held.check()


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "head"
    with replacing_folder(folder, kind="head", own_files=OWN) as new:
        fill(new, card_json="1", weights="1")
        assert not folder.exists()
    assert names(tmp_path) == ["head"]
    assert names(folder) == [MARKER, "card.json", "weights"]
    with pytest.raises(FileExistsError), replacing_folder(folder, kind="head", own_files=OWN) as new:
        fill(fill(new, card_json="2") / "card.json", weights="2")
    assert (folder / "card.json").read_text() == "1"
    assert names(tmp_path) == ["head"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_what_somebody_put_into_the_old_folder_is_kept(
    tmp_path: Path, can_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    folder = tmp_path / "head"
    with replacing_folder(folder, kind="head", own_files=OWN) as new:
        fill(new, card_json="1", weights="1")
    fill(folder, notes_txt="mine")
    fill(folder / "plots", a="mine")
    with replacing_folder(folder, kind="head", own_files=OWN) as new:
        fill(new, card_json="2")
    assert names(folder) == [MARKER, "card.json", "notes.txt", "plots"]
    assert (folder / "card.json").read_text() == "2"
    assert (folder / "plots" / "a").read_text() == "mine"
    assert names(tmp_path) == ["head"]


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "head"
    with replacing_folder(folder, kind="head", own_files=OWN) as new:
        fill(new, card_json="1")
    folder.rename(tmp_path / ".head.old")
    fill(tmp_path / temporary_name("head"), card_json="2")
    with pytest.raises(ZeroDivisionError), replacing_folder(folder, kind="head", own_files=OWN):
        1 / 0  # noqa: B018
    assert names(tmp_path) == ["head"]
    assert (folder / "card.json").read_text() == "1"


@pytest.mark.parametrize("name", ["head", "head.state", "head.old.tmp", "head.new.tmp"])
def test_folders_of_somebody_else_are_never_touched(tmp_path: Path, name: str) -> None:
    theirs = fill(tmp_path / name, thesis_tex="years")
    if name == "head":
        with pytest.raises(OutputError, match="what prodemb did not make"):
            replacing_folder(tmp_path / "head", kind="head", own_files=OWN).__enter__()
    else:
        with replacing_folder(tmp_path / "head", kind="head", own_files=OWN) as new:
            fill(new, card_json="1")
    assert (theirs / "thesis.tex").read_text() == "years"


def test_two_runs_cannot_make_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "head"
    with replacing_folder(folder, kind="head", own_files=OWN) as new:
        fill(new, card_json="1")
        with (
            pytest.raises(BusyError, match="another run is writing it"),
            replacing_folder(folder, kind="head", own_files=OWN),
        ):
            pass
    assert (folder / "card.json").read_text() == "1"
    assert names(tmp_path) == ["head"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "head").symlink_to(tmp_path / "disk")
    with replacing_folder(tmp_path / "head", kind="head", own_files=OWN) as new:
        fill(new, card_json="1")
    assert (tmp_path / "head").is_symlink()
    assert (tmp_path / "disk" / "card.json").read_text() == "1"


def test_output_and_catalog_lie_apart(tmp_path: Path) -> None:
    feed = fill(tmp_path / "feed", a_csv="x")
    check_apart(tmp_path / "shards", [feed / "a.csv"])
    check_apart(tmp_path / "fee", [feed / "a.csv"])
    for out in (feed, tmp_path, tmp_path / "x" / ".." / "feed"):
        with pytest.raises(OutputError, match=r"holds the catalog file .*a\.csv"):
            check_apart(out, [feed / "a.csv"])
