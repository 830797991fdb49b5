"""Zero-shot: the category whose own name is nearest to a product's vectors, with no training at all."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch

from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.config import Config
from prodemb.core.errors import FingerprintError, ShardError
from prodemb.core.features import Feature
from prodemb.core.text import counted
from prodemb.heads.labels import CategoryLabel
from prodemb.shards.format import ShardSchema
from prodemb.shards.lexical import LexicalKind
from prodemb.shards.paths import PathVectors
from prodemb.shards.product_set import ProductSet

ZERO_SHOT = "zero-shot"
"""The method's name."""

WEIGHTS: dict[Feature, float] = {
    "title": 1.0,
    "description": 0.5,
    "cat1": 1.0,
    "cat2": 1.0,
    "cat3": 1.0,
    "image": 0.5,
}
"""The weight of each feature's cosine; the brand says nothing about the category. With the bundled CLIP, which was
trained on drawings alone, photos contribute next to nothing."""

SCALE = 100.0
"""What a cosine is multiplied by before the softmax: the bound of CLIP's temperature (Radford et al., ICML 2021)."""

_ROWS_AT_A_TIME = 2048


class ZeroShotCard(Config):
    """What zero-shot predictions are made from, for scoring; the counterpart of a head's card."""

    target: Literal["category"] = "category"
    zero_shot: bool = True
    fingerprint: str
    """The model whose vectors they compare."""
    model: str
    """That model's name, for people."""
    features: tuple[Feature, ...]
    """The features with a weight, in order."""
    lexical: LexicalKind | None = None
    """None: words are compared through CLIP alone."""
    weights_sha256: str
    """Of the nodes and their vectors."""


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """The nodes of a taxonomy and their vectors, ready to predict.

    Source: Radford et al., Learning transferable visual models from natural language supervision, ICML 2021.
    """

    card: ZeroShotCard
    nodes: Nodes
    vectors: torch.Tensor
    """(num_nodes, dim) float32, L2-normalised."""
    taxonomy: str
    """The name of the taxonomy, for people."""

    @classmethod
    def of(cls, paths: PathVectors, *, schema: ShardSchema, taxonomy: str) -> Self:
        """Predict the nodes of `paths` for products of a shard set.

        Args:
            taxonomy: the taxonomy's name or file, for people.

        Raises:
            FingerprintError: the two are of different models.
            ShardError: the shards have none of the features with a weight.
        """
        check_features(schema)
        if paths.fingerprint != schema.fingerprint:
            raise FingerprintError(
                f"zero-shot: the taxonomy's vectors are of model {paths.fingerprint}, the shards of {schema.model} "
                f"({schema.fingerprint}); wanted one model"
            )
        vectors = torch.from_numpy(paths.vectors.astype(np.float32))
        labels = [CategoryLabel(id=node, path=path) for node, path in zip(paths.ids, paths.paths, strict=True)]
        digest = hashlib.sha256(paths.vectors.tobytes() + "\n".join(paths.paths).encode())
        card = ZeroShotCard(
            fingerprint=schema.fingerprint,
            model=schema.model,
            features=features_that_count(schema),
            weights_sha256=digest.hexdigest(),
        )
        named = f"{taxonomy} ({counted(len(labels), 'node')})"
        return cls(card=card, nodes=Nodes(labels, ancestors=()), vectors=vectors, taxonomy=named)

    def to(self, device: torch.device) -> "ZeroShot":
        """The same with its vectors on `device`."""
        return replace(self, vectors=self.vectors.to(device))

    @torch.inference_mode()
    def predict(self, products: ProductSet, *, k: int) -> NodePrediction:
        """The nodes nearest to n products, at least one, by the weighted mean cosine of their present features.

        Args:
            products: with vectors of the features of the card, and possibly of others.
            k: how many nodes to rank.
        """
        parts = []
        for start in range(0, len(products), _ROWS_AT_A_TIME):
            some = products.take(np.arange(start, min(start + _ROWS_AT_A_TIME, len(products))))
            parts.append(self.nodes.predict((SCALE * self.cosines(some)).log_softmax(1), k=k))
        return NodePrediction.concat(parts)

    @torch.inference_mode()
    def cosines(self, products: ProductSet) -> torch.Tensor:
        """The weighted mean cosine of the present features of a few products with each node, (n, num_nodes)."""
        blocks = np.split(products.vectors, np.cumsum(products.dims)[:-1], axis=1)
        weights = [WEIGHTS.get(feature, 0.0) for feature in products.features]
        total = products.present @ np.array(weights, dtype=np.float32)
        wanted = [block.astype(np.float32) * weight for block, weight in zip(blocks, weights, strict=True) if weight]
        mean = sum(wanted) / np.maximum(total, 1e-9)[:, None]
        return torch.from_numpy(mean).to(self.vectors.device) @ self.vectors.T

    def known(self, products: ProductSet) -> npt.NDArray[np.bool_]:
        """Which of n products have any of the features with a weight, (n,)."""
        weighted = np.array([feature in WEIGHTS for feature in products.features])
        return np.asarray(products.present[:, weighted].any(axis=1))

    def nodes_of(self, products: ProductSet, *, labels: Sequence[CategoryLabel]) -> npt.NDArray[np.int64]:
        """The predicted node of each of n products as an index into `labels`, which hold all nodes; -1 for none."""
        position = {label.id: index for index, label in enumerate(labels)}
        own = np.array([position[label.id] for label in self.nodes.labels])
        return np.where(self.known(products), own[self.predict(products, k=1).classes[:, 0]], NO_ANSWER)


def features_that_count(schema: ShardSchema) -> tuple[Feature, ...]:
    """Those of a shard set's features that zero-shot compares, in order."""
    return tuple(feature for feature in schema.features if feature in WEIGHTS)


def check_features(schema: ShardSchema) -> None:
    """Check that a shard set has a feature that zero-shot compares.

    Raises:
        ShardError: it has none.
    """
    if not features_that_count(schema):
        raise ShardError(
            f"zero-shot: found shards of {schema.model} with the features {', '.join(schema.features)}; wanted one or "
            f"more of {', '.join(WEIGHTS)}: embed with them ([embed] features)"
        )
