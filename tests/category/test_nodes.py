"""Backing off climbs from the most probable node to the first one that is sure enough."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.labels import BrandLabel, CategoryLabel

PATHS = ["A > B > C", "F > G", "A > B", "A > E", "A", "F"]
NODES = Nodes([CategoryLabel(id=100 + place, path=path) for place, path in enumerate(PATHS)])


def predicted(first: int, falling: list[float]) -> NodePrediction:
    """A prediction for one product, whose nodes from the top down have these probabilities."""
    lineage = NODES.tree.lineage[[first]]
    likely = np.zeros(lineage.shape, np.float32)
    likely[0, : len(falling)] = falling
    return NodePrediction(
        nodes=np.array([[first]]),
        probabilities=np.array([[falling[-1]]], np.float32),
        lineage=lineage,
        lineage_probabilities=likely,
    )


def test_nodes_are_found_by_their_ids() -> None:
    labels = [CategoryLabel(id=103, path="whatever"), BrandLabel(name="Norvik"), CategoryLabel(id=100, path="A")]
    assert NODES.of(labels).tolist() == [3, 0]
    assert len(NODES) == 6


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), st.floats(0, 1, width=32))
def test_the_deepest_node_that_is_likely_enough_answers(drawn: list[float], threshold: float) -> None:
    falling = sorted(drawn, reverse=True)
    nodes, likely = predicted(0, falling).backed_off(threshold)
    sure = [(node, found) for node, found in zip((4, 2, 0), falling, strict=True) if found >= threshold]
    assert nodes.tolist() == [sure[-1][0] if sure else NO_ANSWER]
    if sure:
        assert likely.tolist() == [sure[-1][1]]


def test_a_product_without_an_answer_stays_without() -> None:
    nothing = NodePrediction(
        nodes=np.full((1, 2), NO_ANSWER),
        probabilities=np.zeros((1, 2), np.float32),
        lineage=NODES.tree.lineage[[NO_ANSWER]],
        lineage_probabilities=np.zeros((1, 3), np.float32),
    )
    for threshold in (0.0, 0.5):
        assert nothing.backed_off(threshold)[0].tolist() == [NO_ANSWER]
    assert nothing.first.tolist() == [NO_ANSWER]


def test_predictions_are_joined_product_after_product() -> None:
    parts = [predicted(0, [0.9, 0.8, 0.7]), predicted(1, [0.6, 0.5])]
    joined = NodePrediction.concat(parts)
    assert joined.first.tolist() == [0, 1]
    assert joined.lineage.tolist() == [[4, 2, 0], [5, 1, -1]]
    assert (joined.sources, joined.known) == (None, None)
