"""How good answers are: top-1, top-5, macro-F1 and calibration error, over arrays of class indices."""

import numpy as np
import numpy.typing as npt
from pydantic import Field

from prodemb.core.arrays import NO_ANSWER, Confidences, Indices
from prodemb.core.config import Config
from prodemb.taxonomy.metrics import TreeMetrics


class Metrics(Config):
    """The quality of answers on some products whose truth is known. Shares and scores run from 0 to 1."""

    top1: float
    """Share of products whose first answer is the truth."""
    top5: float | None
    """Share of products whose truth is among the first five answers; None where only one answer is given."""
    macro_f1: float
    """Mean F1 over the classes that occur in truth or answers."""
    ece: float | None
    """Expected calibration error of the first answer's confidence; None where none is given."""
    num_products: int
    """How many products this was measured on."""
    tree: TreeMetrics | None = None
    """For categories: the first answers in the taxonomy."""


class Condition(Config):
    """Several methods on one kind of product, or on products that lack something."""

    group: str | None = None
    """What the products were sorted by, where these are some of those of the condition before."""
    name: str
    num_products: int
    top1: dict[str, float]
    """By method: the share of products whose first answer is the truth."""
    answered: float | None = None
    """Share of products whose last method is sure enough to answer; None where it always answers."""
    precision: float | None = None
    """Share of those whose answer is the truth; None where it answers none."""
    ece: float | None = None
    """Expected calibration error of its confidence."""
    macro_f1: dict[str, float] = Field(default={})
    """For categories, by method, as the next."""
    tree_f1: dict[str, float] = Field(default={})
    """The hierarchical F1 of the first answer."""


class BackOff(Config):
    """What comes of answering with the deepest node above the best class that is probable enough."""

    threshold: float
    """The least probability of a node that is answered."""
    precision: float | None
    """Share of the answers that are the truth or a node above it; None where there is no answer."""
    answered: float
    """Share of products for which any node is probable enough."""
    level: float | None
    """Mean number of names in the answers' paths."""


class ByTau(Config):
    """What logit adjustment with one tau gives on the test part, against the nodes that products are labelled with."""

    tau: float
    top1: float
    macro_f1: float


def evaluate(labels: Indices, *, top: Indices, confidences: Confidences | None = None) -> Metrics:
    """Measure answers against the truth.

    Args:
        labels: (n,) the true class of each product, n > 0.
        top: (n, k) the answers, best first; `NO_ANSWER` where there is none, which counts as wrong.
        confidences: (n,) how sure the first answer is, 0 to 1.
    """
    first = top[:, 0]
    return Metrics(
        top1=top_k_accuracy(labels, top=top, k=1),
        top5=top_k_accuracy(labels, top=top, k=5) if top.shape[1] > 1 else None,
        macro_f1=macro_f1(labels, answers=first),
        ece=None if confidences is None else calibration_error(confidences, correct=first == labels),
        num_products=len(labels),
    )


def top_k_accuracy(labels: Indices, *, top: Indices, k: int) -> float:
    """Share of the n products whose label (n,) is among the first k answers of `top` (n, at least 1)."""
    return float((top[:, :k] == labels[:, None]).any(axis=1).mean())


def macro_f1(labels: Indices, *, answers: Indices) -> float:
    """Mean over classes of F1 = 2 TP / (2 TP + FP + FN), over the classes that occur in truth or answers.

    This is scikit-learn's `f1_score(average="macro")`, but `NO_ANSWER` is not a class of its own: it costs recall only.

    Args:
        labels: (n,) the true classes.
        answers: (n,) the answered classes.
    """
    num_classes = int(max(labels.max(), answers.max())) + 1
    num_true = np.bincount(labels, minlength=num_classes)
    num_answered = np.bincount(answers[answers != NO_ANSWER], minlength=num_classes)
    num_right = np.bincount(labels[labels == answers], minlength=num_classes)
    occurs = num_true + num_answered > 0
    return float((2 * num_right[occurs] / (num_true + num_answered)[occurs]).mean())


def by_examples(truth: Indices, *, examples: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """Products by how many training products share their class: the head, middle and tail of the distribution.

    Source of the bounds: Liu et al., Large-scale long-tailed recognition in an open world, CVPR 2019.

    Args:
        truth: (n,) classes.
        examples: (num_classes,) training products of each class.

    Returns:
        Which of the products are in each part, (n,) each.
    """
    count = examples[truth]
    return {
        "over 100": count > 100,
        "20 to 100": (count >= 20) & (count <= 100),
        "under 20": (count > 0) & (count < 20),
        "none": count == 0,
    }


def calibration_error(confidences: Confidences, *, correct: npt.NDArray[np.bool_], num_bins: int = 15) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy over bins of equal width.

    Source: Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.

    Args:
        confidences: (n,) between 0 and 1.
        correct: (n,) whether the answer was the truth.
    """
    bins = np.minimum((confidences * num_bins).astype(np.int64), num_bins - 1)
    gap = np.bincount(bins, weights=correct.astype(np.float64) - confidences, minlength=num_bins)
    return float(np.abs(gap).sum() / len(confidences))
