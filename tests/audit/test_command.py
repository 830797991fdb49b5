"""`prodemb audit`: its options reach the audit, and a mistake is named."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from prodemb.cli import app
from prodemb.core.errors import ConfigError, HeadError
from tests.audit.conftest import NUM

PIPELINE = """target = "brand"
[brands]
aliases = "{project}/aliases.csv"
[train]
epochs = 2
[audit]
min_confidence = {least}
"""


@pytest.fixture
def words(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("brand.toml").write_text(PIPELINE.format(project=project, least=0.6))
    return ["audit", str(project / "shards"), "audit.parquet", "--pipeline", "brand.toml", "--device", "cpu"]


def test_heads_and_pipelines_are_those_that_are_named(project: Path, words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "--head", str(project / "heads" / "brand")])
    assert result.exit_code == 0, result.output
    shown = " ".join(result.output.split())
    assert f"{NUM} products audited" in shown
    assert "supplied brand" in shown
    found = pl.read_parquet("audit.parquet")
    assert set(found["target"]) == {"brand"}
    assert (found.filter(pl.col("kind") == "supplied")["confidence"] >= 0.6).all()


def test_without_a_head_it_says_how_to_get_one(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, HeadError)
    assert not Path("audit.parquet").exists()


def test_an_answer_less_likely_than_not_contradicts_nothing(project: Path, words: list[str]) -> None:
    Path("brand.toml").write_text(PIPELINE.format(project=project, least=0.3))
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError)
    assert "[audit] min_confidence: found 0.3" in str(result.exception)
