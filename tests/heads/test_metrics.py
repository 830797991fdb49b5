"""Metrics agree with scikit-learn's and with slow ones spelled out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, top_k_accuracy_score

from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.metrics import RARE, by_class_count, evaluate, macro_f1, top_k_accuracy

CLASSES = st.integers(0, 6)


@given(st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=40))
def test_macro_f1_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, answers = np.array(pairs).T
    assert macro_f1(labels, predicted=answers) == pytest.approx(f1_score(labels, answers, average="macro"))


def test_no_answer_costs_recall_only() -> None:
    labels = np.array([0, 0, 1, 1])
    assert macro_f1(labels, predicted=np.array([0, NO_ANSWER, 1, 1])) == pytest.approx((2 / 3 + 1) / 2)
    assert macro_f1(labels, predicted=np.full(4, NO_ANSWER)) == 0


def test_top_k_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.standard_normal((200, 9)), random.integers(0, 9, 200)
    top = np.argsort(-scores, axis=1)
    for k in (1, 5):
        wanted = top_k_accuracy_score(labels, scores, k=k, labels=range(9))
        assert top_k_accuracy(labels, topk=top, k=k) == pytest.approx(wanted)


def test_fewer_than_five_answers_are_counted_as_they_are() -> None:
    metrics = evaluate(np.array([0, 1, 2]), topk=np.array([[0, 1], [0, 1], [0, 1]]))
    assert (metrics.top1, metrics.top5, metrics.ece, metrics.num_products) == (pytest.approx(1 / 3), 2 / 3, None, 3)
    assert evaluate(np.array([0]), topk=np.array([[0]])).top5 is None


def test_products_are_told_apart_by_the_examples_of_their_class() -> None:
    bands = by_class_count(np.array([0, 1, 19, 20, 100, 101, 5, 6]))
    assert {name: np.flatnonzero(where).tolist() for name, where in bands.items()} == {
        "over 100": [5],
        "20 to 100": [3, 4],
        "6 to 19": [2, 7],
        RARE: [1, 6],
        "none": [0],
    }
