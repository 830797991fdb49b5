"""The head: the probabilities of its classes, from all vectors of a product and without those of cat1-3."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from prodemb.category.voices.opinion import Opinion
from prodemb.core.arrays import Floats
from prodemb.core.features import Feature
from prodemb.heads.head import TrainedHead
from prodemb.shards.product_set import ProductSet

_SMOOTHING = 0.003
"""Added to every probability: a head is overconfident about nodes that it has not learned."""
_CATEGORIES: tuple[Feature, ...] = ("cat1", "cat2", "cat3")


@dataclass(frozen=True, kw_only=True)
class HeadVoice:
    """A trained head and the nodes of its classes."""

    head: TrainedHead
    nodes: npt.NDArray[np.int32]
    """(C,) the node of each class."""

    def opinions(
        self, products: ProductSet, *, num_nodes: int, hidden: npt.NDArray[np.bool_] | None
    ) -> tuple[Opinion, Opinion]:
        """The smoothed log probabilities with cat1-3, and without; nothing for products without a vector.

        Args:
            products: n, with vectors of the features of the head's card.
            hidden: (n, num_nodes) nodes of which a product must not know that they were learned.
        """
        without = products.present_without(*_CATEGORIES)
        gone = None if hidden is None else hidden[:, self.nodes]
        scores = self._log_proba(products, present=products.present, hidden=gone)
        scores_without = scores.copy()
        twice = np.flatnonzero((products.present != without).any(axis=1))
        if len(twice):
            scores_without[twice] = self._log_proba(
                products.take(twice), present=without[twice], hidden=None if gone is None else gone[twice]
            )
        both = (Opinion.of(each, nodes=self.nodes, num_nodes=num_nodes) for each in (scores, scores_without))
        return next(both), next(both)

    def _log_proba(
        self, products: ProductSet, *, present: npt.NDArray[np.bool_], hidden: npt.NDArray[np.bool_] | None
    ) -> Floats:
        network, scores = self.head.network, np.empty((len(products), len(self.nodes)), dtype=np.float32)
        for rows in network.batches(len(products)):
            vectors, there = torch.from_numpy(products.vectors[rows]), torch.from_numpy(present[rows])
            logs = network.predict_log_proba(vectors, present=there)
            if hidden is not None:
                logs = logs.masked_fill(torch.from_numpy(hidden[rows]).to(logs.device), -torch.inf).log_softmax(1)
            smoothed = (logs.exp() + _SMOOTHING).log().masked_fill_(logs == -torch.inf, -torch.inf)
            scores[rows] = smoothed.cpu().numpy()
        scores[~present.any(axis=1)] = -np.inf
        return np.nan_to_num(scores, nan=-np.inf, neginf=-np.inf)
