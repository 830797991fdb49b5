"""Metrics of predictions: top-1, top-5, macro-F1 and calibration error, over arrays of class indices."""

import numpy as np
import numpy.typing as npt

from prodemb.confidence.reliability import Reliability
from prodemb.core.arrays import NO_ANSWER, Confidences, Indices
from prodemb.core.config import Config
from prodemb.taxonomy.metrics import TreeMetrics

_RARE = 5
RARE = f"1 to {_RARE}"
"""The group of products of rare classes."""


class Metrics(Config):
    """The quality of predictions on products whose truth is known. Shares and scores run from 0 to 1."""

    top1: float
    """Share of products whose first prediction is the truth."""
    top5: float | None
    """Share of products whose truth is among the first five predictions; None where only one is given."""
    macro_f1: float
    """Mean F1 over the classes that occur in truth or predictions."""
    ece: float | None
    """Expected calibration error of the first prediction's confidence; None where none is given."""
    num_products: int
    """How many products this was measured on."""
    tree: TreeMetrics | None = None
    """For categories: the first predictions in the taxonomy."""


def evaluate(labels: Indices, *, topk: Indices, confidences: Confidences | None = None) -> Metrics:
    """Measure predictions against the truth.

    Args:
        labels: (n,) the true class of each product, n > 0.
        topk: (n, k) the predicted classes, best first; `NO_ANSWER` where there is none, which counts as wrong.
        confidences: (n,) the probability of the first one, 0 to 1.
    """
    first = topk[:, 0]
    return Metrics(
        top1=top_k_accuracy(labels, topk=topk, k=1),
        top5=top_k_accuracy(labels, topk=topk, k=5) if topk.shape[1] > 1 else None,
        macro_f1=macro_f1(labels, predicted=first),
        ece=None if confidences is None else Reliability.of(confidences, correct=first == labels).calibration_error,
        num_products=len(labels),
    )


def top_k_accuracy(labels: Indices, *, topk: Indices, k: int) -> float:
    """Share of the n products whose label (n,) is among the first k predictions of `topk` (n, at least 1)."""
    return float((topk[:, :k] == labels[:, None]).any(axis=1).mean())


def macro_f1(labels: Indices, *, predicted: Indices) -> float:
    """Mean over classes of F1 = 2 TP / (2 TP + FP + FN), over the classes that occur in truth or predictions.

    This is scikit-learn's `f1_score(average="macro")`, but `NO_ANSWER` is not a class of its own: it costs recall only.

    Args:
        labels: (n,) the true classes.
        predicted: (n,) the predicted classes.
    """
    num_classes = int(max(labels.max(), predicted.max())) + 1
    num_true = np.bincount(labels, minlength=num_classes)
    num_predicted = np.bincount(predicted[predicted != NO_ANSWER], minlength=num_classes)
    num_correct = np.bincount(labels[labels == predicted], minlength=num_classes)
    occurs = num_true + num_predicted > 0
    return float((2 * num_correct[occurs] / (num_true + num_predicted)[occurs]).mean())


def by_class_count(counts: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """Products by how many training products share their class: the head, middle and tail of the distribution.

    Source of the upper two bounds: Liu et al., Large-scale long-tailed recognition in an open world, CVPR 2019.

    Args:
        counts: (n,) training products of the true class of each.

    Returns:
        Which of the products are in each group, (n,) each.
    """
    return {
        "over 100": counts > 100,
        "20 to 100": (counts >= 20) & (counts <= 100),
        "6 to 19": (counts > _RARE) & (counts < 20),
        RARE: (counts > 0) & (counts <= _RARE),
        "none": counts == 0,
    }
