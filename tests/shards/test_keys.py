"""Keys are found wherever they stand, and nothing else is."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from prodemb.shards.keys import NOT_FOUND, KeyWriter, SortedKeys, as_keys, keys_of


def write_keys(parts: Sequence[SortedKeys], folder: Path, name: str) -> None:
    with KeyWriter(folder, name) as writer:
        for part in parts:
            writer.add(part)
        writer.finish()


few_keys = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


@given(here=few_keys, wanted=few_keys)
def test_a_key_is_found_with_its_first_value(here: list[tuple[int, int]], wanted: list[tuple[int, int]]) -> None:
    truth = {key: value for value, key in reversed(list(enumerate(here)))}
    keys = np.array(here, dtype=np.uint64).reshape(-1, 2)
    found = SortedKeys.build(keys, np.arange(len(keys))).find(np.array(wanted, dtype=np.uint64).reshape(-1, 2))
    assert found.tolist() == [truth.get(key, NOT_FOUND) for key in wanted]


def test_saved_keys_are_the_same(tmp_path: Path) -> None:
    keys = as_keys(bytes(range(160)))
    write_keys([SortedKeys.build(keys, np.arange(10))], tmp_path, "some")
    assert SortedKeys.load(tmp_path, "some").find(keys[[9, 0]]).tolist() == [9, 0]
    assert SortedKeys.load(tmp_path, "some").find(as_keys(bytes(16))).tolist() == [NOT_FOUND]


def test_keys_of_several_parts_are_written_as_one(tmp_path: Path) -> None:
    hashes = np.random.default_rng(0).integers(0, 256, (400, 16), dtype=np.uint8)
    hashes[300:] = hashes[100:200]
    hashes[:, 8:] &= 1
    keys, values = as_keys(hashes), np.arange(400)
    parts = [SortedKeys.build(keys[some], values[some]) for some in (slice(150), slice(150, 350), slice(350, 400))]
    write_keys(parts, tmp_path, "some")
    written, whole = SortedKeys.load(tmp_path, "some"), SortedKeys.build(keys, values)
    assert np.array_equal(written.keys, whole.keys)
    assert np.array_equal(written.values, whole.values)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"some.{p}.npy" for p in ("first", "second", "values")]
    write_keys([], tmp_path, "none")
    assert SortedKeys.load(tmp_path, "none").find(keys[:2]).tolist() == [NOT_FOUND] * 2


def test_equal_values_have_equal_keys() -> None:
    keys = keys_of(pl.Series(["a", "b", None, "a"]))
    assert (keys[0] == keys[3]).all()
    assert len({tuple(key) for key in keys.tolist()}) == 3


def test_another_process_has_the_same_keys() -> None:
    program = """
import polars as pl
from prodemb.shards.keys import keys_of
print(keys_of(pl.Series(["a", "b", None, "é" * 40])).tolist())
"""
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", program]
        answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout
        assert answer == f"{keys_of(pl.Series(['a', 'b', None, 'é' * 40])).tolist()}\n"
