"""What is shown of scoring: what was written, who got no prediction, and how to get a head that is missing."""

from pathlib import Path
from typing import Any

from prodemb.cli.report.score import feed_lines, missing_head_lines, score_lines
from prodemb.score.feed import FeedReport
from prodemb.score.predictions import ScoreCounts
from prodemb.score.score import ScoreReport


def make_report(**counts: Any) -> ScoreReport:
    return ScoreReport(
        out=Path("out.parquet"),
        num_products=1000,
        seconds=2.0,
        shards={"brand": Path("shards/clip")},
        absent=("category",),
        counts=ScoreCounts(**{"unanswered": {}} | counts),
        zero_shot=None,
        was_done=False,
    )


def test_the_first_line_says_what_was_written_and_read() -> None:
    (line,) = score_lines(make_report())
    assert line == "1,000 products scored in 2.0 s (500/s): out.parquet; brand from shards/clip"


def test_products_without_a_prediction_are_counted_with_the_reason() -> None:
    _, category, brand = score_lines(make_report(unanswered={"category": 1, "brand": 2}))
    assert category.startswith("no category for 1 product: ")
    assert brand.startswith("brand UNKNOWN for 2 products: ")


def test_changes_are_counted() -> None:
    _, line = score_lines(make_report(changes={"added": 1, "changed": 2, "removed": 0, "unchanged": 997}))
    assert "1 added, 2 changed, 0 removed, 997 unchanged" in line


def test_a_missing_head_names_the_command_that_trains_it() -> None:
    (line,) = missing_head_lines(make_report())
    assert line.startswith("no category head found")
    assert "`prodemb train-category`" in line


def test_a_feed_says_what_it_holds_and_what_was_left_out() -> None:
    report = FeedReport(
        out=Path("supplement.tsv"),
        min_confidence=0.9,
        num_written=1000,
        num_categories=900,
        num_brands=800,
        num_left_out=1,
        num_changed_ids=2,
    )
    written, left_out, changed = feed_lines(report)
    assert written == "1,000 products written: supplement.tsv; 900 with a category, 800 with a brand"
    assert left_out == "left out 1 product: no category or brand with a confidence of 0.9 or more"
    assert changed.startswith("2 ids changed: ")
