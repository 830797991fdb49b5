"""Reliability: how often answers are right, beside the confidence that they are given with, and what chance does."""

import numpy as np
import numpy.typing as npt

from prodemb.confidence.choices import Answered
from prodemb.core.arrays import Confidences
from prodemb.core.config import Config

NUM_BINS = 15
_DRAWS = 200
_DRAWN_AT_ONCE = 1 << 22
"""Answers that are drawn at a time."""
_SURE = 0.95


class ReliabilityBin(Config):
    """Answers of similar confidence."""

    confidence: float
    """The mean."""
    accuracy: float
    """Share of them that are right."""
    count: int


class Reliability(Config):
    """A reliability diagram: bins of equal mass, from the least confident up.

    Source: Nguyen and O'Connor, Posterior calibration and exploratory analysis for natural language processing models,
    EMNLP 2015.
    """

    bins: tuple[ReliabilityBin, ...]

    @classmethod
    def of(cls, confidences: Confidences, *, correct: npt.NDArray[np.bool_], num_bins: int = NUM_BINS) -> "Reliability":
        """Put n answers into at most `num_bins` bins of as many answers each; n may be 0.

        Answers of one confidence stay in one bin, that of the middle one of them, so their order makes no difference;
        bins can then differ in size, and where a confidence is frequent there are fewer.

        Args:
            confidences: (n,) between 0 and 1.
            correct: (n,) whether the answer was right.
        """
        bins = _bins(confidences, num_bins=num_bins)
        size, hits, mass = (
            np.bincount(bins, weights=weights, minlength=num_bins)
            for weights in (None, correct, confidences.astype(np.float64))
        )
        return cls(
            bins=tuple(
                ReliabilityBin(confidence=mass[b] / size[b], accuracy=hits[b] / size[b], count=int(size[b]))
                for b in np.flatnonzero(size)
            )
        )

    @property
    def calibration_error(self) -> float | None:
        """The expected calibration error: the mean distance of confidence and accuracy; None without answers."""
        total = sum(each.count for each in self.bins)
        distances = (each.count * abs(each.confidence - each.accuracy) for each in self.bins)
        return sum(distances) / total if total else None


class Calibration(Config):
    """How far the confidence of some answers is off, beside how far it would seem off by chance alone."""

    num_products: int
    accuracy: float
    """Share of the answers that are right."""
    confidence: float
    """The mean."""
    error: float
    """The expected calibration error, see `Reliability`."""
    by_chance: float
    """What that error stays below in 95 of 100 draws where confidence is perfect: each answer is right with just its
    probability. An error below it may be nothing but chance.

    Source: consistency resampling, Bröcker and Smith, Increasing the reliability of reliability diagrams, Weather and
    Forecasting 2007.
    """

    @classmethod
    def of(cls, answered: Answered) -> "Calibration | None":
        """That of n answers; None where there are none."""
        error = Reliability.of(answered.confidences, correct=answered.correct).calibration_error
        if error is None:
            return None
        return cls(
            num_products=len(answered.correct),
            accuracy=float(answered.correct.mean()),
            confidence=float(answered.confidences.mean(dtype=np.float64)),
            error=error,
            by_chance=float(np.quantile(_errors_by_chance(answered.confidences), _SURE)),
        )


def _bins(confidences: Confidences, *, num_bins: int) -> npt.NDArray[np.int64]:
    """The bin of each of n answers, (n,), see `Reliability`."""
    _, ties, counts = np.unique(confidences, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray((middles * num_bins / max(1, len(confidences))).astype(np.int64)[ties])


def _errors_by_chance(confidences: Confidences) -> npt.NDArray[np.float64]:
    """The calibration errors of answers that are right with just the probability of their confidence, (_DRAWS,)."""
    order = np.argsort(confidences, kind="stable")
    likely, bins = confidences[order].astype(np.float64), _bins(confidences, num_bins=NUM_BINS)[order]
    starts = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
    mass, random = np.add.reduceat(likely, starts), np.random.default_rng(0)
    errors, at_once = [], max(1, _DRAWN_AT_ONCE // len(likely))
    for first in range(0, _DRAWS, at_once):
        right = random.random((min(at_once, _DRAWS - first), len(likely))) < likely
        hits = np.add.reduceat(right, starts, axis=1, dtype=np.int64)
        errors.append(np.abs(hits - mass).sum(axis=1) / len(likely))
    return np.concatenate(errors)
