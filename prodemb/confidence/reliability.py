"""Reliability: how often answers are right, beside the confidence that they are given with."""

import numpy as np
import numpy.typing as npt

from prodemb.core.arrays import Confidences
from prodemb.core.config import Config

NUM_BINS = 15


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
        values, ties, counts = np.unique(confidences, return_inverse=True, return_counts=True)
        right = np.bincount(ties, weights=correct, minlength=len(values))
        middles = np.cumsum(counts) - (counts + 1) / 2
        bins = (middles * num_bins / max(1, len(confidences))).astype(np.int64)
        size, hits, mass = (
            np.bincount(bins, weights=weights, minlength=num_bins)
            for weights in (counts, right, values.astype(np.float64) * counts)
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
