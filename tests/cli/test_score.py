"""`prodemb score`: its options reach the settings, and a mistake names the option."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from prodemb.cli import app
from prodemb.confidence.answers import write_answers
from prodemb.core.errors import ConfigError, HeadError
from tests.shard_sets import write_random_set
from tests.small_heads import answers_at, make_head, save_predictor

WORDS = ["score", "shards", "out.parquet", "--head", "head"]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_random_set(Path("shards"))
    head = Path("head")
    save_predictor(head, make_head("category"), answers_sha256=write_answers(head, answers_at(0.2)))


def test_precision_and_certainty_make_a_promise() -> None:
    result = CliRunner().invoke(app, [*WORDS, "--precision", "0.9", "--certainty", "0.8"])
    assert result.exit_code == 0, result.output
    shown = " ".join(result.output.split())
    assert "category precision 0.9 with certainty 0.8: promised of predictions with a confidence of 0." in shown
    assert "1 99.0% and " in shown


def test_a_precision_that_is_none_names_the_option() -> None:
    result = CliRunner().invoke(app, [*WORDS, "--precision", "1"])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("--precision: [score] precision: found 1.0, wanted less than 1")


def test_a_head_without_answers_cannot_promise() -> None:
    save_predictor(Path("head"), make_head("category"))
    result = CliRunner().invoke(app, [*WORDS, "--precision", "0.9"])
    assert isinstance(result.exception, HeadError)
    assert not Path("out.parquet").exists()


def test_a_folder_takes_several_files_and_a_feed_is_made_of_it() -> None:
    Path("pipelines").mkdir()
    Path("pipelines/category.toml").write_text('target = "category"\n[score]\nmax_rows_per_file = 40\n')
    result = CliRunner().invoke(app, ["score", "shards", "out", "--head", "head"])
    assert result.exit_code == 0, result.output
    assert "out in 3 files; category from shards" in " ".join(result.output.split())
    result = CliRunner().invoke(app, ["feed", "out", "supplement.tsv", "--min-confidence", "0"])
    assert result.exit_code == 0, result.output
    assert "99 products written: supplement.tsv" in " ".join(result.output.split())


def test_a_cluster_needs_a_folder() -> None:
    result = CliRunner().invoke(app, [*WORDS, "--engine", "ray"])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).endswith("several workers write one each: wanted a folder, such as out")
