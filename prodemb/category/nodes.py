"""Predicted taxonomy nodes, the probabilities of those above them, and back-off to the deepest that is likely enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.core.arrays import NO_ANSWER, Floats
from prodemb.heads.labels import CategoryLabel
from prodemb.taxonomy.nodes import TaxonomyTree


@dataclass(frozen=True, kw_only=True)
class NodePrediction:
    """The most probable nodes of n products, and the probabilities of those above the first one."""

    nodes: npt.NDArray[np.int64]
    """(n, k), best first; `NO_ANSWER` where there are fewer."""
    probabilities: Floats
    """(n, k) of these; 0 where there is none."""
    lineage: npt.NDArray[np.int64]
    """(n, L) the nodes from the top down to the first one, -1 below it."""
    lineage_probabilities: Floats
    """(n, L) that the truth is each of these or below it; they fall from left to right, 0 where there is none."""
    sources: npt.NDArray[np.int64] | None = None
    """(n,) the index in `SOURCES` of the voice that decided for the first one; `NO_ANSWER` where there is none."""
    known: npt.NDArray[np.bool_] | None = None
    """(n,) whether the product is like those that labels were given for."""

    @classmethod
    def concat(cls, parts: "Sequence[NodePrediction]") -> "NodePrediction":
        """Predictions of several lists of products as one; at least one part."""
        filled = {name for name, values in vars(parts[0]).items() if values is not None}
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in filled})

    @property
    def first(self) -> npt.NDArray[np.int64]:
        """(n,) the most probable node; `NO_ANSWER` where there is none."""
        return self.nodes[:, 0]

    @property
    def confidences(self) -> Floats:
        """(n,) the probability that the truth is the first node or below it."""
        return self.lineage_probabilities.min(axis=1, initial=1, where=self.lineage != NO_ANSWER)

    def backed_off(self, threshold: float) -> tuple[npt.NDArray[np.int64], Floats]:
        """The deepest node of each lineage with at least this probability, (n,), -1 where none has; its probability."""
        probable = (self.lineage != NO_ANSWER) & (self.lineage_probabilities >= threshold)
        level = probable.sum(axis=1, keepdims=True) - 1
        nodes = np.take_along_axis(self.lineage, np.maximum(level, 0), axis=1)
        found = np.take_along_axis(self.lineage_probabilities, np.maximum(level, 0), axis=1)
        return np.where(level >= 0, nodes, NO_ANSWER)[:, 0], found[:, 0]


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
            nodes=classes.cpu().numpy(),
            probabilities=best.exp().cpu().numpy(),
            lineage=lineage.numpy(),
            lineage_probabilities=found.numpy(),
        )
