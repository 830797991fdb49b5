"""Confident learning from top answers: the same errors as from the whole matrix, whatever the numbers."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from prodemb.audit.confident import find_label_errors


def test_an_error_is_likely_by_the_measure_of_the_other_class_and_likelier_than_the_label() -> None:
    found = find_label_errors(
        np.array([3, 3, 7, 7, 7]),
        self_confidences=np.array([0.9, 0.1, 0.8, 0.4, 0.3]),
        others=np.array([[7, -1], [7, 3000], [3, -1], [3, -1], [3, -1]]),
        probabilities=np.array([[0.1, 0.0], [0.6, 0.3], [0.2, 0.0], [0.45, 0.0], [0.55, 0.0]]),
    )
    # 7 asks for 0.5, 3 for 0.5; the fourth is likelier to be 3, but not likely enough.
    assert found.rows.tolist() == [1, 4]
    assert found.suggestions.tolist() == [7, 3]
    assert found.confidences.tolist() == [0.6, 0.55]


def test_a_class_that_is_sure_of_itself_asks_for_no_more_than_four_fifths() -> None:
    found = find_label_errors(
        np.array([0, 0, 1, 1]),
        self_confidences=np.array([0.99, 0.99, 0.1, 0.3]),
        others=np.array([[-1], [-1], [0], [0]]),
        probabilities=np.array([[0], [0], [0.85], [0.7]]),
    )
    assert found.rows.tolist() == [2]


def test_a_class_that_no_product_is_labelled_with_is_never_suggested() -> None:
    found = find_label_errors(
        np.array([0, 0]),
        self_confidences=np.zeros(2),
        others=np.array([[5], [-1]]),
        probabilities=np.ones((2, 1)),
    )
    assert not len(found.rows)


def test_no_labels_have_no_errors() -> None:
    none = np.zeros(0)
    found = find_label_errors(
        none.astype(int), self_confidences=none, others=np.zeros((0, 5), int), probabilities=np.zeros((0, 5))
    )
    assert not len(found.rows)


def by_the_whole_matrix(labels: npt.NDArray[np.int64], proba: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Written down from the definition."""
    measure = {label: min(0.8, proba[labels == label, label].mean()) for label in set(labels.tolist())}
    errors = []
    for row, label in enumerate(labels.tolist()):
        reached = [
            other
            for other, least in measure.items()
            if other != label and proba[row, other] >= least and proba[row, other] > proba[row, label]
        ]
        if reached:
            errors.append((row, max(reached, key=lambda other: proba[row, other])))
    return errors


@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(1, 30))
def test_top_answers_that_hold_all_classes_find_what_the_whole_matrix_does(seed: int, classes: int, num: int) -> None:
    random = np.random.default_rng(seed)
    proba = random.dirichlet(np.ones(classes), num)
    labels = random.integers(0, classes, num)
    others = np.argsort(-proba, axis=1)
    probabilities = np.take_along_axis(proba, others, axis=1)
    others[others == labels[:, None]] = -1
    found = find_label_errors(
        labels, self_confidences=proba[np.arange(num), labels], others=others, probabilities=probabilities
    )
    assert [*zip(found.rows.tolist(), found.suggestions.tolist(), strict=True)] == by_the_whole_matrix(labels, proba)
