"""Supplied categories: the most specific key that is known decides, and a partner's own words come before others'."""

import math

import numpy as np
import polars as pl
import pytest

from prodemb.category.voices.opinion import Opinion
from prodemb.category.voices.supplied import SuppliedCounts
from prodemb.core.features import PARTNER

Row = tuple[str | None, str | None, str | None, str | None]
COLUMNS = (PARTNER, "raw_cat1", "raw_cat2", "raw_cat3")


def frame(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


SEEN = frame(
    ("alder", "Home", "Mugs", "Red"),
    ("alder", "Home", "Mugs", "Red"),
    ("alder", "Home", "Mugs", None),
    ("alder", "Home", "Lamps", None),
    ("borea", "home", "mugs", None),
    ("borea", "Shoes", None, None),
    ("borea", None, "Mugs", None),
)
COUNTS = SuppliedCounts.fit(SEEN, nodes=np.array([1, 1, 2, 3, 4, 5, 6]))


def asked(*rows: Row, hidden: np.ndarray | None = None) -> Opinion:
    return COUNTS.opinion(frame(*rows), num_nodes=8, hidden=hidden)


def shares(said: Opinion) -> dict[int, float]:
    """Of the first product."""
    scores = said.at(np.arange(8)[None, :], otherwise=-math.inf)[0]
    return {node: math.exp(score) for node, score in enumerate(scores.tolist()) if math.isfinite(score)}


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (("alder", "Home", "Mugs", "Red"), {1: 2 / 3}),
        (("alder", "HOME ", " mugs", "red"), {1: 2 / 3}),
        (("alder", "Home", "Mugs", None), {2: 1 / 2}),
        (("borea", "Home", "Mugs", None), {4: 1 / 2}),
        (("alder", "Home", "Mugs", "Blue"), {1: 2 / 4, 2: 1 / 4}),
        (("new one", "Home", "Mugs", "Red"), {1: 2 / 3}),
        (("new one", "Home", "Mugs", None), {2: 1 / 3, 4: 1 / 3}),
        ((None, "Home", "Sofas", None), {1: 2 / 6, 2: 1 / 6, 3: 1 / 6, 4: 1 / 6}),
        (("alder", "Shoes", None, None), {5: 1 / 2}),
        (("alder", "Unheard of", "Mugs", "Red"), {}),
        (("borea", None, "Mugs", None), {}),
    ],
)
def test_the_most_specific_key_that_is_known_decides(row: Row, wanted: dict[int, float]) -> None:
    assert shares(asked(row)) == pytest.approx(wanted)


def test_products_are_asked_about_one_by_one() -> None:
    rows: list[Row] = [
        ("alder", "Home", "Lamps", None),
        ("alder", "Nothing", None, None),
        ("borea", "Shoes", None, None),
    ]
    assert asked(*rows).top(1)[:, 0].tolist() == [3, -1, 5]


def test_hidden_nodes_count_as_never_seen() -> None:
    hidden = np.zeros((1, 8), bool)
    hidden[0, 1] = True
    row: Row = ("alder", "Home", "Mugs", "Red")
    assert shares(asked(row, hidden=hidden)) == pytest.approx({2: 1 / 2})
    hidden[:] = True
    assert shares(asked(row, hidden=hidden)) == {}


def test_catalogs_without_partners_or_categories_are_counted_too() -> None:
    supplied = SEEN.drop(PARTNER)
    counts = SuppliedCounts.fit(supplied, nodes=np.array([1, 1, 2, 3, 4, 5, 6]))
    said = counts.opinion(supplied, num_nodes=8, hidden=None)
    assert said.top(1)[:, 0].tolist()[:2] == [1, 1]
    empty = SuppliedCounts.fit(frame((None, None, None, None)), nodes=np.array([1]))
    assert empty.table.is_empty()
    assert empty.opinion(SEEN, num_nodes=8, hidden=None).top(1)[:, 0].tolist() == [-1] * 7
