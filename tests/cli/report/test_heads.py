"""What is shown of a head: where it is, its figures with their intervals, who is better, and what can be promised."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prodemb.cli.report.heads import figures, head_line, margin_of
from prodemb.confidence.promise import Promise
from prodemb.confidence.reliability import Reliability, ReliabilityBin
from prodemb.heads.evaluation import BaselineResult, CategoryEvaluation, Promised
from prodemb.heads.head import HeadCard
from prodemb.heads.metrics import Metrics
from prodemb.job.train import TrainReport
from tests.small_heads import make_card, make_head


def measured(name: str, top1: float, *, num: int = 250) -> BaselineResult:
    metrics = Metrics(top1=top1, top5=None, macro_f1=top1 / 2, ece=None, num_products=num)
    return BaselineResult(name=name, metrics=metrics, seconds=0.1)


def evaluated(*methods: BaselineResult, **entries: Any) -> HeadCard:
    return make_card("category", evaluation=CategoryEvaluation(num_learned=800, methods=methods, **entries))


def shown(card: HeadCard, *, frozen: HeadCard | None = None) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    for part in figures(card, frozen=frozen):
        console.print(part)
    return console.export_text()


def test_shares_of_few_products_have_wide_intervals() -> None:
    assert margin_of(0.9, num=20) > 0.12 > margin_of(0.9, num=250) > 0.03 > margin_of(0.9, num=2000)
    assert margin_of(1.0, num=18) > 0.1


def test_methods_stand_in_a_table_with_their_intervals() -> None:
    left_out = BaselineResult(name="kNN", metrics=None, seconds=0, note="left out: too many")
    text = shown(evaluated(left_out, measured("head alone", 0.8), measured("prodemb", 0.9)))
    assert "Category: 250 test products; learned from 800 others" in " ".join(text.split())
    assert "kNN (left out: too many)" in text
    assert f"0.900 │ {margin_of(0.9, num=250):.3f}" in text.replace("  ", " ")
    assert "better here" not in text
    assert shown(make_card("category")) == ""


def test_a_split_of_the_catalog_s_own_is_told_with_what_it_costs() -> None:
    text = shown(evaluated(measured("prodemb", 0.9), own_split=True, num_variants=12))
    assert "the test products are those that the catalog's own split holds out\n12 of them are variants of" in text
    assert "variant" not in shown(evaluated(measured("prodemb", 0.9), own_split=True))
    assert "holds out no labelled product, so nothing is measured" in shown(evaluated(own_split=True))
    assert "split" not in shown(evaluated(measured("prodemb", 0.9)))


@pytest.mark.parametrize(("own", "chance"), [(0.84, ", which is within chance"), (0.6, "")])
def test_a_baseline_that_is_better_is_named(own: float, chance: str) -> None:
    text = shown(evaluated(measured("kNN", 0.5), measured("TF-IDF + linear SVM", 0.86), measured("prodemb", own)))
    assert f"TF-IDF + linear SVM alone is better here: 0.860 against {own:.3f} on 250 products{chance}\n" in text


def test_a_head_alone_that_is_better_is_named_once() -> None:
    text = shown(evaluated(measured("head alone", 0.86), measured("prodemb", 0.85)))
    assert "head alone is better here: 0.860 against 0.850" in text
    assert "alone alone" not in text


@pytest.mark.parametrize(
    ("tuned", "published", "kept"),
    [(0.98, 0.88, "the fine-tuned CLIP"), (0.88, 0.9, "CLIP as published"), (0.9, 0.88, "CLIP as published")],
)
def test_which_of_two_heads_is_kept_is_told(tuned: float, published: float, kept: str) -> None:
    cards = [evaluated(measured("prodemb", 0.9), out_of_fold=each, num_out_of_fold=72) for each in (tuned, published)]
    text = shown(cards[0], frozen=cards[1])
    assert f"right out of fold: {tuned:.1%} of 72 with the fine-tuned CLIP, {published:.1%} of 72" in text
    assert f"scoring uses the head on {kept}" in text
    assert "prodemb, CLIP frozen" in text
    assert "prodemb, CLIP fine-tuned" in text


def test_calibration_and_promises_are_told() -> None:
    few = Promise(precision=0.99, certainty=0.9, num_labels=44, threshold=None, more_labels_needed=186)
    bad = Promise(precision=0.95, certainty=0.9, num_labels=44, threshold=None)
    kept = Promise(precision=0.9, certainty=0.9, num_labels=44, threshold=0.5, num_answered=40, num_correct=39)
    text = shown(
        evaluated(
            reliability=Reliability(bins=(ReliabilityBin(confidence=0.8, accuracy=0.75, count=9),)),
            promised=(
                Promised(promise=kept, coverage=0.75, kept=0.92, level=2.5),
                Promised(promise=bad),
                Promised(promise=few),
            ),
        )
    )
    assert text.splitlines() == [
        "category confidence: expected calibration error 0.050",
        "prodemb score --precision 0.9: 75.0% of the test products get a category, 2.5 levels deep on average; 92.0% "
        "of them are right",
        "prodemb score --precision 0.95: cannot be promised of category answers by 44 labelled products; more labels "
        "alone will not do",
        "prodemb score --precision 0.99: cannot be promised of category answers by 44 labelled products; it takes 186 "
        "more labelled products or so",
    ]


def test_a_head_that_was_there_is_told_from_one_that_was_trained() -> None:
    def line(*, was_done: bool) -> str:
        head = make_head("brand", num_train=20, epochs=3, seconds=1.25)
        return head_line(TrainReport(head=head, folder=Path("h"), shards=Path("s"), seconds=9, was_done=was_done))

    assert line(was_done=True) == "brand head at h: already trained on s with these settings"
    assert line(was_done=False) == (
        "brand head at h, trained on s: 9 classes from 20 labelled products, 3 epochs in 1.2 s; 9.0 s with the "
        "heads of the folds and the comparison"
    )
