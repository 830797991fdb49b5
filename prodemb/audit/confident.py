"""Confident learning: labels that out-of-fold probabilities contradict, found from the top answers alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.core.arrays import NO_ANSWER, Confidences, Indices

_MAX_MEASURE = 0.8


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """The e labels that are likely wrong, in the order of the products."""

    rows: npt.NDArray[np.int64]
    """(e,) indices of the products."""
    suggestions: npt.NDArray[np.int64]
    """(e,) the classes that are more likely."""
    confidences: Confidences
    """(e,) their probabilities; less the self-confidence they are the normalised margin that errors are ranked by."""


def find_label_errors(
    labels: Indices, *, self_confidences: Confidences, others: Indices, probabilities: Confidences
) -> Suspects:
    """The labels for which another class is likely by its own measure, and likelier than the label.

    A class's own measure is the mean probability that its products give it, or 0.8 where that is more: probabilities
    are calibrated here, and it must not take more of them the clearer a class is. A class without any products has no
    measure, and is never suggested.

    Source: Northcutt, Jiang and Chuang, Confident learning: Estimating uncertainty in dataset labels, JAIR 70, 2021.

    Args:
        labels: (n,) the given classes.
        self_confidences: (n,) the out-of-fold probabilities of these; 0 where they are not among the top answers.
        others: (n, k) the most probable classes that contradict the labels; `NO_ANSWER` where there are fewer.
        probabilities: (n, k) of these.
    """
    classes, index = np.unique(labels, return_inverse=True)
    sums = np.bincount(index, weights=self_confidences, minlength=len(classes))
    means = np.minimum(sums / np.bincount(index, minlength=len(classes)), _MAX_MEASURE)
    place = np.minimum(np.searchsorted(classes, others), max(0, len(classes) - 1))
    has_measure = (others != NO_ANSWER) & (np.append(classes, NO_ANSWER)[place] == others)
    reached = has_measure & (probabilities >= np.append(means, np.inf)[place])
    reached &= probabilities > self_confidences[:, None]
    likely = np.where(reached, probabilities, -1)
    rows = np.flatnonzero(reached.any(axis=1))
    best = likely[rows].argmax(axis=1)
    return Suspects(rows=rows, suggestions=others[rows, best], confidences=probabilities[rows, best])
