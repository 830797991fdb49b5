"""Reliability diagrams: bins of equal mass, whatever the order, and the calibration error that they give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from prodemb.confidence.choices import Answered
from prodemb.confidence.reliability import Calibration, Reliability

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


def answered(num: int, *, seed: int, power: float) -> Answered:
    """Answers whose confidence is perfect where `power` is 1."""
    random = np.random.default_rng(seed)
    confidences = random.random(num).astype(np.float32)
    return Answered(confidences=confidences, correct=random.random(num) < confidences**power)


def test_an_error_is_told_from_chance() -> None:
    found = [Calibration.of(answered(300, seed=seed, power=1)) for seed in range(60)]
    beyond = [each.error > each.by_chance for each in found if each is not None]
    assert len(beyond) == 60
    assert sum(beyond) <= 8
    wrong = Calibration.of(answered(3000, seed=0, power=2))
    assert wrong is not None
    assert wrong.error > 0.15 > 0.05 > wrong.by_chance
    assert wrong.confidence == pytest.approx(0.5, abs=0.02)
    assert wrong.accuracy == pytest.approx(1 / 3, abs=0.02)


def test_of_few_answers_an_error_says_little() -> None:
    few, many = (Calibration.of(answered(num, seed=0, power=1)) for num in (89, 20_000))
    assert few is not None
    assert many is not None
    assert few.by_chance > 0.1 > 0.02 > many.by_chance
    assert Calibration.of(answered(0, seed=0, power=1)) is None
    again = Calibration.of(answered(89, seed=0, power=1))
    assert few == again == Calibration.model_validate(few.model_dump(mode="json"))


def test_answers_that_are_certain_leave_nothing_to_chance() -> None:
    certain = Calibration.of(Answered(confidences=np.ones(50, np.float32), correct=np.arange(50) > 4))
    assert certain is not None
    assert (certain.error, certain.by_chance) == (pytest.approx(0.1), 0)
