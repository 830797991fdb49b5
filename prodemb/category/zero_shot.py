"""Zero-shot: the category whose own name is nearest to a product's vectors, with no training at all."""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch

from prodemb.category.candidates import (
    CONTEXTS,
    PRIOR_WEIGHTS,
    ROWS_AT_A_TIME,
    SOURCES,
    Opinions,
    contexts_of,
    list_candidates,
)
from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.category.voices.names import Names
from prodemb.category.voices.tower import WEIGHTS, TowerVoice
from prodemb.category.weigh import weigh
from prodemb.confidence.conditional_logit import ConditionalLogit
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
from prodemb.shards.text import TextKind

ZERO_SHOT = "zero-shot"
"""The method's name."""


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
    text: TextKind | None = None
    """None likewise."""
    weights_sha256: str
    """Of the nodes and their vectors."""


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """The nodes of a taxonomy, by their names' words and vectors; its probabilities only rank, since no label says how
    often they are right."""

    card: ZeroShotCard
    nodes: Nodes
    names: Names
    tower: TowerVoice
    taxonomy: str
    """The name of the taxonomy, for people."""

    @classmethod
    def of(cls, paths: PathVectors, *, schema: ShardSchema, taxonomy: str) -> Self:
        """Predict the nodes of `paths` for products of a shard set.

        Args:
            taxonomy: the taxonomy's name or file, for people.

        Raises:
            FingerprintError: the two are of different models.
            ShardError: the shards have none of the features that are compared.
        """
        check_features(schema)
        if paths.fingerprint != schema.fingerprint:
            raise FingerprintError(
                f"zero-shot: the taxonomy's vectors are of model {paths.fingerprint}, the shards of {schema.model} "
                f"({schema.fingerprint}); wanted one model"
            )
        labels = [CategoryLabel(id=node, path=path) for node, path in zip(paths.ids, paths.paths, strict=True)]
        digest = hashlib.sha256(paths.vectors.tobytes() + "\n".join(paths.paths).encode())
        card = ZeroShotCard(
            fingerprint=schema.fingerprint,
            model=schema.model,
            features=features_that_count(schema),
            weights_sha256=digest.hexdigest(),
        )
        return cls(
            card=card,
            nodes=Nodes(labels),
            names=Names(paths=paths.paths),
            tower=TowerVoice(vectors=torch.from_numpy(paths.vectors.astype(np.float32))),
            taxonomy=f"{taxonomy} ({counted(len(labels), 'node')})",
        )

    def to(self, device: torch.device) -> "ZeroShot":
        """The same with its vectors on `device`."""
        return replace(self, tower=self.tower.to(device))

    def predict(self, products: ProductSet, *, k: int) -> NodePrediction:
        """The likeliest nodes of n products, at least one, by the built-in weights of a model that nothing taught.

        Args:
            products: with vectors of the features of the card, and possibly of others.
            k: how many nodes to rank.
        """
        prior = np.array([*PRIOR_WEIGHTS.values()])
        model = ConditionalLogit(weights=np.stack([prior, *(np.zeros_like(prior) for _ in CONTEXTS)]))
        counts = np.zeros(len(self.nodes), dtype=np.int64)
        parts = []
        for start in range(0, max(1, len(products)), ROWS_AT_A_TIME):
            some = products.take(np.arange(start, min(start + ROWS_AT_A_TIME, len(products))))
            opinions = Opinions.without_labels(
                title=self.names.of_title(some),
                categories=self.names.of_categories(some),
                tower=self.tower.opinion(some),
            )
            candidates = list_candidates(opinions, counts=counts, hidden=None, contexts=contexts_of(some))
            prediction = weigh(candidates, model=model, nodes=self.nodes, k=k)
            named = np.where(prediction.first == NO_ANSWER, NO_ANSWER, SOURCES.index("names"))
            parts.append(replace(prediction, sources=named))
        return NodePrediction.concat(parts)

    def nodes_of(self, products: ProductSet, *, nodes: Nodes) -> npt.NDArray[np.int64]:
        """The predicted node of n products as indices into other nodes, which hold all of these; -1 for none."""
        own = np.append(nodes.of(self.nodes.labels), NO_ANSWER)
        return own[self.predict(products, k=1).first]


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
