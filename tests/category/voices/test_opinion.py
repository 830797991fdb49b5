"""Opinions: the best nodes, and the scores of given ones, also where a voice says nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prodemb.category.voices.opinion import Opinion
from prodemb.core.arrays import NO_ANSWER

SILENT = -np.inf
NODES = np.array([6, 2, 4])


def opinion(*rows: list[float]) -> Opinion:
    """Of nodes 6, 2 and 4 of eight."""
    return Opinion.of(np.array(rows, np.float32), nodes=NODES, num_nodes=8)


def test_the_best_nodes_come_first_and_silence_is_no_answer() -> None:
    said = opinion([0.1, 0.3, 0.2], [SILENT, 0.5, SILENT], [SILENT] * 3)
    assert said.top(2).tolist() == [[2, 4], [2, NO_ANSWER], [NO_ANSWER, NO_ANSWER]]
    assert said.top(5)[0].tolist() == [2, 4, 6, NO_ANSWER, NO_ANSWER]
    assert said.best(otherwise=-9)[:, 0].tolist() == np.array([0.3, 0.5, -9], np.float32).tolist()


def test_nodes_that_a_voice_does_not_know_get_what_is_said_otherwise() -> None:
    said = opinion([0.5, SILENT, 0.25])
    asked = np.array([[4, 6, 2, 0, NO_ANSWER]])
    assert said.at(asked, otherwise=-1).tolist() == [[0.25, 0.5, -1, -1, -1]]


def test_hidden_options_are_not_told() -> None:
    said = opinion([0.5, 0.4, 0.3], [0.5, 0.4, 0.3])
    left = said.without(np.array([[True, False, False], [True, True, True]]))
    assert left.top(3).tolist() == [[2, 4, NO_ANSWER], [NO_ANSWER] * 3]
    assert said.top(1).tolist() == [[6], [6]]


def test_a_voice_that_says_nothing_says_so_everywhere() -> None:
    nothing = Opinion.nothing(2, num_nodes=8)
    assert nothing.top(2).tolist() == [[NO_ANSWER] * 2] * 2
    assert nothing.best(otherwise=3).tolist() == [[3], [3]]
    assert nothing.at(np.array([[1, -1], [7, 0]]), otherwise=2).tolist() == [[2, 2], [2, 2]]
    assert nothing.without(np.zeros((2, 0), bool)).scores.shape == (2, 0)


@given(
    st.lists(st.lists(st.just(SILENT) | st.floats(-5, 5, width=32), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(1, 6),
)
def test_ranks_are_those_of_sorting(rows: list[list[float]], k: int) -> None:
    said = opinion(*rows)
    top = said.top(k)
    assert top.shape == (len(rows), k)
    for found, row in zip(top.tolist(), rows, strict=True):
        wanted = sorted((score for score in row if np.isfinite(score)), reverse=True)[:k]
        scores = {node: score for node, score in zip(NODES.tolist(), row, strict=True) if np.isfinite(score)}
        assert [scores[node] for node in found if node != NO_ANSWER] == wanted
        assert len({*found} - {NO_ANSWER}) == len(wanted)
