import numpy as np

from prodemb.core.arrays import sample_rows


def test_samples_are_random_ordered_and_repeatable() -> None:
    assert sample_rows(5, at_most=9, seed=0).tolist() == [0, 1, 2, 3, 4]
    rows = sample_rows(1000, at_most=100, seed=0)
    assert len(set(rows.tolist())) == 100
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, sample_rows(1000, at_most=100, seed=0))
