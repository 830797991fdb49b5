"""A pipe where a file should be ends a command in one line, or costs a picture; nothing waits for a writer."""

import os
import shutil
from pathlib import Path

import pytest

from prodemb.shards.format import read_manifest
from tests.command_line import prodemb
from tests.shard_sets import write_random_set

FEED = "id,title,image\n1,Mug,a.jpg\n2,Cup,pipe\n"


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("read pipe", 4, "pipe: is no regular file"),
        ("embed pipe --out s", 4, "pipe: is no regular file"),
        ("init pipe", 4, "pipe: is no regular file"),
        ("read feed.csv pipe", 9, "pipe: holds something that `prodemb read` did not write"),
        ("taxonomy pipe", 4, "pipe: is no taxonomy and is not replaced"),
        ("verify shards", 6, "part-00000.parquet: is no regular file; embed again"),
        ("verify unlisted", 6, "unlisted: no shard set here"),
    ],
)
def test_a_pipe_in_place_of_a_file_is_one_line(tmp_path: Path, command: str, status: int, message: str) -> None:
    (tmp_path / "feed.csv").write_text(FEED)
    os.mkfifo(tmp_path / "pipe")
    write_random_set(tmp_path / "shards")
    first = tmp_path / "shards" / read_manifest(tmp_path / "shards").shards[0].name
    first.unlink()
    os.mkfifo(first)
    shutil.copytree(tmp_path / "shards", tmp_path / "unlisted", copy_function=lambda *_: None)
    os.mkfifo(tmp_path / "unlisted" / "part-00000.parquet")
    result = prodemb(*command.split(), cwd=tmp_path, timeout_s=60)
    assert result.returncode == status
    said = result.stdout + result.stderr
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", [".prodemb", ".checked.json", "update.json"])
def test_a_pipe_in_place_of_what_a_run_keeps_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "s").mkdir()
    os.mkfifo(tmp_path / "s" / name)
    (tmp_path / "feed.csv").write_text(FEED)
    result = prodemb("embed", "feed.csv", "--out", "s", cwd=tmp_path, timeout_s=60)
    assert result.returncode in (6, 9)
    assert result.stderr.splitlines()[-1].startswith("prodemb: error: s")
