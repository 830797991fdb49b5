"""What is shown of a whole job: headings, why a step was skipped, and ten closing lines at most, also on 40 columns."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from prodemb.cli.report.run import closing_lines, run_lines
from prodemb.core.errors import FewLabelsError
from prodemb.heads.evaluation import BaselineResult, CategoryEvaluation
from prodemb.heads.metrics import Metrics
from prodemb.job.pipeline import Pipeline
from prodemb.job.report import ReportMade
from prodemb.job.run import Event, Step, StepFinished, StepSkipped, StepStarted
from prodemb.report.summary import Incoming, Learned, Merges, Outcome, Summary, TargetOutcome
from prodemb.score.predictions import ScoreCounts
from prodemb.score.score import ScoreReport
from tests.small_heads import make_card


def steps(folder: Path) -> tuple[Step, Step, Step]:
    brand, category = Pipeline(target="brand"), Pipeline(target="category")
    return (
        Step(name="train-brand", pipeline=brand, out=folder / "head"),
        Step(name="train-category", pipeline=category, out=folder / "category-head"),
        Step(name="score", pipeline=brand, out=folder / "out.parquet"),
    )


def test_a_skipped_step_explains_the_null_columns(tmp_path: Path) -> None:
    brand, category, score = steps(tmp_path)
    assert isinstance(score.out, Path)
    nothing = dict.fromkeys(("category_path", "category_confidence", "brand", "brand_confidence"))
    pl.DataFrame([{"product_id": "p1"} | nothing]).write_parquet(score.out)
    report = ScoreReport(
        out=score.out,
        num_products=1,
        num_new=1,
        seconds=0.1,
        shards={"category": tmp_path / "shards"},
        absent=("brand",),
        counts=ScoreCounts(unanswered={"category": 1}),
        zero_shot="a taxonomy (3 nodes)",
        was_done=False,
    )
    events: list[Event] = [
        StepStarted(step=brand),
        StepSkipped(step=brand, seconds=1.5, error=FewLabelsError("brand head: found 1 class, wanted 2")),
        StepStarted(step=category),
        StepSkipped(step=category, seconds=2.5, error=None, taxonomy="a taxonomy", num_nodes=3),
        StepStarted(step=score),
        StepFinished(step=score, report=report, seconds=0.2),
    ]
    lines = list(run_lines(events))
    assert lines[:2] == ["\n== train the brand head", "skipped: brand head: found 1 class, wanted 2"]
    assert lines[2] == "\n== train the category head, CLIP frozen"
    assert lines[3].startswith("skipped: no product has a google_category_id; categories are predicted zero-shot, from")
    assert "a taxonomy (3 nodes)" in lines[3]
    assert "the brand columns are null: no head was trained, see above" in lines


def test_a_run_ends_with_ten_lines_at_most(tmp_path: Path) -> None:
    brand, category, score = steps(tmp_path)
    metrics = Metrics(top1=0.9, top5=None, macro_f1=0.5, ece=None, num_products=40)
    methods = [
        BaselineResult(name=name, metrics=metrics.model_copy(update={"top1": top1}), seconds=0.1)
        for name, top1 in (("kNN", 0.7), ("TF-IDF", 0.8), ("head alone", 0.95), ("prodemb", 0.9))
    ]
    card = make_card("category", evaluation=CategoryEvaluation(methods=tuple(methods)))
    target = TargetOutcome(target="category", num_answered=9, num_unanswered=1, sources={}, bands={})
    summary = Summary(
        version="1",
        incoming=Incoming(
            catalog="feed.csv",
            num_rows=12,
            num_products=10,
            skipped_rows={"broken": 1, "empty": 1},
            missing={"image": {"no value": 3}},
            presence=(),
            num_partners=0,
        ),
        learned=(Learned(card=card, is_fine_tuned=False, other=None, risk=(), largest_classes=()),),
        outcome=Outcome(
            predictions="out.parquet",
            num_products=10,
            targets=(target, replace(target, target="brand", num_answered=10, num_unanswered=0)),
            tree=(),
            num_categories=0,
            num_categories_left_out=0,
            brands=(),
            num_brands=0,
            num_unbranded=0,
            confusions=(),
        ),
        merges=Merges(aliases="aliases.csv", num_merges=2, merges=()),
    )
    report = ReportMade(out=Path("report.html"), summary=summary, was_done=False)
    written = Step(name="report", pipeline=score.pipeline, out=report.out)
    ended: list[StepFinished | StepSkipped] = [
        StepSkipped(step=brand, seconds=1.5, error=FewLabelsError("brand head: found 1 class, wanted 2")),
        StepSkipped(step=category, seconds=2.5, error=None, taxonomy="a taxonomy", num_nodes=3),
        StepFinished(step=written, report=report, seconds=6.0),
    ]
    lines = closing_lines(ended, report=report)
    assert lines == [
        "10 products in 10 s",
        "2 rows left out, 3 without a picture",
        "category: found for 90.0% of products",
        "  zero-shot: too few labels to train",
        "brand: none, too few labels to train",
        "2 brand merges to decide: aliases.csv",
        "predictions: out.parquet",
        "report: report.html (open in a browser)",
    ]
    trained = closing_lines(ended[2:], report=report)
    assert trained[2:5] == [
        "category: found for 90.0% of products",
        "  90.0% right in test, baseline 80.0%",
        "brand: found for 100.0% of products",
    ]
    assert len(trained) <= 10
    assert max(map(len, lines + trained)) <= 40
    assert [*run_lines(ended)][-len(lines) - 1 :] == ["\n== done", *lines]


def test_a_target_without_a_pipeline_is_named(tmp_path: Path) -> None:
    *_, score = steps(tmp_path)
    assert isinstance(score.out, Path)
    pl.DataFrame(
        {"product_id": ["p1"], "category_path": "A", "category_confidence": 0.5, "brand": "B", "brand_confidence": 0.5}
    ).write_parquet(score.out)
    report = ScoreReport(
        out=score.out,
        num_products=1,
        num_new=1,
        seconds=0.1,
        shards={"brand": tmp_path / "shards"},
        absent=("category",),
        counts=ScoreCounts(unanswered={}),
        zero_shot=None,
        was_done=False,
    )
    lines = list(run_lines([StepStarted(step=score), StepFinished(step=score, report=report, seconds=0.2)]))
    assert 'the category columns are null: no pipeline has target = "category"' in lines
