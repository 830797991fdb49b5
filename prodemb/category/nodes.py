"""From probabilities of classes to those of taxonomy nodes, and back-off to the deepest node that is likely enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.heads.evaluation import BackOff
from prodemb.heads.labels import CategoryLabel
from prodemb.taxonomy.nodes import TaxonomyTree

THRESHOLDS = (*(step / 50 for step in range(50)), 0.99, 0.995, 0.999)
"""The thresholds of `back_off_curve`."""

Floats = npt.NDArray[np.float32]

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class NodePrediction:
    """The most probable classes of n products, and the probabilities of the nodes above the first one."""

    classes: npt.NDArray[np.int64]
    """(n, k) classes, best first."""
    probabilities: Floats
    """(n, k) of these."""
    lineage: npt.NDArray[np.int64]
    """(n, L) the nodes from the top down to the first class, -1 below it."""
    lineage_probabilities: Floats
    """(n, L) of these nodes, 0 where there is none; they fall from left to right."""
    sources: npt.NDArray[np.int64] | None = None
    """(n,) the index in `prodemb.category.predict.SOURCES` of what decided the first class; -1 for none."""
    known: npt.NDArray[np.bool_] | None = None
    """(n,) whether the product is like those that were learned from."""

    @classmethod
    def concat(cls, parts: "Sequence[NodePrediction]") -> "NodePrediction":
        """Predictions of several lists of products as one; at least one part."""
        return cls(
            classes=np.concatenate([part.classes for part in parts]),
            probabilities=np.concatenate([part.probabilities for part in parts]),
            lineage=np.concatenate([part.lineage for part in parts]),
            lineage_probabilities=np.concatenate([part.lineage_probabilities for part in parts]),
            sources=_concat([part.sources for part in parts]),
            known=_concat([part.known for part in parts]),
        )

    def backed_off(self, threshold: float) -> tuple[npt.NDArray[np.int64], Floats]:
        """The deepest node of each lineage with at least this probability, (n,), -1 where none has; its probability."""
        probable = (self.lineage != NO_ANSWER) & (self.lineage_probabilities >= threshold)
        level = probable.sum(axis=1, keepdims=True) - 1
        nodes = np.take_along_axis(self.lineage, np.maximum(level, 0), axis=1)
        found = np.take_along_axis(self.lineage_probabilities, np.maximum(level, 0), axis=1)
        return np.where(level >= 0, nodes, NO_ANSWER)[:, 0], found[:, 0]


def _concat(parts: Sequence[npt.NDArray[Scalar] | None]) -> npt.NDArray[Scalar] | None:
    """The parts as one; None where any is."""
    given = [part for part in parts if part is not None]
    return np.concatenate(given) if len(given) == len(parts) else None


class Nodes:
    """The nodes that can be predicted: the classes, which have probabilities of their own, and those above them."""

    def __init__(self, labels: Sequence[CategoryLabel], *, ancestors: Sequence[CategoryLabel]) -> None:
        """Number them: the classes in the given order, then their ancestors."""
        self.labels = (*labels, *ancestors)
        self.num_classes = len(labels)
        self.tree = TaxonomyTree.of([label.path for label in self.labels])
        order, begin, end = self.tree.spans
        before = np.concatenate([[0], np.cumsum(order < self.num_classes)])
        self._order = torch.from_numpy(order[order < self.num_classes])
        self._begin, self._end = torch.from_numpy(before[begin]), torch.from_numpy(before[end])

    def predict(self, log_probabilities: Tensor, *, k: int) -> NodePrediction:
        """Rank the classes, and sum their probabilities for the nodes above the first.

        The probability of a node is the sum of those of the classes at and below it. The classes are ordered so that
        these are consecutive, which makes it the difference of two cumulative sums.

        Args:
            log_probabilities: (n, num_classes) float32, on any device.
            k: how many classes; all of them where there are fewer.
        """
        device = log_probabilities.device
        best, classes = log_probabilities.topk(min(k, self.num_classes), dim=1)
        sums = log_probabilities[:, self._order.to(device)].exp_().cumsum_(1)
        sums = torch.nn.functional.pad(sums, (1, 0))
        first = classes[:, 0].cpu()
        lineage = torch.from_numpy(self.tree.lineage)[first]
        high, low = (sums.gather(1, at[lineage].to(device)) for at in (self._end, self._begin))
        found = (high - low).clamp_(0, 1).cpu().masked_fill_(lineage == NO_ANSWER, 0)
        return NodePrediction(
            classes=classes.cpu().numpy(),
            probabilities=best.exp().cpu().numpy(),
            lineage=lineage.numpy(),
            lineage_probabilities=found.numpy(),
        )


def back_off_curve(prediction: NodePrediction, *, truth: Indices, tree: TaxonomyTree) -> tuple[BackOff, ...]:
    """The effect of back-off at each of `THRESHOLDS`, on products whose truth is known.

    Args:
        truth: (n,) the nodes that the products are labelled with, n > 0. An answer is correct if it is that node or
            above it.
        tree: the tree of the nodes of the prediction, and of `truth`.
    """
    curve = []
    for threshold in THRESHOLDS:
        nodes, _ = prediction.backed_off(threshold)
        correct, answered = tree.is_above(nodes, truth), nodes != NO_ANSWER
        curve.append(
            BackOff(
                threshold=threshold,
                precision=float(correct[answered].mean()) if answered.any() else None,
                coverage=float(answered.mean()),
                level=float(tree.depth[nodes[answered]].mean()) if answered.any() else None,
            )
        )
    return tuple(curve)
