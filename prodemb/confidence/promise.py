"""A promise: the threshold at and above which enough answers are right, with a certainty."""

from bisect import bisect_left
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from prodemb.confidence.answers import Answers
from prodemb.core.config import Config

_LOGITS = np.arange(166, -71, -1) / 10
"""Log odds of the thresholds: steps of a tenth, from the last float32 below 1 to one in a thousand."""

THRESHOLDS: npt.NDArray[np.float32] = np.unique(
    np.concatenate([[0.0], 1 / (1 + np.exp(-_LOGITS)), [1.0]]).astype(np.float32)
)[::-1]
"""The thresholds that are tested, from strict to lenient. They are the same for all data, and as float32 so that
scoring compares with the very same numbers."""

_TOLERATED = 5
"""Errors that the first test should tolerate: the fewer, the likelier that a single one ends it all."""
_LARGEST_START = 0.25
"""Share of the answers that the first test takes for that, at most: the more, the better the rest has to be."""
_MORE = np.geomspace(1, 1000, 1000)
"""How many times as many labels are considered where there are too few."""

Floats = npt.NDArray[np.float64]


class Promise(Config):
    """What can be said of the answers at and above a threshold."""

    precision: float
    """Share of the answers that is promised to be right."""
    certainty: float
    """Probability, over the choice of the labelled products, that the promise holds."""
    num_labels: int
    """Labelled products that it rests on, one per group of variants."""
    threshold: float | None
    """The least probability of an answer; None where nothing can be promised."""
    num_answered: int = 0
    """Labelled products with an answer at the threshold."""
    num_correct: int = 0
    """Those whose answer is right."""
    more_labels_needed: int | None = None
    """Where nothing can be promised: how many more labels would do, at the least; None where labels alone will not."""

    @property
    def coverage(self) -> float | None:
        """Share of the labelled products with an answer."""
        return self.num_answered / self.num_labels if self.num_labels else None

    @property
    def observed_precision(self) -> float | None:
        """Share of their answers that are right."""
        return self.num_correct / self.num_answered if self.num_answered else None


class _Counts(NamedTuple):
    """Labelled products by threshold."""

    answered: Floats
    """(T,) with an answer at each of `THRESHOLDS`."""
    wrong: Floats
    """(T,) whose answer is wrong."""
    nodes: Floats
    """(T,) nodes of that probability or more, of all products together: how deep they are answered."""


def promise(answers: Answers, *, precision: float, certainty: float) -> Promise:
    """The lowest threshold of which it can be promised that at least `precision` of the answers are right.

    At a threshold a product is answered with its deepest node of at least that probability. Each threshold is tested
    by an exact binomial test, from strict to lenient, and the last one before the first failure is the promise (Bauer,
    Multiple testing in clinical trials, Statistics in Medicine 1991; Angelopoulos et al., Learn then test, 2021): with
    a probability of `certainty` it holds for products that come like the labelled ones. Of thresholds at which these
    are all answered alike the strictest is taken, because less probable answers were never seen.

    Testing starts at the first threshold with enough answers for a few errors to be tolerated, or with a quarter of
    them where that is less, but never with fewer than `least_labels`. That depends on how many are answered, not on how
    many are right; the certainty is exact where precision does not fall as thresholds become stricter.

    `more_labels_needed` supposes that more labels repeat what was seen: at each threshold the same share of them is
    answered, and of these the same share is wrong, rounded up. It is the fewest with which testing would then get past
    its start; by chance it can take fewer or more.

    Args:
        answers: out of fold, so that they are as good as those for new products. One per group of variants counts.
        precision: above 0 and below 1.
        certainty: above 0 and below 1.
    """
    once = answers.one_per_group()
    counts = _count(once)
    found = Promise(precision=precision, certainty=certainty, num_labels=len(once), threshold=None)
    wanted = _start_count(counts.answered[-1], precision=precision, certainty=certainty)
    start = int(np.searchsorted(counts.answered, wanted))
    fails = _chances(counts.answered, wrong=counts.wrong, precision=precision)[start:] > 1 - certainty
    num_kept = int(fails.argmax()) if fails.any() else len(fails)
    if not num_kept:
        needed = _labels_needed(counts, num_labels=len(once), precision=precision, certainty=certainty)
        return found.model_copy(update={"more_labels_needed": needed})
    last = int(np.searchsorted(counts.nodes, counts.nodes[start + num_kept - 1]))
    num_answered, num_wrong = int(counts.answered[last]), int(counts.wrong[last])
    kept = {"threshold": float(THRESHOLDS[last]), "num_answered": num_answered, "num_correct": num_answered - num_wrong}
    return found.model_copy(update=kept)


def coverage_and_precision(answers: Answers) -> tuple[Floats, Floats]:
    """Share of n answers given at each of `THRESHOLDS`, and share of these that are right, (T,) each; 0 of none.

    As for a promise, one answer per group of variants counts, and a product is answered with its deepest node.
    """
    once = answers.one_per_group()
    counts = _count(once)
    precision = np.divide(
        counts.answered - counts.wrong, counts.answered, out=np.zeros(len(THRESHOLDS)), where=counts.answered > 0
    )
    return counts.answered / max(1, len(once)), precision


@cache
def least_labels(*, precision: float, certainty: float) -> int:
    """How many answers without an error it takes to promise this precision."""
    return _least_answers(0, precision=precision, certainty=certainty)


@cache
def _least_answers(num_wrong: int, *, precision: float, certainty: float) -> int:
    """How many answers it takes where so many of them are wrong."""
    nums = range(num_wrong + 1, 2**40)

    def is_enough(num: int) -> bool:
        return bool(_chances(num, wrong=num_wrong, precision=precision) <= 1 - certainty)

    return nums[bisect_left(nums, True, key=is_enough)]


def _count(answers: Answers) -> _Counts:
    """How many are answered and wrong at each threshold."""
    reached = [_num_reaching(level) for level in answers.probabilities.T]
    num_correct = np.zeros(len(THRESHOLDS))
    for level, right in enumerate(answers.correct.T):
        num_correct += _num_reaching(answers.probabilities[right, level])
        if level + 1 < len(reached):  # right at this level, but answered deeper
            num_correct -= _num_reaching(answers.probabilities[right, level + 1])
    return _Counts(answered=reached[0], wrong=reached[0] - num_correct, nodes=np.sum(reached, axis=0))


def _num_reaching(probabilities: npt.NDArray[np.float32]) -> Floats:
    """How many of some probabilities are at least each of `THRESHOLDS`, (T,); 0 stands for no answer."""
    given = probabilities[probabilities > 0]
    return (len(given) - np.searchsorted(np.sort(given), THRESHOLDS)).astype(np.float64)


def _chances(answered: npt.ArrayLike, *, wrong: npt.ArrayLike, precision: float) -> Floats:
    """The p-values: the probability of so few errors or fewer if the precision were but `precision`.

    It is the binomial distribution by the incomplete beta function, which takes fractions of answers too.
    """
    right = np.maximum(np.subtract(answered, wrong), 1e-9)  # where none is right the probability is 1
    return np.asarray(betainc(right, np.add(wrong, 1), precision))


def _start_count(num_answers: npt.ArrayLike, *, precision: float, certainty: float) -> Floats:
    """How many answers the first test wants, of so many at the most lenient threshold."""
    enough = _least_answers(_TOLERATED, precision=precision, certainty=certainty)
    wanted = np.minimum(enough, np.multiply(_LARGEST_START, num_answers))
    return np.maximum(wanted, least_labels(precision=precision, certainty=certainty))


def _labels_needed(counts: _Counts, *, num_labels: int, precision: float, certainty: float) -> int | None:
    """How many more labels would do, at the least; None where the answers are not good enough."""
    if not counts.answered[-1]:
        return least_labels(precision=precision, certainty=certainty)
    totals = np.unique(np.ceil(_MORE * num_labels))
    more = totals / num_labels
    wanted = _start_count(more * counts.answered[-1], precision=precision, certainty=certainty)
    starts = np.minimum(np.searchsorted(counts.answered, wanted / more), len(THRESHOLDS) - 1)
    answered, wrong = more * counts.answered[starts], np.ceil(more * counts.wrong[starts])
    would_do = (answered >= wanted) & (_chances(answered, wrong=wrong, precision=precision) <= 1 - certainty)
    return int(totals[would_do.argmax()]) - num_labels if would_do.any() else None
