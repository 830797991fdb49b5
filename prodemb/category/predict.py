"""Predicting categories with a trained head: taxonomy nodes and their probabilities, with logit adjustment."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.heads.labels import CategoryLabel
from prodemb.shards.product_set import ProductSet

SOURCES = ("head",)
"""What can decide a category."""


@dataclass(frozen=True, kw_only=True)
class CategoryPredictor:
    """A trained category head and the taxonomy nodes of its classes."""

    head: TrainedHead
    nodes: Nodes
    log_priors: torch.Tensor
    """(num_classes,) float32, of the training part."""

    @classmethod
    def of(cls, head: TrainedHead) -> Self:
        """Take nodes and priors from the head's card."""
        labels = [label for label in head.card.classes if isinstance(label, CategoryLabel)]
        counts = torch.tensor(head.card.class_counts or (1,) * len(labels), dtype=torch.float64).clamp(min=1)
        log_priors = (counts / counts.sum()).log().float()
        return cls(head=head, nodes=Nodes(labels, ancestors=head.card.ancestors), log_priors=log_priors)

    @property
    def card(self) -> HeadCard:
        """The head's."""
        return self.head.card

    def to(self, device: torch.device) -> Self:
        """Move the head's weights to `device`, in place."""
        self.head.to(device)
        return self

    @torch.inference_mode()
    def predict(self, products: ProductSet, *, k: int, tau: float) -> NodePrediction:
        """The most probable categories of n products, at least one, and the probabilities of the nodes above.

        Args:
            products: with the vectors of the features of the head's card.
            k: how many classes to rank.
            tau: the strength of post-hoc logit adjustment: tau times the log prior of a class is subtracted from its
                logit, which favours rare classes (Menon et al., Long-tail learning via logit adjustment, ICLR 2021).
                0 for the head as it is.
        """
        network, parts = self.head.network, []
        for rows in network.batches(len(products)):
            logs = network.predict_log_proba(
                torch.from_numpy(products.vectors[rows]), present=torch.from_numpy(products.present[rows])
            )
            if tau:
                logs = (logs - tau * self.log_priors.to(logs.device)).log_softmax(1)
            parts.append(self.nodes.predict(logs, k=k))
        return NodePrediction.concat(parts)


def first_classes(prediction: NodePrediction, *, products: ProductSet) -> Indices:
    """The most probable class of each product, (n,); -1 for products without a vector."""
    return np.where(products.present.any(axis=1), prediction.classes[:, 0], NO_ANSWER)
