"""Promises come from the out-of-fold answers in the heads' folders, or it is said why there are none."""

from pathlib import Path

import pytest

from prodemb.confidence.answers import Answers, write_answers
from prodemb.confidence.promise import promise
from prodemb.core.errors import HeadError
from prodemb.heads.labels import Target
from prodemb.score.predictor import load_predictor
from prodemb.score.promises import make_promises, read_head_answers
from tests.small_heads import answers_at, make_head, predictor_of, save_predictor


def trained_folder(folder: Path, *, has_answers: bool = True) -> Path:
    """A category head with out-of-fold answers in its folder."""
    sha256 = write_answers(folder, answers_at(0.5)) if has_answers else ""
    save_predictor(folder, make_head("category"), answers_sha256=sha256)
    return folder


def test_a_promise_is_made_by_the_answers_in_the_head_s_folder(tmp_path: Path) -> None:
    folder = trained_folder(tmp_path)
    predictors = [load_predictor(folder)]
    answers = read_head_answers([folder], predictors=predictors)
    made = make_promises(predictors, answers=answers, precision=0.9, certainty=0.8, min_brand_confidence=0.7)
    assert made == {"category": promise(answers_at(0.5), precision=0.9, certainty=0.8)}
    assert make_promises(predictors, answers={}, precision=None, certainty=0.8, min_brand_confidence=0.0) == {}


def test_a_head_without_answers_says_that_it_must_be_trained_again(tmp_path: Path) -> None:
    folder = trained_folder(tmp_path, has_answers=False)
    predictors = [load_predictor(folder)]
    answers = read_head_answers([folder], predictors=predictors)
    assert answers == {}
    with pytest.raises(HeadError, match=r"\[score\] precision: the category head was trained without out-of-fold"):
        make_promises(predictors, answers=answers, precision=0.9, certainty=0.9, min_brand_confidence=0.0)


def test_altered_answers_are_refused(tmp_path: Path) -> None:
    folder = trained_folder(tmp_path)
    write_answers(folder, answers_at(0.4))
    with pytest.raises(HeadError, match=r"answers\.parquet: found SHA-256"):
        read_head_answers([folder], predictors=[load_predictor(folder)])


def test_brands_below_the_least_confidence_are_not_tested() -> None:
    predictors = [predictor_of(make_head("brand"))]
    answers: dict[Target, Answers] = {"brand": answers_at(0.5)}
    made = make_promises(predictors, answers=answers, precision=0.9, certainty=0.9, min_brand_confidence=0.8)["brand"]
    assert made.threshold is not None
    assert made.num_answered == (answers_at(0.5).probabilities >= 0.8).sum()
    assert made.num_labels == 400
