"""A promise is kept: over many draws of labelled products it is broken no more often than its certainty allows."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.naive_bayes import MultinomialNB

from prodemb.confidence.answers import Answers
from prodemb.confidence.promise import THRESHOLDS, Promise, least_labels, promise

FASHION = Path(__file__).parents[3] / "shared/data/fashion/catalog.parquet"
CERTAINTY, NUM_DRAWS = 0.9, 200
MOST_BROKEN = int(binom.ppf(0.99, NUM_DRAWS, 1 - CERTAINTY))
"""What a promise that is broken in exactly 10 % of all draws exceeds in 1 % of 200."""


@dataclass(frozen=True, kw_only=True)
class Population:
    """All products that there are, and how often their answers are right."""

    probabilities: npt.NDArray[np.float32]
    """(n, L), falling."""
    right: npt.NDArray[np.float64]
    """(n, L) the probability that the node at that level is the truth or above it, falling."""

    def draw(self, num: int, *, seed: int, variants: int = 1) -> Answers:
        """Labelled products, in groups of so many variants that are right or wrong together."""
        random = np.random.default_rng([num, seed])
        rows = random.integers(0, len(self.right), num)
        correct = random.random(num)[:, None] < self.right[rows]
        drawn = Answers(
            probabilities=self.probabilities[rows],
            correct=correct,
            groups=random.integers(0, 2**63, num).astype(np.uint64),
        )
        return drawn.take(np.repeat(np.arange(num), variants))

    def precision(self, threshold: float) -> float:
        """Share of all answers at a threshold that are right."""
        depth = (self.probabilities >= threshold).sum(axis=1)
        answered = np.flatnonzero(depth)
        return float(self.right[answered, depth[answered] - 1].mean())

    def num_broken(self, num: int, *, precision: float, variants: int = 1) -> int:
        """In how many of `NUM_DRAWS` draws the promise is broken."""
        drawn = (self.draw(num, seed=seed, variants=variants) for seed in range(NUM_DRAWS))
        made = (promise(each, precision=precision, certainty=CERTAINTY).threshold for each in drawn)
        return sum(self.precision(threshold) < precision for threshold in made if threshold is not None)


@cache
def overconfident(*, levels: int = 1) -> Population:
    """Products with confidences that are too extreme: the true log odds, doubled, and more."""
    odds = np.random.default_rng(0).normal(2.5, 2.0, 50_000)
    wrong = 1 / (1 + np.exp(odds))
    right = 1 - wrong[:, None] * np.linspace(0.2, 1, levels) if levels > 1 else 1 - wrong[:, None]
    shown = 2 * np.log(right / (1 - right)) + 1
    return Population(probabilities=(1 / (1 + np.exp(-shown))).astype(np.float32), right=right)


@cache
def real() -> Population:
    """Categories of the fashion catalog by naive Bayes on the words of titles, which is sure of itself."""
    catalog = pl.read_parquet(FASHION, columns=["title", "google_category_id"]).drop_nulls()
    words = HashingVectorizer(n_features=4096, alternate_sign=False, norm=None).transform(catalog["title"])
    labels = catalog["google_category_id"].to_numpy()
    model = MultinomialNB().fit(words[:1000], labels[:1000])
    probabilities = model.predict_proba(words[1000:])
    correct = model.classes_[probabilities.argmax(axis=1)] == labels[1000:]
    return Population(
        probabilities=probabilities.max(axis=1, keepdims=True).astype(np.float32),
        right=correct[:, None].astype(np.float64),
    )


CASES = [(precision, num) for precision in (0.9, 0.95, 0.99) for num in (300, 1000, 3000)]


@pytest.mark.parametrize(("precision", "num"), CASES)
@pytest.mark.parametrize("levels", [1, 3])
def test_overconfident_scores_keep_their_promise(levels: int, precision: float, num: int) -> None:
    assert overconfident(levels=levels).num_broken(num, precision=precision) <= MOST_BROKEN


@pytest.mark.skipif(not FASHION.exists(), reason="the fashion catalog is not here")
@pytest.mark.parametrize(("precision", "num"), CASES)
def test_real_scores_keep_their_promise(precision: float, num: int) -> None:
    assert real().num_broken(num, precision=precision) <= MOST_BROKEN


def test_the_threshold_whose_observed_precision_is_enough_breaks_it() -> None:
    """What the tests above would find if they were not to be passed."""
    population, broken = overconfident(), 0
    for seed in range(NUM_DRAWS):
        drawn = population.draw(300, seed=seed)
        order = np.argsort(-drawn.probabilities[:, 0])
        observed = np.cumsum(drawn.correct[order, 0]) / np.arange(1, 301)
        lowest = drawn.probabilities[order, 0][np.flatnonzero(observed >= 0.95)[-1]]
        broken += population.precision(lowest) < 0.95
    assert broken > 2 * MOST_BROKEN


def test_variants_of_one_product_are_no_further_evidence() -> None:
    population = overconfident()
    assert population.num_broken(300, precision=0.95, variants=5) <= MOST_BROKEN
    drawn = population.draw(300, seed=0)
    repeated = population.draw(300, seed=0, variants=5)
    once = promise(drawn, precision=0.95, certainty=CERTAINTY)
    assert promise(repeated, precision=0.95, certainty=CERTAINTY) == once
    assert once.num_labels == 300


def one_level(confidences: npt.ArrayLike, *, correct: npt.ArrayLike) -> Answers:
    shown = np.asarray(confidences, np.float32)
    return Answers(
        probabilities=shown[:, None],
        correct=np.asarray(correct, np.bool_)[:, None],
        groups=np.arange(len(shown), dtype=np.uint64),
    )


@pytest.mark.parametrize(("precision", "least"), [(0.9, 22), (0.95, 45), (0.99, 230)])
def test_the_fewest_labels_that_do(precision: float, least: int) -> None:
    assert least_labels(precision=precision, certainty=0.9) == least
    for num in (0, 1, least // 2, least - 1, least):
        made = promise(one_level(np.full(num, 0.8), correct=np.ones(num)), precision=precision, certainty=0.9)
        if num < least:
            assert (made.threshold, made.num_answered, made.observed_precision) == (None, 0, None)
            assert made.more_labels_needed == pytest.approx(least - num, abs=2)
        else:
            assert (made.more_labels_needed, made.num_answered, made.coverage) == (None, least, 1.0)
            assert made.threshold is not None
            assert 0.78 < made.threshold <= np.float32(0.8)


def test_an_error_among_few_asks_for_more_and_poor_answers_for_no_labels() -> None:
    correct = np.arange(60) != 30
    made = promise(one_level(np.full(60, 0.8), correct=correct), precision=0.95, certainty=0.9)
    assert made.threshold is None
    assert made.more_labels_needed is not None
    more = np.tile(correct, 20)[: 60 + made.more_labels_needed]
    more[60:] = np.arange(60, len(more)) % 60 != 30
    again = promise(one_level(np.full(len(more), 0.8), correct=more), precision=0.95, certainty=0.9)
    assert again.threshold is not None
    poor = promise(one_level(np.full(600, 0.8), correct=np.arange(600) % 2), precision=0.95, certainty=0.9)
    assert (poor.threshold, poor.more_labels_needed) == (None, None)


def test_as_many_labels_as_are_asked_for_often_do() -> None:
    population, done, asked = overconfident(), 0, 0
    for seed in range(NUM_DRAWS):
        made = promise(population.draw(120, seed=seed), precision=0.95, certainty=CERTAINTY)
        if made.more_labels_needed is not None:
            asked += 1
            enough = population.draw(120 + made.more_labels_needed, seed=seed)
            done += promise(enough, precision=0.95, certainty=CERTAINTY).threshold is not None
    assert done > 0.3 * asked


def test_a_doubtful_answer_counts_as_the_node_above() -> None:
    probabilities = np.array([[0.99, 0.6]] * 100 + [[0.99, 0.3]] * 100, np.float32)
    correct = np.array([[True, True]] * 100 + [[True, False]] * 100)
    answers = Answers(probabilities=probabilities, correct=correct, groups=np.arange(200, dtype=np.uint64))
    made = promise(answers, precision=0.95, certainty=0.9)
    assert made.threshold is not None
    assert 0.3 < made.threshold <= 0.6
    assert (made.num_answered, made.num_correct) == (200, 200)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 0.999, 1.0]), st.integers(0, 9)), min_size=1, max_size=150),
    st.sampled_from([0.5, 0.8, 0.95]),
)
def test_the_answers_of_a_promise_are_those_at_its_threshold(rows: list[tuple[float, int]], precision: float) -> None:
    answers = one_level([c for c, _ in rows], correct=[right < 9 for _, right in rows])
    made = promise(answers, precision=precision, certainty=0.9)
    if made.threshold is None:
        assert made.more_labels_needed is None or made.more_labels_needed > 0
        return
    assert np.float32(made.threshold) in THRESHOLDS
    answered = (answers.probabilities[:, 0] >= made.threshold) & (answers.probabilities[:, 0] > 0)
    assert made.num_answered == answered.sum()
    assert made.num_correct == answers.correct[answered].sum()
    assert binom.cdf(made.num_answered - made.num_correct, made.num_answered, 1 - precision) <= 0.1 + 1e-12
    assert Promise.model_validate(made.model_dump(mode="json")) == made


def test_a_million_answers_are_quick_and_come_close_to_what_is_there() -> None:
    population = overconfident()
    drawn = population.draw(1_000_000, seed=0)
    made = promise(drawn, precision=0.95, certainty=CERTAINTY)
    assert made.threshold is not None
    assert 0.95 < population.precision(made.threshold) < 0.955


def first_test(num: int, *, precision: float) -> int:
    """How many answers the first test wants: five errors tolerated, or a quarter of all, or the least that can do."""
    five = next(n for n in range(6, 10_000) if binom.cdf(5, n, 1 - precision) <= 1 - CERTAINTY)
    return max(least_labels(precision=precision, certainty=CERTAINTY), min(five, -(-num // 4)))


@pytest.mark.filterwarnings("ignore::UserWarning")  # that observed risks are not monotonic, or that nothing is valid
@pytest.mark.parametrize(("precision", "num"), CASES)
def test_thresholds_are_those_of_mapie(precision: float, num: int) -> None:
    """Its fixed sequence on the same thresholds, from the one where testing starts.

    It counts `ceil(n * (errors / n))` errors, which is one more where the quotient is rounded up, and so stops earlier
    in some draws. Where less is right at the first threshold than at the last it tests from the other end.
    """
    control = pytest.importorskip("mapie.risk_control").BinaryClassificationController
    num_compared = num_equal = 0
    for seed in range(8):
        answers = overconfident().draw(num, seed=seed)
        shown, correct = answers.probabilities[:, 0], answers.correct[:, 0]
        tested = THRESHOLDS[np.searchsorted(num_reaching(shown), first_test(num, precision=precision)) :]
        precisions = [correct[shown >= threshold].mean() for threshold in tested[[0, -1]]]
        if precisions[0] <= precisions[1]:
            continue
        oracle = control(
            lambda x: np.stack([1 - x, x], axis=1),
            risk="precision",
            target_level=precision,
            confidence_level=CERTAINTY,
            list_predict_params=tested,
            fwer_method="fixed_sequence",
        ).calibrate(shown, correct.astype(int))
        made = promise(answers, precision=precision, certainty=CERTAINTY)
        valid = oracle.valid_predict_params
        num_valid = (shown >= min(valid)).sum() if len(valid) else 0
        assert made.num_answered >= num_valid
        num_compared += 1
        num_equal += made.num_answered == num_valid
        p_values = [
            binom.cdf(*errors_at(threshold, shown=shown, correct=correct), 1 - precision) for threshold in tested
        ]
        larger = oracle.p_values[:, 0] - p_values
        assert larger.min() > -1e-9
        assert made.num_answered == num_valid or larger.max() > 1e-9
    assert num_compared >= 5
    assert num_equal >= 2


def errors_at(
    threshold: float, *, shown: npt.NDArray[np.float32], correct: npt.NDArray[np.bool_]
) -> tuple[np.integer, np.integer]:
    """How many answers at a threshold are wrong, of how many."""
    answered = shown >= threshold
    return (answered & ~correct).sum(), answered.sum()


def num_reaching(shown: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """How many confidences are at least each threshold, (T,)."""
    return np.asarray((shown[:, None] >= THRESHOLDS).sum(axis=0))
