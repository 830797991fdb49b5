import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.arrays import draw_other, sample_rows


def test_samples_are_random_ordered_and_repeatable() -> None:
    assert sample_rows(5, at_most=9, seed=0).tolist() == [0, 1, 2, 3, 4]
    rows = sample_rows(1000, at_most=100, seed=0)
    assert len(set(rows.tolist())) == 100
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, sample_rows(1000, at_most=100, seed=0))


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=30).filter(lambda values: len(set(values)) > 1),
    st.lists(st.integers(-1, 5), max_size=30),
    st.integers(0, 9),
)
def test_the_other_value_is_never_the_row_s_own(values: list[int], than: list[int], seed: int) -> None:
    drawn = draw_other(np.array(values), than=np.array(than, np.int64), seed=seed)
    assert drawn.shape == (len(than),)
    assert all(values[place] != own for place, own in zip(drawn.tolist(), than, strict=True))
    assert np.array_equal(drawn, draw_other(np.array(values), than=np.array(than, np.int64), seed=seed))


def test_all_other_values_are_drawn_alike() -> None:
    drawn = draw_other(np.array([3, 1, 3, 2]), than=np.full(6000, 1), seed=0)
    assert np.bincount(drawn, minlength=4)[1] == 0
    assert np.allclose(np.bincount(drawn) / 6000, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.03)
