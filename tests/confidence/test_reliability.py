"""Reliability diagrams: bins of equal mass, whatever the order, and the calibration error that they give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from prodemb.confidence.reliability import Reliability

ROWS = st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=80)


def test_the_bins_are_scikit_learns_quantiles() -> None:
    random = np.random.default_rng(0)
    confidences = random.random(1500)
    correct = random.random(1500) < confidences**2
    accuracy, confidence = calibration_curve(correct, confidences, n_bins=15, strategy="quantile")
    found = Reliability.of(confidences, correct=correct)
    assert [each.count for each in found.bins] == [100] * 15
    assert [each.accuracy for each in found.bins] == pytest.approx(accuracy)
    assert [each.confidence for each in found.bins] == pytest.approx(confidence)
    assert found.calibration_error == pytest.approx(np.abs(accuracy - confidence).mean())


@given(ROWS)
def test_order_makes_no_difference_and_nothing_is_lost(rows: list[tuple[float, bool]]) -> None:
    confidences, correct = np.array([c for c, _ in rows]), np.array([r for _, r in rows])
    shuffled = np.random.default_rng(0).permutation(len(rows))
    found = Reliability.of(confidences, correct=correct)
    again = Reliability.of(confidences[shuffled], correct=correct[shuffled])
    assert again == found
    assert sum(each.count for each in found.bins) == len(rows)
    assert sum(each.count * each.accuracy for each in found.bins) == pytest.approx(correct.sum())
    assert [each.confidence for each in found.bins] == sorted(each.confidence for each in found.bins)


def test_answers_of_one_confidence_stay_in_one_bin() -> None:
    confidences = np.array([0.5] * 3 + [1.0] * 97)
    found = Reliability.of(confidences, correct=np.arange(100) % 10 > 0)
    assert [(each.confidence, each.count) for each in found.bins] == [(0.5, 3), (1.0, 97)]


def test_a_diagram_is_data_for_a_card_and_may_be_empty() -> None:
    found = Reliability.of(np.array([0.25, 0.75]), correct=np.array([False, True]))
    assert Reliability.model_validate(found.model_dump(mode="json")) == found
    assert found.calibration_error == pytest.approx(0.25)
    empty = Reliability.of(np.zeros(0), correct=np.zeros(0, bool))
    assert (empty.bins, empty.calibration_error) == ((), None)
