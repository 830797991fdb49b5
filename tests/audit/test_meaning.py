"""What supplied categories mean: by labelled products with the same words, or by a node of that name."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl

from prodemb.audit.meaning import supplied_meanings, supplied_shares
from prodemb.category.nodes import Nodes
from prodemb.category.voices.every import Voices
from prodemb.category.voices.names import Names
from prodemb.category.voices.supplied import SuppliedCounts
from prodemb.heads.labels import CategoryLabel

PATHS = ("Food", "Food > Tea", "Food > Bread", "Toys", "Toys > Bread")


def frame(*categories: str | None) -> pl.DataFrame:
    """One product for each `cat1/cat2`, or none."""
    parts = [[*text.split("/"), None][:2] if text else [None, None] for text in categories]
    columns = {"raw_cat1": [p[0] for p in parts], "raw_cat2": [p[1] for p in parts], "raw_cat3": [None] * len(parts)}
    return pl.DataFrame(
        columns | {"partner": [None] * len(parts)},
        schema_overrides=dict.fromkeys(("raw_cat1", "raw_cat2", "raw_cat3", "partner"), pl.String),
    )


def voices_of(labelled: list[tuple[str, int]]) -> Voices:
    counts = SuppliedCounts.fit(frame(*(text for text, _ in labelled)), nodes=np.array([node for _, node in labelled]))
    nodes = Nodes([CategoryLabel(id=number, path=path) for number, path in enumerate(PATHS)])
    return cast(Voices, SimpleNamespace(nodes=nodes, supplied=counts, names=Names(paths=PATHS)))


def meanings(labelled: list[tuple[str, int]], *asked: str | None) -> list[int]:
    return supplied_meanings(frame(*asked), voices=voices_of(labelled)).tolist()


def test_words_mean_the_deepest_node_that_nearly_all_products_with_them_are_in() -> None:
    labelled = [("Hot", 1)] * 8 + [("Mixed", 1)] * 4 + [("Mixed", 2)] * 4 + [("All", 1)] * 4 + [("All", 3)] * 4
    assert meanings(labelled, "Mixed", "hot ", "All", None, "Hot") == [0, 1, -1, -1, 1]


def test_it_takes_four_products() -> None:
    assert meanings([("Hot", 1)] * 3, "Hot") == [-1]
    assert meanings([("Hot", 1)] * 4, "Hot") == [1]


def test_the_first_words_of_a_category_are_not_its_meaning() -> None:
    assert meanings([("Hot/Black", 1)] * 9, "Hot/Green", "Hot", "Hot/Black") == [-1, -1, 1]


def test_words_that_nobody_has_labelled_mean_the_one_node_of_that_name() -> None:
    assert meanings([("Hot", 1)] * 9, "Store/teas", "Bread", "Tea sets", "Toys/New") == [1, -1, -1, -1]


def test_the_share_of_products_with_the_same_words_that_are_on_the_line_of_a_node() -> None:
    voices = voices_of([("Hot", 1)] * 6 + [("Hot", 0)] * 2 + [("Hot", 3)])
    shares = supplied_shares(frame(*["Hot"] * 5, "New"), nodes=np.array([1, 0, 2, 3, 4, 1]), voices=voices)
    assert np.allclose(shares, [0.8, 0.8, 0.2, 0.1, 0.1, 0])
