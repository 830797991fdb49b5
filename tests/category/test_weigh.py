"""Weighing: probabilities are coherent in the tree, and the source is the voice that speaks most for the answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.category.candidates import CONTEXTS, NUM_CONTEXTS, PRIOR_WEIGHTS, SOURCES
from prodemb.category.nodes import Nodes
from prodemb.category.weigh import context_numbers, known_proba, weigh
from prodemb.confidence.candidates import Candidates, first_of_each
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.labels import CategoryLabel

PATHS = ("A", "A > B", "A > B > C", "A > D", "F", "F > G")
NODES = Nodes([CategoryLabel(id=place, path=path) for place, path in enumerate(PATHS)])
NAMES = list(PRIOR_WEIGHTS)


def model_of(**weights: float) -> ConditionalLogit:
    own = [weights.get(name, 0.0) for name in NAMES]
    return ConditionalLogit(weights=np.array([own, *([0.0] * len(own) for _ in CONTEXTS)]))


def candidates_of(*rows: list[tuple[int, dict[str, float]]]) -> Candidates:
    """The candidates of products, each a node and its features, and none of them."""
    width = 10
    ids = np.full((len(rows), width), NO_ANSWER)
    features = np.zeros((len(rows), width, len(NAMES)), np.float32)
    for row, given_ in enumerate(rows):
        for place, (node, values) in enumerate(given_):
            ids[row, place] = node
            for name, value in values.items():
                features[row, place, NAMES.index(name)] = value
    features[:, -1, NAMES.index("none")] = 1
    contexts = np.zeros((len(rows), len(CONTEXTS)), bool)
    return Candidates(ids=ids, valid=first_of_each(ids), features=features, contexts=contexts)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.floats(-9, 9, width=32)), max_size=8), min_size=1, max_size=5),
    st.floats(-5, 5),
)
def test_a_node_is_as_probable_as_all_below_it_together(rows: list[list[tuple[int, float]]], none: float) -> None:
    candidates = candidates_of(*([(node, {"head_log_proba": value}) for node, value in row] for row in rows))
    model = model_of(head_log_proba=1.0, none=none)
    found = weigh(candidates, model=model, nodes=NODES, k=9)
    likely = candidates.predict_proba(model)
    for row in range(len(rows)):
        own = dict(zip(candidates.ids[row][candidates.valid[row]], likely[row][candidates.valid[row]], strict=True))
        none_of_them = own.pop(NO_ANSWER)
        ranked = [node for node in found.nodes[row] if node != NO_ANSWER]
        assert {*ranked} == {node for node, probability in own.items() if probability > 0}
        assert (np.diff(found.probabilities[row]) <= 0).all()
        assert found.probabilities[row].sum() + none_of_them == pytest.approx(1, abs=1e-5)
        line = NODES.tree.lineage[found.first[row]]
        assert np.array_equal(found.lineage[row], line)
        for level, node in enumerate(line.tolist()):
            of_node = found.lineage_probabilities[row, level]
            below = (
                0.0
                if node < 0
                else sum(p for n, p in own.items() if NODES.tree.is_above(np.array([node]), np.array([n]))[0])
            )
            assert of_node == pytest.approx(below, abs=1e-5)
        assert (np.diff(found.lineage_probabilities[row]) <= 0).all()
        assert (found.lineage_probabilities[row] <= 1).all()


def test_a_product_without_candidates_has_no_answer() -> None:
    found = weigh(candidates_of([]), model=model_of(), nodes=NODES, k=3)
    assert (found.nodes == NO_ANSWER).all()
    assert found.lineage.tolist() == [[NO_ANSWER] * 3]
    assert found.sources is not None
    assert found.sources.tolist() == [NO_ANSWER]
    assert not found.lineage_probabilities.any()


@pytest.mark.parametrize(
    ("first", "second", "source"),
    [
        ({"head_log_proba": -0.1, "words": 0.5}, {"head_log_proba": -3, "words": 0.4}, "head"),
        ({"head_log_proba": -3, "words": 2.5}, {"head_log_proba": -2, "words": -1}, "words"),
        ({"neighbours_cosine": 0.9, "names_title": 0.1}, {"neighbours_cosine": 0.1}, "neighbours"),
        ({"supplied_log_share": -0.1, "supplied_seen": 1}, {"supplied_log_share": -4}, "supplied"),
        ({"names_title": 2}, {"words": 1}, "names"),
    ],
)
def test_the_source_is_the_voice_that_makes_the_difference(
    first: dict[str, float], second: dict[str, float], source: str
) -> None:
    model = model_of(**dict.fromkeys(NAMES, 1.0))
    for order in ([(1, first), (5, second)], [(5, second), (1, first)]):
        found = weigh(candidates_of(order), model=model, nodes=NODES, k=1)
        assert found.first.tolist() == [1]
        assert found.sources is not None
        assert SOURCES[found.sources[0]] == source
    alone = weigh(candidates_of([(1, first)]), model=model, nodes=NODES, k=1)
    assert alone.first.tolist() == [1]


def test_each_combination_of_contexts_has_a_number() -> None:
    contexts = np.array([[False, False], [True, False], [False, True], [True, True]])
    assert context_numbers(contexts).tolist() == [0, 1, 2, 3]
    assert 2 ** len(CONTEXTS) == NUM_CONTEXTS


def test_what_is_known_is_the_probability_of_labelled_nodes() -> None:
    candidates = candidates_of([(1, {"labelled": 1, "words": 1}), (2, {"words": 1}), (5, {"labelled": 1})])
    proba = candidates.predict_proba(model_of(words=2.0))
    assert known_proba(candidates, proba=proba)[0] == pytest.approx(proba[0, 0] + proba[0, 2])
