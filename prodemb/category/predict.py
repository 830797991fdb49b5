"""Predicting categories: all voices weighed into one probability per node, and one answer per product."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from prodemb.category.candidates import PRIOR_WEIGHTS, SOURCES, is_labelled
from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.category.voices.every import Voices
from prodemb.confidence.candidates import Candidates
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.shards.product_set import ProductSet


@dataclass(frozen=True, kw_only=True)
class CategoryPredictor:
    """A trained category head, the other voices, and what weighs them."""

    voices: Voices
    model: ConditionalLogit
    """Over the features of `PRIOR_WEIGHTS`."""
    least_known: float
    """The least probability of being in a labelled category, of a product that counts as known."""

    @property
    def head(self) -> TrainedHead:
        """The head among the voices."""
        return self.voices.head.head

    @property
    def card(self) -> HeadCard:
        """The head's."""
        return self.head.card

    @property
    def nodes(self) -> Nodes:
        """All nodes of the taxonomy."""
        return self.voices.nodes

    def to(self, device: torch.device) -> Self:
        """Move the head's weights to `device`, in place."""
        self.head.to(device)
        return self

    def predict(self, products: ProductSet, *, k: int) -> NodePrediction:
        """The most probable categories of n products, at least one, and the probabilities of the nodes above.

        Args:
            products: with the vectors of the features of the head's card.
            k: how many nodes to rank.
        """
        return NodePrediction.concat([self.weigh(candidates, k=k) for candidates in self.voices.candidates(products)])

    def weigh(self, candidates: Candidates, *, k: int) -> NodePrediction:
        """The prediction from the candidates of n products."""
        utilities = self.model.utilities(candidates.features, contexts=candidates.contexts)
        proba = candidates.predict_proba(self.model)
        named, order = proba[:, :-1], np.argsort(-proba[:, :-1], axis=1, kind="stable")
        ranked = np.take_along_axis(named, order[:, :k], axis=1)
        nodes = np.where(ranked > 0, np.take_along_axis(candidates.ids, order[:, :k], axis=1), NO_ANSWER)
        lineage = self.nodes.tree.lineage[nodes[:, 0]]
        above = self.nodes.tree.lineage[candidates.ids[:, :-1]]
        inside = (above[:, :, :] == lineage[:, None, :]) & (lineage != NO_ANSWER)[:, None, :]
        return NodePrediction(
            nodes=nodes,
            probabilities=ranked.astype(np.float32),
            lineage=lineage,
            lineage_probabilities=np.minimum((inside * named[:, :, None]).sum(axis=1), 1).astype(np.float32),
            sources=np.where(nodes[:, 0] == NO_ANSWER, NO_ANSWER, self._sources(candidates, utilities=utilities)),
            known=known_proba(candidates, proba=proba) >= self.least_known,
        )

    def _sources(self, candidates: Candidates, *, utilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """The voice that speaks most for the first candidate rather than the second, (n,)."""
        ordered = np.argsort(-np.where(candidates.valid, utilities, -np.inf)[:, :-1], axis=1, kind="stable")
        rows = np.arange(len(candidates))
        first = candidates.features[rows, ordered[:, 0]]
        second = np.where(
            candidates.valid[rows, ordered[:, 1], None], candidates.features[rows, ordered[:, 1]], np.float32(0)
        )
        for_first = (first - second) * self.model.weights_in(candidates.contexts)
        return np.stack([for_first[:, columns].sum(axis=1) for columns in _columns_of_voices()], axis=1).argmax(axis=1)


def known_proba(candidates: Candidates, *, proba: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The probability that each product belongs to a node that labelled products have, (n,).

    Args:
        proba: (n, K) of its candidates.
    """
    return np.asarray((proba * is_labelled(candidates)).sum(axis=1))


def _columns_of_voices() -> Iterator[list[int]]:
    for voice in SOURCES:
        yield [column for column, name in enumerate(PRIOR_WEIGHTS) if name.startswith(voice)]
