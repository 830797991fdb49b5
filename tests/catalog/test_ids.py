"""Every row without an id of its own is found, and no other."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from prodemb.catalog.ids import BadIds, IdBatch, find_bad_ids


def bad_ids(*parts: list[str | None]) -> BadIds:
    batches = [
        IdBatch(Path(f"part{n}.csv"), np.arange(1, len(part) + 1), pa.array(part, pa.large_string()))
        for n, part in enumerate(parts)
    ]
    return find_bad_ids(lambda: iter(batches))


def test_good_ids() -> None:
    found = bad_ids(["a", "b"], [], ["c"])
    assert not found
    assert found.num_rows == 3


def test_bad_ids_are_named() -> None:
    found = bad_ids(["a", None, "b"], ["a", "c", "a"])
    assert found.positions.tolist() == [1, 3, 5]
    assert str(found) == (
        "1 row has no product_id (part0.csv row 2) and 2 rows repeat a product_id "
        "('a' in part0.csv row 1 and part1.csv row 1; 'a' in part0.csv row 1 and part1.csv row 3)"
    )


@given(st.lists(st.lists(st.none() | st.sampled_from("abcdefgh") | st.text(max_size=3)), max_size=4))
def test_the_first_of_each_id_stays(parts: list[list[str | None]]) -> None:
    parts = [[each and each.encode("utf-8", "replace").decode() for each in part] for part in parts]
    rows = [each for part in parts for each in part]
    expected = [place for place, each in enumerate(rows) if each is None or each in rows[:place]]
    found = bad_ids(*parts)
    assert found.positions.tolist() == expected
    assert (found.num_rows, found.num_null) == (len(rows), rows.count(None))


def test_ten_thousand_copies_stay_readable() -> None:
    found = bad_ids(["a"] * 10_000 + [None] * 10_000)
    assert (found.num_repeated, found.num_null) == (9_999, 10_000)
    assert len(str(found)) < 500
