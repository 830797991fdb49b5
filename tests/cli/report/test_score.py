"""What is shown of scoring: what was written, who got no prediction, and how to get a head that is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from prodemb.cli.report.score import feed_lines, missing_head_lines, score_lines
from prodemb.confidence.promise import Promise
from prodemb.score.feed import FeedReport
from prodemb.score.predictions import ScoreCounts
from prodemb.score.score import ScoreReport


def make_report(**counts: Any) -> ScoreReport:
    return ScoreReport(
        out=Path("out.parquet"),
        num_products=1000,
        num_new=1000,
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


def test_a_folder_says_how_many_files_it_has_and_who_made_them() -> None:
    (line,) = score_lines(replace(make_report(), out=Path("out"), num_files=3, num_workers=2))
    assert line == "1,000 products scored in 2.0 s (500/s) by 2 workers: out in 3 files; brand from shards/clip"
    (line,) = score_lines(replace(make_report(), out=Path("out"), num_files=3, num_new=200))
    assert line.startswith("1,000 products complete, 200 of them scored now, in 2.0 s (100/s): out in 3 files;")
    (line,) = score_lines(replace(make_report(), out=Path("out"), num_files=1, num_workers=0, was_done=True))
    assert line == "1,000 products already scored: out in 1 file; brand from shards/clip"


def test_products_without_a_prediction_are_counted_with_the_reason() -> None:
    _, category, brand = score_lines(make_report(unanswered={"category": 1, "brand": 2}))
    assert category.startswith("no category for 1 product: ")
    assert brand.startswith("brand UNKNOWN for 2 products: ")


def test_gold_labels_that_win_are_counted_and_those_that_are_not_found() -> None:
    _, category, unresolved = score_lines(make_report(gold={"category": 3, "brand": 0}, unresolved_gold=2))
    assert category == "category from its own gold label for 3 products ([score] keep_gold)"
    assert unresolved.endswith("for 2 products: predicted instead")


def made_promise(**entries: Any) -> Promise:
    values = {"precision": 0.95, "certainty": 0.9, "num_labels": 400, "threshold": 0.8} | entries
    return Promise(**values)


def test_a_promise_says_what_it_rests_on_and_what_it_costs_by_level() -> None:
    made = made_promise(threshold=0.81234, num_answered=300, num_correct=294)
    levels = [{"before": 0, "after": 300}, {"before": 1000, "after": 600}]
    report = make_report(promises={"category": made}, levels=levels, backed_off=300, unanswered={"brand": 7})
    _, unknown, promised, by_level = score_lines(report)
    assert unknown.endswith("([score] min_brand_confidence)")
    assert promised == (
        "category precision 0.95 with certainty 0.9: promised of predictions with a confidence of 0.812 or more, by "
        "400 labelled products (variants count once), of which 75.0% are answered, 98.0% of them right"
    )
    assert "before and after: 1 100.0% and 90.0%, 2 100.0% and 60.0%; 300 products got a parent" in by_level


def test_where_nothing_is_promised_it_is_said_what_is_needed() -> None:
    few = made_promise(threshold=None, more_labels_needed=1200)
    poor = made_promise(threshold=None)
    report = make_report(promises={"category": few, "brand": poor}, unanswered={"brand": 7})
    _, unknown, category, brand = score_lines(report)
    assert unknown.endswith("([score] precision)")
    assert category.endswith("too few labels, at least 1,200 more are needed; nothing is predicted")
    assert brand.endswith("too many answers are wrong, more labels alone will not do; nothing is predicted")


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
