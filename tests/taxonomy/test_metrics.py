"""Hierarchical metrics agree with sets of ancestors, spelled out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.arrays import NO_ANSWER
from prodemb.taxonomy.metrics import evaluate_nodes
from prodemb.taxonomy.nodes import TaxonomyTree

PATHS = ["A", "A > B", "A > B > C", "A > B > D", "A > E", "F", "F > G"]
TREE = TaxonomyTree.of(PATHS)
ANSWERS = st.integers(NO_ANSWER, len(PATHS) - 1)
NODES = st.integers(0, len(PATHS) - 1)


def line(node: int) -> list[str]:
    names = PATHS[node].split(" > ") if node >= 0 else []
    return [" > ".join(names[:level]) for level in range(1, len(names) + 1)]


@given(st.lists(st.tuples(NODES, ANSWERS), min_size=1, max_size=30))
def test_metrics_are_those_of_sets_of_ancestors(pairs: list[tuple[int, int]]) -> None:
    truth, answers = np.array(pairs).T
    found = evaluate_nodes(truth, predicted=answers, tree=TREE)
    common = [len(set(line(t)) & set(line(a))) for t, a in pairs]
    num_true, num_told = sum(len(line(t)) for t, _ in pairs), sum(len(line(a)) for _, a in pairs)
    assert found.precision == pytest.approx(sum(common) / num_told if num_told else 0)
    assert found.recall == pytest.approx(sum(common) / num_true)
    assert found.f1 == pytest.approx(2 * sum(common) / (num_true + num_told))
    assert found.lca_distance == pytest.approx(
        np.mean([len(line(t)) - c for (t, _), c in zip(pairs, common, strict=True)])
    )
    for level, share in enumerate(found.top1_by_level, start=1):
        right = [line(a)[level - 1 : level] == line(t)[level - 1 : level] for t, a in pairs if len(line(t)) >= level]
        assert share == pytest.approx(np.mean(right))
    assert len(found.top1_by_level) == max(len(line(t)) for t, _ in pairs)


def test_an_answer_above_the_truth_costs_recall_alone() -> None:
    above = evaluate_nodes(np.array([2]), predicted=np.array([1]), tree=TREE)
    below = evaluate_nodes(np.array([1]), predicted=np.array([2]), tree=TREE)
    assert (above.precision, above.recall, above.lca_distance) == (1.0, pytest.approx(2 / 3), 1.0)
    assert (below.precision, below.recall, below.lca_distance) == (pytest.approx(2 / 3), 1.0, 0.0)


def test_the_right_answers_are_perfect_and_none_are_worth_nothing() -> None:
    nodes = np.arange(len(PATHS))
    right = evaluate_nodes(nodes, predicted=nodes, tree=TREE)
    assert (right.f1, right.lca_distance, set(right.top1_by_level)) == (1.0, 0.0, {1.0})
    none = evaluate_nodes(nodes, predicted=np.full(len(nodes), NO_ANSWER), tree=TREE)
    assert (none.f1, none.precision, set(none.top1_by_level)) == (0.0, 0.0, {0.0})
