"""The lookup of supplied categories backs off from all of them to none."""

import numpy as np
import polars as pl

from prodemb.category.lookups import look_up
from prodemb.heads.baselines import BaselineInputs

COLUMNS = ("raw_cat1", "raw_cat2", "raw_cat3")


def by_supplied(rows: list[tuple[str | None, str | None, str | None]], labels: list[int]) -> BaselineInputs:
    return BaselineInputs(
        labels=np.array(labels),
        vectors=np.zeros((len(rows), 1), np.float32),
        texts=[""] * len(rows),
        supplied=pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row"),
    )


def test_lookup_backs_off_from_three_values_to_none() -> None:
    train = by_supplied(
        [("a", "b", "c"), ("a", "b", "c"), ("a", "b", "d"), ("a", "x", None), ("a", "x", None), ("a", "b", None)],
        [1, 1, 2, 3, 3, 2],
    )
    test = by_supplied(
        [
            ("a", "b", "c"),
            ("a", "b", "new"),
            ("a", "x", None),
            ("a", "new", "c"),
            ("new", "b", "c"),
            (None, None, None),
        ],
        [0] * 6,
    )
    assert look_up(train)(test).topk[:, 0].tolist() == [1, 1, 3, 1, 1, 1]
