"""What is shown of a whole job: a heading per step, why a step was skipped, and a summary with all of them."""

from pathlib import Path

import polars as pl
from rich.table import Table

from prodemb.cli.report.run import run_items
from prodemb.core.errors import FewLabelsError
from prodemb.job.pipeline import Pipeline
from prodemb.job.run import Step, StepFinished, StepSkipped, StepStarted
from prodemb.score.predictions import ScoreCounts
from prodemb.score.score import ScoreReport


def steps(folder: Path) -> tuple[Step, Step, Step]:
    brand, category = Pipeline(target="brand"), Pipeline(target="category")
    return (
        Step(name="train-brand", pipeline=brand, out=folder / "head"),
        Step(name="train-category", pipeline=category, out=folder / "category-head"),
        Step(name="score", pipeline=brand, out=folder / "out.parquet"),
    )


def test_a_skipped_step_is_in_the_summary_and_explains_the_null_columns(tmp_path: Path) -> None:
    brand, category, score = steps(tmp_path)
    nothing = dict.fromkeys(("category_path", "category_confidence", "brand", "brand_confidence"))
    pl.DataFrame([{"product_id": "p1"} | nothing]).write_parquet(score.out)
    report = ScoreReport(
        out=score.out,
        num_products=1,
        seconds=0.1,
        shards={"category": tmp_path / "shards"},
        absent=("brand",),
        counts=ScoreCounts(unanswered={"category": 1}),
        zero_shot="a taxonomy (3 nodes)",
        was_done=False,
    )
    events = [
        StepStarted(step=brand),
        StepSkipped(step=brand, seconds=1.5, error=FewLabelsError("brand head: found 1 class, wanted 2")),
        StepStarted(step=category),
        StepSkipped(step=category, seconds=2.5, error=None, taxonomy="a taxonomy", num_nodes=3),
        StepStarted(step=score),
        StepFinished(step=score, report=report, seconds=0.2),
    ]
    items = list(run_items(events))
    lines = [item for item in items if isinstance(item, str)]
    assert lines[:2] == ["\n== train the brand head", "skipped: brand head: found 1 class, wanted 2"]
    assert lines[2] == "\n== train the category head, CLIP frozen"
    assert lines[3].startswith("skipped: no product has a google_category_id; categories are predicted zero-shot, from")
    assert "a taxonomy (3 nodes)" in lines[3]
    assert "the brand columns are null: no head was trained, see above" in lines
    summary, first = (item for item in items if isinstance(item, Table))
    assert [list(column.cells) for column in summary.columns] == [
        ["train the brand head", "train the category head, CLIP frozen", "score"],
        ["1.5", "2.5", "0.2"],
        ["skipped: too few labels", "skipped: too few labels", str(score.out)],
    ]
    assert list(first.columns[0].cells) == ["p1"]


def test_a_target_without_a_pipeline_is_named(tmp_path: Path) -> None:
    *_, score = steps(tmp_path)
    pl.DataFrame(
        {"product_id": ["p1"], "category_path": "A", "category_confidence": 0.5, "brand": "B", "brand_confidence": 0.5}
    ).write_parquet(score.out)
    report = ScoreReport(
        out=score.out,
        num_products=1,
        seconds=0.1,
        shards={"brand": tmp_path / "shards"},
        absent=("category",),
        counts=ScoreCounts(unanswered={}),
        zero_shot=None,
        was_done=False,
    )
    items = list(run_items([StepStarted(step=score), StepFinished(step=score, report=report, seconds=0.2)]))
    assert 'the category columns are null: no pipeline has target = "category"' in items
