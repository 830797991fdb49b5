"""`prodemb export`: one shard set, in the format that is asked for."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from prodemb.cli import app
from prodemb.core.errors import ShardError
from tests.shard_sets import write_random_set


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_random_set(Path("shards/clip"))


def test_the_only_shard_set_of_a_folder_is_exported() -> None:
    result = CliRunner().invoke(app, ["export", "shards/", "--to", "npy", "arrays"])
    assert result.exit_code == 0, result.output
    assert "100 products exported: arrays" in result.output
    assert "title.npy, 1.7 KB" in result.output


def test_of_two_shard_sets_one_is_to_be_named() -> None:
    write_random_set(Path("shards/other"))
    result = CliRunner().invoke(app, ["export", "shards", "arrays", "--to", "faiss"])
    assert isinstance(result.exception, ShardError)
    assert str(result.exception) == "shards: holds 2 shard sets: shards/clip, shards/other; wanted one, name it"
    assert CliRunner().invoke(app, ["export", "shards", "arrays", "--to", "csv"]).exit_code == 2
