"""Near categories by mean vectors, against a loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prodemb.finetune.encode import NUM_NEAR, nearest


@given(num=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_the_nearest_known_rows_come_first_and_never_the_row_itself(num: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums = rng.normal(size=(num, 5)).astype(np.float32)
    known = rng.random(num) < 0.8
    known[rng.integers(num)] = True
    near = nearest(sums, known=known)
    assert near.shape == (num, NUM_NEAR)
    units = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    for row in range(num):
        others = [other for other in np.flatnonzero(known).tolist() if other != row]
        wanted = sorted((float(units[row] @ units[other]) for other in others), reverse=True)[:NUM_NEAR]
        found = near[row][near[row] >= 0]
        assert row not in found
        np.testing.assert_allclose(units[found] @ units[row], wanted, atol=1e-5)
        assert (near[row][len(wanted) :] == -1).all()
