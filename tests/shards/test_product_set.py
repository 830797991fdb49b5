"""Product sets: only the wanted rows are read, and a copy may lack a feature or have another product's."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.core.arrays import Indices
from prodemb.core.features import TEXT_FEATURES, Feature, raw_column
from prodemb.shards.lexical import lexical_vectors
from prodemb.shards.product_set import ProductSet, load_presence, load_vectors, read_products, supplied_values
from prodemb.shards.reader import ShardSet
from tests.shard_sets import write_branded_set


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return write_branded_set(tmp_path_factory.mktemp("shards"))


ROWS = np.array([0, 3, 249, 250, 420, 599])


def read(shards: ShardSet) -> ProductSet:
    return read_products(shards, features=("title", "brand", "image"), rows=ROWS)


@pytest.mark.parametrize("rows", [ROWS, np.arange(240, 520), np.arange(0)])
def test_only_the_wanted_rows_are_loaded(shards: ShardSet, rows: Indices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodemb.shards.product_set._ROWS_AT_A_TIME", 64)
    vectors = load_vectors(shards, features=("title", "image"), rows=rows)
    present = load_presence(shards, features=("title", "image"), rows=rows)
    assert np.array_equal(vectors[:, 8:], shards.vectors("image")[rows])
    assert np.array_equal(present[:, 0], shards.present("title")[rows])
    titles = shards.frame(["raw_title"]).to_series()
    assert supplied_values(shards, ["raw_title"], rows=rows)["raw_title"].equals(titles[rows])


def test_a_withheld_feature_is_gone_from_vectors_and_texts(shards: ShardSet) -> None:
    products = read(shards)
    without = products.without("brand", "image")
    assert without.present.tolist() == [[True, False, False]] * len(ROWS)
    assert not without.vectors[:, 8:].any()
    assert np.array_equal(without.vectors[:, :8], products.vectors[:, :8])
    assert without.supplied["raw_brand"].null_count() == len(ROWS)
    assert without.supplied["raw_title"].equals(products.supplied["raw_title"])
    assert products.supplied["raw_brand"].null_count() < len(ROWS)


def test_the_lexical_vector_is_that_of_the_texts_that_are_left() -> None:
    texts = {feature: ["red shoe", None, "a mug", ""] for feature in TEXT_FEATURES}
    texts["description"] = ["of leather", "a lamp", None, None]
    supplied = pl.DataFrame({raw_column(feature): pl.Series(column) for feature, column in texts.items()})
    both = lexical_vectors([texts["title"], texts["description"]], dim=64)
    products = ProductSet(
        features=("title", "lexical"),
        dims=(2, 64),
        vectors=np.concatenate([np.ones((4, 2), np.float16), both], axis=1),
        present=np.array([[True, True]] * 3 + [[True, False]]),
        supplied=supplied,
    )
    without = products.without("description", "cat1")
    assert np.array_equal(without.vectors[:, 2:], lexical_vectors([texts["title"], [None] * 4], dim=64))
    assert without.present[:, 1].tolist() == [True, False, True, False]
    assert np.array_equal(without.vectors[:, :2], products.vectors[:, :2])
    assert np.array_equal(products.without("cat1").vectors, products.vectors)
    assert not products.without("title", "lexical").present.any()
    assert not products.without("title", "description").present.any()


def with_text(joined: tuple[Feature, ...]) -> ProductSet:
    """Four products with a text vector; the second has no description, the third no cat1."""
    supplied = pl.DataFrame({raw_column(feature): pl.Series(["a", "b", "a", "d"]) for feature in TEXT_FEATURES})
    return ProductSet(
        features=("title", "text"),
        dims=(2, 3),
        vectors=np.ones((4, 5), np.float16),
        present=np.ones((4, 2), bool),
        supplied=supplied.with_columns(
            raw_description=pl.Series(["x", None, "x", "x"]), raw_cat1=pl.Series(["x", "y", None, "x"])
        ),
        joined=joined,
    )


def test_a_text_vector_goes_with_each_field_that_it_says() -> None:
    products = with_text(("title", "description"))
    without = products.without("description", "cat1")
    assert without.present.tolist() == [[True, False], [True, True], [True, False], [True, False]]
    assert without.vectors[:, 2:].any(axis=1).tolist() == [False, True, False, False]
    assert np.array_equal(products.present_without("description", "cat1"), without.present)
    assert products.without("cat1", "cat2", "cat3").present.all()
    assert with_text(("title", "cat1")).without("cat1").present[:, 1].tolist() == [False, False, True, False]


def test_a_text_vector_goes_where_another_products_field_says_something_else() -> None:
    donors = np.array([3, 0, 1, 2])
    changed = with_text(("title", "cat1")).with_those_of(donors, feature="cat1")
    assert changed.present[:, 1].tolist() == [True, False, False, False]
    assert changed.vectors[:, 2:].any(axis=1).tolist() == [True, False, False, False]
    assert with_text(("title",)).with_those_of(donors, feature="cat1").present.all()


def test_another_products_feature_comes_with_its_vector_and_text(shards: ShardSet) -> None:
    products = read(shards)
    donors = np.array([1, 2, 3, 4, 5, 0])
    changed = products.with_those_of(donors, feature="brand")
    assert changed.supplied["raw_brand"].equals(products.supplied["raw_brand"][donors])
    assert np.array_equal(changed.vectors[:, 8:16], products.vectors[donors, 8:16])
    assert np.array_equal(changed.present[:, 1], products.present[donors, 1])
    others = [*range(8), *range(16, 24)]
    assert np.array_equal(changed.vectors[:, others], products.vectors[:, others])


def test_some_products_are_taken_whole(shards: ShardSet, tmp_path: Path) -> None:
    products = read(shards)
    some = products.take(np.array([2, 0]))
    assert len(some) == 2
    assert np.array_equal(some.vectors, products.vectors[[2, 0]])
    assert some.supplied.equals(products.supplied[[2, 0]])


def test_some_features_are_taken_with_their_vectors(shards: ShardSet) -> None:
    products = read(shards)
    some = products.of(("title", "image"))
    assert (some.features, some.dims) == (("title", "image"), (8, 8))
    assert np.array_equal(some.vectors, np.concatenate([products.vectors[:, :8], products.vectors[:, 16:]], axis=1))
    assert np.array_equal(some.present, products.present[:, [0, 2]])
    assert some.supplied.equals(products.supplied)
    assert products.of(products.features) is products
