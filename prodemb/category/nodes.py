"""From the probabilities of classes to those of taxonomy nodes, and back-off: the deepest node that is sure enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.metrics import BackOff
from prodemb.taxonomy.nodes import Tree

THRESHOLDS = (*(step / 50 for step in range(50)), 0.99, 0.995, 0.999)
"""The thresholds that are looked at."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class NodeAnswers:
    """What is said of n products: their most probable classes, and how sure the nodes above the first one are."""

    top: npt.NDArray[np.int64]
    """(n, k) classes, best first."""
    probabilities: Floats
    """(n, k) of these."""
    line: npt.NDArray[np.int64]
    """(n, L) the nodes from the top down to the first class, -1 below it."""
    line_probabilities: Floats
    """(n, L) of these nodes, 0 where there is none; they fall from left to right."""

    @classmethod
    def joined(cls, parts: "Sequence[NodeAnswers]") -> "NodeAnswers":
        """Those of the first products, then those of the next; at least one part."""
        return cls(
            top=np.concatenate([part.top for part in parts]),
            probabilities=np.concatenate([part.probabilities for part in parts]),
            line=np.concatenate([part.line for part in parts]),
            line_probabilities=np.concatenate([part.line_probabilities for part in parts]),
        )

    def backed_off(self, threshold: float) -> tuple[npt.NDArray[np.int64], Floats]:
        """The deepest node of each line that is at least so probable, (n,), -1 where none is; and its probability."""
        sure = (self.line != NO_ANSWER) & (self.line_probabilities >= threshold)
        level = sure.sum(axis=1, keepdims=True) - 1
        nodes = np.take_along_axis(self.line, np.maximum(level, 0), axis=1)
        found = np.take_along_axis(self.line_probabilities, np.maximum(level, 0), axis=1)
        return np.where(level >= 0, nodes, NO_ANSWER)[:, 0], found[:, 0]


class Nodes:
    """The nodes that can be answered: the classes, which have probabilities of their own, and those above them."""

    def __init__(self, labels: Sequence[CategoryLabel], *, ancestors: Sequence[CategoryLabel]) -> None:
        """Number them: the classes as they come, then their ancestors."""
        self.labels = (*labels, *ancestors)
        self.num_classes = len(labels)
        self.tree = Tree.of([label.path for label in self.labels])
        order, begin, end = self.tree.spans
        before = np.concatenate([[0], np.cumsum(order < self.num_classes)])
        self._order = torch.from_numpy(order[order < self.num_classes])
        self._begin, self._end = torch.from_numpy(before[begin]), torch.from_numpy(before[end])

    def answer(self, log_probabilities: Tensor, *, k: int) -> NodeAnswers:
        """Rank the classes, and sum their probabilities for the nodes above the first.

        The probability of a node is the sum of those of the classes at and below it. Classes stand in an order in which
        these are neighbours, so that it is the difference of two running sums.

        Args:
            log_probabilities: (n, num_classes) float32, on any device.
            k: how many classes; fewer come back where there are fewer.
        """
        device = log_probabilities.device
        best, classes = log_probabilities.topk(min(k, self.num_classes), dim=1)
        sums = log_probabilities[:, self._order.to(device)].exp_().cumsum_(1)
        sums = torch.nn.functional.pad(sums, (1, 0))
        first = classes[:, 0].cpu()
        line = torch.from_numpy(self.tree.lineage)[first]
        high, low = (sums.gather(1, at[line].to(device)) for at in (self._end, self._begin))
        found = (high - low).clamp_(0, 1).cpu().masked_fill_(line == NO_ANSWER, 0)
        return NodeAnswers(
            top=classes.cpu().numpy(),
            probabilities=best.exp().cpu().numpy(),
            line=line.numpy(),
            line_probabilities=found.numpy(),
        )


def back_off_curve(answers: NodeAnswers, *, truth: Indices, nodes: Tree) -> tuple[BackOff, ...]:
    """What backing off gives at each of `THRESHOLDS`, on some products whose truth is known.

    Args:
        truth: (n,) the nodes that the products are labelled with, n > 0. An answer is right if it is one of them or
            above it.
        nodes: those of the answers, and of `truth`.
    """
    curve = []
    for threshold in THRESHOLDS:
        told, _ = answers.backed_off(threshold)
        right, answered = nodes.is_above(told, truth), told != NO_ANSWER
        curve.append(
            BackOff(
                threshold=threshold,
                precision=float(right[answered].mean()) if answered.any() else None,
                answered=float(answered.mean()),
                level=float(nodes.depth[told[answered]].mean()) if answered.any() else None,
            )
        )
    return tuple(curve)
