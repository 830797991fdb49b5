"""Keys are found wherever they stand, and nothing else is."""

from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from prodemb.keys import NOT_FOUND, SortedKeys, as_keys, keys_of

few_keys = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


@given(here=few_keys, wanted=few_keys)
def test_a_key_is_found_with_its_first_value(here: list[tuple[int, int]], wanted: list[tuple[int, int]]) -> None:
    truth = {key: value for value, key in reversed(list(enumerate(here)))}
    keys = np.array(here, dtype=np.uint64).reshape(-1, 2)
    found = SortedKeys.build(keys, np.arange(len(keys))).find(np.array(wanted, dtype=np.uint64).reshape(-1, 2))
    assert found.tolist() == [truth.get(key, NOT_FOUND) for key in wanted]


def test_saved_keys_are_the_same(tmp_path: Path) -> None:
    keys = as_keys(bytes(range(160)))
    SortedKeys.build(keys, np.arange(10)).save(tmp_path, "some")
    assert SortedKeys.load(tmp_path, "some").find(keys[[9, 0]]).tolist() == [9, 0]
    assert SortedKeys.load(tmp_path, "some").find(as_keys(bytes(16))).tolist() == [NOT_FOUND]


def test_equal_values_have_equal_keys() -> None:
    keys = keys_of(pl.Series(["a", "b", None, "a"]))
    assert (keys[0] == keys[3]).all()
    assert len({tuple(key) for key in keys.tolist()}) == 3
