"""Making a report of what is there: from whatever parts there are, once for the same, and of the same products only."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from prodemb.core.errors import ConfigError, ShardError
from prodemb.core.progress import no_progress
from prodemb.job.pipeline import Pipeline
from prodemb.job.report import make_report, report_path
from prodemb.job.score import score_shards, trained_heads
from prodemb.report.summary import StepTime
from prodemb.score.predictions import is_predictions
from prodemb.shards.reader import open_shard_set
from tests.report.conftest import NUM
from tests.report.conftest import pipelines as pipelines


def test_everything_that_is_there_is_in_the_report(pipelines: list[Pipeline], tmp_path: Path) -> None:
    made = make_report(pipelines, out=tmp_path / "report.html", progress=no_progress)
    summary = made.summary
    assert [each.card.target for each in summary.learned] == ["category", "brand"]
    assert summary.incoming.num_products == summary.outcome.num_products == NUM
    assert summary.merges is not None
    assert summary.audit is not None
    assert summary.audit.num_findings == 1
    assert sum(card.picture is not None for card in summary.gallery) >= NUM // 4
    assert report_path(pipelines).name == "report.html"


def test_the_same_report_is_not_written_again_and_keeps_its_times(pipelines: list[Pipeline], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    steps = [StepTime(name="embed", fine_tuned=False, seconds=3.5, num_products=NUM)]
    assert not make_report(pipelines, out=out, steps=steps, progress=no_progress).was_done
    before = out.read_text()
    assert make_report(pipelines, out=out, progress=no_progress).was_done
    assert out.read_text() == before
    assert not make_report(pipelines, out=out, heads=[], progress=no_progress).was_done
    assert "No head was trained" in out.read_text()


def test_a_folder_of_predictions_is_reported_like_a_file(pipelines: list[Pipeline], tmp_path: Path) -> None:
    one = make_report(pipelines, out=tmp_path / "one.html", progress=no_progress)
    folder = tmp_path / "predictions"
    several = [each.replaced({"score": {"out": str(folder)}}, source="test") for each in pipelines]
    shards = [open_shard_set(Path(pipelines[0].embed.out))]
    heads = trained_heads(pipelines)
    score_shards(shards, out=folder, heads=heads, pipeline=several[0], progress=no_progress)
    other = make_report(several, out=report_path(several), progress=no_progress)
    assert replace(other.summary.outcome, predictions="") == replace(one.summary.outcome, predictions="")
    assert make_report(several, out=report_path(several), progress=no_progress).was_done
    assert report_path(several) == tmp_path / "report.html"


def test_a_report_without_the_catalog_has_no_pictures(pipelines: list[Pipeline], tmp_path: Path) -> None:
    gone = [each.replaced({"catalog": {"path": str(tmp_path / "no.csv")}}, source="test") for each in pipelines]
    summary = make_report(gone, out=tmp_path / "report.html", progress=no_progress).summary
    assert len(summary.gallery) == NUM
    assert not any(card.picture for card in summary.gallery)


def test_predictions_of_other_products_are_refused(pipelines: list[Pipeline], tmp_path: Path) -> None:
    none = [each.replaced({"score": {"out": str(tmp_path / "no.parquet")}}, source="test") for each in pipelines]
    with pytest.raises(ConfigError, match=r"no\.parquet: no predictions yet"):
        make_report(none, out=tmp_path / "report.html", progress=no_progress)
    path = Path(pipelines[0].score.out)
    table = pl.read_parquet(path).reverse().to_arrow()
    pq.write_table(table.cast(pq.read_schema(path)), tmp_path / "out.parquet")
    assert is_predictions(tmp_path / "out.parquet")
    other = [each.replaced({"score": {"out": str(tmp_path / "out.parquet")}}, source="test") for each in pipelines]
    with pytest.raises(ShardError, match=r"its products are not those of"):
        make_report(other, out=tmp_path / "report.html", progress=no_progress)


def test_an_audit_that_is_named_must_be_one(pipelines: list[Pipeline], tmp_path: Path) -> None:
    for name, found in (("no.parquet", "no such file"), (pipelines[0].score.out, "holds no findings")):
        with pytest.raises(ConfigError, match=found):
            make_report(pipelines, out=tmp_path / "report.html", audit=tmp_path / name, progress=no_progress)
