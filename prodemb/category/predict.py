"""Predicting categories: all voices weighed into one probability per node, and one answer per product."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch

from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.category.voices.every import Voices
from prodemb.category.weigh import context_numbers, known_proba, weigh
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.shards.product_set import ProductSet


@dataclass(frozen=True, kw_only=True)
class CategoryPredictor:
    """A trained category head, the other voices, and what weighs them."""

    voices: Voices
    model: ConditionalLogit
    """Over the features of `PRIOR_WEIGHTS`."""
    least_known: tuple[float, ...]
    """The least probability of being in a labelled category, of a product that counts as known, by
    `context_numbers`."""

    gold: Mapping[str, int] = field(default_factory=dict)
    """Gold labels as the catalog writes them, and the id of the node of each."""

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
        parts = []
        for candidates in self.voices.candidates(products):
            likely = known_proba(candidates, proba=candidates.predict_proba(self.model))
            least = np.array(self.least_known)[context_numbers(candidates.contexts)]
            prediction = weigh(candidates, model=self.model, nodes=self.nodes, k=k)
            parts.append(replace(prediction, known=likely >= least))
        return NodePrediction.concat(parts)
