"""Predicted taxonomy nodes, the probabilities of those above, and back-off to the deepest that is likely enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.confidence.choices import Answered
from prodemb.core.arrays import NO_ANSWER, Floats, Indices
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

    def answered(self, truth: Indices) -> Answered:
        """How sure the first ones are, and which of them are right.

        Args:
            truth: (n,) the true nodes.
        """
        return Answered(confidences=self.probabilities[:, 0], correct=self.first == truth)

    def backed_off(self, threshold: float) -> tuple[npt.NDArray[np.int64], Floats]:
        """The deepest node of each lineage with at least this probability, (n,), -1 where none has; its probability."""
        probable = (self.lineage != NO_ANSWER) & (self.lineage_probabilities >= threshold)
        level = probable.sum(axis=1, keepdims=True) - 1
        nodes = np.take_along_axis(self.lineage, np.maximum(level, 0), axis=1)
        found = np.take_along_axis(self.lineage_probabilities, np.maximum(level, 0), axis=1)
        return np.where(level >= 0, nodes, NO_ANSWER)[:, 0], found[:, 0]


class Nodes:
    """All nodes that can be predicted."""

    def __init__(self, labels: Sequence[CategoryLabel]) -> None:
        """Number them in the given order; each stands below the nearest one of them above it."""
        self.labels = tuple(labels)
        self.tree = TaxonomyTree.of([label.path for label in self.labels])
        self._places = {label.id: number for number, label in enumerate(self.labels)}

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, labels: Sequence[object]) -> npt.NDArray[np.int64]:
        """The node of each of some categories, by their ids, (m,)."""
        return np.array([self._places[label.id] for label in labels if isinstance(label, CategoryLabel)], np.int64)
