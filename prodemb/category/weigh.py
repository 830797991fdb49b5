"""Weighing: from the candidates of products and a model to one probability per node, and the voice that decided."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from prodemb.category.candidates import PRIOR_WEIGHTS, SOURCES, is_labelled
from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.confidence.candidates import Candidates
from prodemb.confidence.conditional_logit import ConditionalLogit, Contexts
from prodemb.core.arrays import NO_ANSWER


def weigh(candidates: Candidates, *, model: ConditionalLogit, nodes: Nodes, k: int) -> NodePrediction:
    """The prediction from the candidates of n products.

    Args:
        nodes: what the ids of the candidates are indices of.
        k: how many nodes to rank.
    """
    named, lineages = candidates.predict_proba(model)[:, :-1], nodes.tree.lineage
    order = np.argsort(-named, axis=1, kind="stable")[:, :k]
    ranked = np.take_along_axis(named, order, axis=1)
    best = np.where(ranked > 0, np.take_along_axis(candidates.ids, order, axis=1), NO_ANSWER)
    lineage = lineages[best[:, 0]]
    inside = (lineages[candidates.ids[:, :-1]] == lineage[:, None, :]) & (lineage != NO_ANSWER)[:, None, :]
    return NodePrediction(
        nodes=best,
        probabilities=ranked.astype(np.float32),
        lineage=lineage,
        lineage_probabilities=np.minimum((inside * named[:, :, None]).sum(axis=1), 1).astype(np.float32),
        sources=np.where(best[:, 0] == NO_ANSWER, NO_ANSWER, _sources(candidates, model=model)),
    )


def _sources(candidates: Candidates, *, model: ConditionalLogit) -> npt.NDArray[np.int64]:
    """The voice that speaks most for the most probable candidate rather than for the next one, (n,)."""
    utilities = model.utilities(candidates.features, contexts=candidates.contexts)
    order = np.argsort(-np.where(candidates.valid, utilities, -np.inf)[:, :-1], axis=1, kind="stable")
    rows, (first, second) = np.arange(len(candidates)), order[:, :2].T
    other = np.where(candidates.valid[rows, second, None], candidates.features[rows, second], np.float32(0))
    for_first = (candidates.features[rows, first] - other) * model.weights_in(candidates.contexts)
    by_voice = [for_first[:, columns].sum(axis=1) for columns in _columns_of_voices()]
    return np.asarray(np.stack(by_voice, axis=1).argmax(axis=1))


def context_numbers(contexts: Contexts) -> npt.NDArray[np.int64]:
    """Which combination of `CONTEXTS` each product is in, (n,) from 0 to `NUM_CONTEXTS` - 1."""
    return np.asarray(contexts @ (1 << np.arange(contexts.shape[1])))


def known_proba(candidates: Candidates, *, proba: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The probability that each product belongs to a node that labelled products have, (n,).

    Args:
        proba: (n, K) of its candidates.
    """
    return np.asarray((proba * is_labelled(candidates)).sum(axis=1))


def _columns_of_voices() -> Iterator[list[int]]:
    for voice in SOURCES:
        yield [column for column, name in enumerate(PRIOR_WEIGHTS) if name.startswith(voice)]
