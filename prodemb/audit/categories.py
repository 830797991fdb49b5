"""Holding the answers of a category predictor against supplied categories and gold labels."""

import numpy as np
import numpy.typing as npt

from prodemb.audit.judge import NUM_ANSWERS, NUM_NEAREST, Evidence, Judged
from prodemb.audit.meaning import supplied_meanings, supplied_shares
from prodemb.category.candidates import SOURCES
from prodemb.category.nodes import Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.features import Feature
from prodemb.shards.product_set import ProductSet

_MAX_SHARE, _MAX_SHARE_BESIDE = 0.05, 0.005
"""Share of labelled products with the same words from which on an answer is one of the things that these mean; the
second where it is below the same node: words such as "Topwear" are wider than a node rather than wrong."""


class CategoryAuditor:
    """A category predictor; the ids are indices of `nodes`."""

    sources: tuple[str, ...] = SOURCES

    def __init__(self, predictor: CategoryPredictor, *, nodes: Nodes, min_confidence: float, same_set: bool) -> None:
        """Judge by a predictor.

        Args:
            nodes: all nodes of the taxonomy that the labels are in.
            min_confidence: see `AuditConfig`.
            same_set: whether it has learned from the shard set that is audited.
        """
        self._predictor = predictor
        self._nodes = nodes
        self._min_confidence = min_confidence
        self._same_set = same_set
        places = {node.id: number for number, node in enumerate(nodes.labels)}
        self.ids = np.array([*(places.get(node.id, NO_ANSWER) for node in predictor.nodes.labels), NO_ANSWER])
        """The id of each of the predictor's own nodes; -1 for one that is not in the taxonomy, and for the last."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """See `Auditor`."""
        return self._predictor.card.features

    def judge(self, products: ProductSet) -> Judged:
        """See `Auditor`. Supplied categories contradict an answer where it is neither what they mean nor above or below
        it, and hardly any labelled product with the same words is there."""
        prediction, tree = self._predictor.predict(products, k=NUM_ANSWERS), self._predictor.nodes.tree
        confident, confidences = prediction.backed_off(self._min_confidence)
        means = supplied_meanings(products.supplied, voices=self._predictor.voices)
        apart = ~tree.is_above(confident, means) & ~tree.is_above(means, confident)
        differs = np.flatnonzero((confident != NO_ANSWER) & (means != NO_ANSWER) & apart)
        shares = supplied_shares(products.supplied[differs], nodes=confident[differs], voices=self._predictor.voices)
        suggestions = np.full(len(products), NO_ANSWER)
        beside = tree.is_above(tree.parents[means[differs]], confident[differs])
        is_other = shares < np.where(beside, _MAX_SHARE_BESIDE, _MAX_SHARE)
        suggestions[differs] = np.where(is_other, self.ids[confident[differs]], NO_ANSWER)
        repeated = np.repeat(means, prediction.nodes.shape[1])
        inside = tree.is_above(repeated, prediction.nodes.ravel()).reshape(prediction.nodes.shape)
        assert prediction.sources is not None
        return Judged(
            answers=self.ids[prediction.nodes],
            probabilities=prediction.probabilities,
            sources=prediction.sources,
            supplied=self.ids[means],
            supplied_confidences=(inside * prediction.probabilities).sum(axis=1),
            suggestions=suggestions,
            confidences=confidences,
        )

    def contradicts(self, answers: Indices, labels: Indices) -> npt.NDArray[np.bool_]:
        """See `Auditor`. A node above or below the label is less or more precise, but no other answer."""
        tree, flat, repeated = self._nodes.tree, answers.ravel(), np.repeat(labels, answers.shape[1])
        apart = ~tree.is_above(flat, repeated) & ~tree.is_above(repeated, flat) & (flat != NO_ANSWER)
        return np.asarray(apart.reshape(answers.shape))

    def evidence(self, products: ProductSet) -> Evidence:
        """See `Auditor`."""
        neighbours = self._predictor.voices.neighbours
        nearest = neighbours.nearest(products.of(neighbours.features), k=NUM_NEAREST)
        return Evidence.of(nearest, rows=neighbours.rows if self._same_set else None, ids=self.ids)
