"""Conditions: what a condition leaves is left whole, and wrong categories are those of another category's product."""

import numpy as np
import polars as pl

from prodemb.category.conditions import ALL, FEATURES_LEFT, WRONG, category_conditions
from prodemb.category.labels import CategoryLabels
from prodemb.core.features import TEXT_FEATURES, raw_column
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import read_products


def test_each_condition_leaves_its_features_alone(data: Labelled[CategoryLabels]) -> None:
    products = read_products(data.shard_set, features=data.features, rows=data.rows[:200])
    truth = data.index_of(np.arange(200))
    seen = dict(category_conditions(products, truth=truth, seed=0))
    assert list(seen) == list(FEATURES_LEFT)
    assert seen[ALL] is products
    for name, some in seen.items():
        for number, feature in enumerate(products.features):
            if feature not in FEATURES_LEFT[name]:
                assert not some.present[:, number].any(), (name, feature)
            elif name != WRONG:
                assert np.array_equal(some.present[:, number], products.present[:, number]), (name, feature)
        for feature in TEXT_FEATURES:
            column = raw_column(feature)
            if feature not in FEATURES_LEFT[name]:
                assert some.supplied[column].null_count() == 200, (name, feature)


def test_wrong_categories_are_another_category_s(data: Labelled[CategoryLabels]) -> None:
    products = read_products(data.shard_set, features=data.features, rows=data.rows[:200])
    truth = data.index_of(np.arange(200))
    marked = products.supplied.with_columns(raw_cat1=pl.Series([str(label) for label in truth]))
    products = type(products)(**vars(products) | {"supplied": marked})
    wrong = dict(category_conditions(products, truth=truth, seed=0))[WRONG]
    assert not (wrong.supplied["raw_cat1"].cast(pl.Int64).to_numpy() == truth).any()
    assert wrong.supplied["raw_title"].equals(products.supplied["raw_title"])
    assert WRONG not in dict(category_conditions(products, truth=np.zeros(200, np.int64), seed=0))
    assert WRONG not in dict(category_conditions(products.of(("title", "image")), truth=truth, seed=0))


def test_conditions_without_any_vector_are_left_out(data: Labelled[CategoryLabels]) -> None:
    products = read_products(data.shard_set, features=data.features, rows=data.rows[:9]).of(("title",))
    seen = dict(category_conditions(products, truth=np.arange(9), seed=0))
    assert "picture only" not in seen
    assert "title only" in seen
