"""Candidates: each once, the last always there, and joined and taken product by product."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prodemb.confidence.candidates import Candidates, first_of_each
from prodemb.confidence.conditional_logit import ConditionalLogit


def candidates_of(ids: list[list[int]]) -> Candidates:
    """With their own id as their one feature."""
    numbers = np.array([[*row, -1] for row in ids])
    return Candidates(
        ids=numbers,
        valid=first_of_each(numbers),
        features=numbers[:, :, None].astype(np.float32),
        contexts=np.zeros((len(numbers), 0), bool),
    )


@given(st.lists(st.lists(st.integers(-1, 4), min_size=5, max_size=5), min_size=1, max_size=4))
def test_each_is_there_once_and_the_last_always(rows: list[list[int]]) -> None:
    candidates = candidates_of(rows)
    for row, valid, ids in zip(rows, candidates.valid, candidates.ids, strict=True):
        assert sorted(ids[valid].tolist()) == sorted({*row, -1})
        assert valid[-1]
        firsts = [row.index(each) for each in {*row} - {-1}]
        assert sorted(np.flatnonzero(valid[:-1]).tolist()) == sorted(firsts)
    asked = candidates.index_of(np.array([row[0] for row in rows]))
    assert [candidates.ids[n, place] for n, place in enumerate(asked.tolist())] == [row[0] for row in rows]
    assert (candidates.index_of(np.full(len(rows), 9)) == 5).all()


def test_joining_and_taking_keep_products_together() -> None:
    first, second = candidates_of([[1, 2], [3, 3]]), candidates_of([[4, -1]])
    joined = Candidates.concat([first, second])
    assert len(joined) == 3
    taken = joined.take(np.array([2, 0]))
    assert taken.ids.tolist() == [[4, -1, -1], [1, 2, -1]]
    assert taken.valid.tolist() == [[True, False, True], [True, True, True]]
    assert taken.features[:, 0, 0].tolist() == [4, 1]
    assert taken.contexts.shape == (2, 0)


def test_what_is_not_there_has_no_probability() -> None:
    likely = candidates_of([[1, 1, 3]]).predict_proba(ConditionalLogit(weights=np.array([[0.5]])))
    assert likely[0, 1] == 0
    assert np.isclose(likely.sum(), 1)
    assert np.isclose(likely[0, 2] / likely[0, 0], np.exp(1))
