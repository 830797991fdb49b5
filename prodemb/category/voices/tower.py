"""The tower's voice: how near the vectors of a product are to those of the taxonomy's names."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from prodemb.category.voices.opinion import Opinion
from prodemb.core.features import Feature
from prodemb.shards.product_set import ProductSet

WEIGHTS: dict[Feature, float] = {
    "title": 1.0,
    "description": 0.5,
    "cat1": 1.0,
    "cat2": 1.0,
    "cat3": 1.0,
    "image": 0.5,
}
"""The weight of each feature's cosine; the brand says nothing about the category."""


@dataclass(frozen=True, kw_only=True)
class TowerVoice:
    """The vectors of the names of the nodes.

    Source: Radford et al., Learning transferable visual models from natural language supervision, ICML 2021.
    """

    vectors: torch.Tensor
    """(num_nodes, dim) float32, L2-normalised."""

    def to(self, device: torch.device) -> Self:
        """The same on `device`."""
        return replace(self, vectors=self.vectors.to(device))

    @torch.inference_mode()
    def opinion(self, products: ProductSet) -> Opinion:
        """The weighted mean cosine of the present features of a few products with each node; nothing without any.

        Args:
            products: n, with vectors of any features.
        """
        blocks = np.split(products.vectors, np.cumsum(products.dims)[:-1], axis=1)
        weights = np.array([WEIGHTS.get(feature, 0.0) for feature in products.features], dtype=np.float32)
        total = products.present @ weights
        mean = np.zeros((len(products), self.vectors.shape[1]), dtype=np.float32)
        for block, weight in zip(blocks, weights, strict=True):
            if weight:
                mean += weight * block.astype(np.float32)
        mean /= np.maximum(total, 1e-9)[:, None]
        cosines = (torch.from_numpy(mean).to(self.vectors.device) @ self.vectors.T).cpu().numpy()
        cosines[total == 0] = -np.inf
        return Opinion.of(cosines, nodes=np.arange(len(self.vectors)), num_nodes=len(self.vectors))
