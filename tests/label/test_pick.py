"""Products are picked that stand for many others, each kind once before any twice."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.core.arrays import Floats, Indices
from prodemb.label import pick as picking
from prodemb.label.pick import most_helpful, pick
from prodemb.shards.product_set import ProductSet
from prodemb.shards.reader import ShardSet, open_shard_set
from tests.shard_sets import write_clustered_set, write_shards

NONE = np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return write_clustered_set(tmp_path_factory.mktemp("set") / "shards", num=300, num_classes=6, noise=0.3)


def classes(shards: ShardSet, rows: Indices) -> list[str]:
    return shards.frame(["brand_label"]).to_series().gather(rows).to_list()


def test_each_kind_is_picked_once_before_any_twice(shards: ShardSet) -> None:
    every = np.arange(300)
    chosen = pick(shards, num_products=6, rows=every, labelled=NONE, seed=0)
    assert len({*classes(shards, chosen)}) == 6
    again = pick(shards, num_products=6, rows=every, labelled=NONE, seed=0)
    assert again.tolist() == chosen.tolist()


def test_where_there_are_more_products_than_groups(shards: ShardSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picking, "_GROUPS", 40)
    monkeypatch.setattr(picking, "_LOOKED_AT", 250)
    monkeypatch.setattr(picking, "_ROWS_AT_A_TIME", 64)
    chosen = pick(shards, num_products=12, rows=np.arange(0, 300), labelled=NONE, seed=0)
    assert len({*chosen}) == 12
    assert len({*classes(shards, chosen[:6])}) == 6


def test_kinds_that_carry_labels_wait(shards: ShardSet) -> None:
    names = np.array(classes(shards, np.arange(300)))
    known = np.flatnonzero((names == "Brand 0") | (names == "Brand 1"))
    rows = np.setdiff1d(np.arange(300), known[:20])
    chosen = pick(shards, num_products=4, rows=rows, labelled=known[:20], seed=0)
    assert {*classes(shards, chosen)} == {"Brand 2", "Brand 3", "Brand 4", "Brand 5"}


def test_products_that_a_head_is_unsure_of_come_first(shards: ShardSet) -> None:
    def confidences(products: ProductSet) -> Floats:
        assert products.features == ("title",)
        return np.where(products.supplied["raw_brand"].str.ends_with(" 3"), 0.1, 0.99).astype(np.float32)

    chosen = pick(
        shards,
        num_products=2,
        rows=np.arange(300),
        labelled=NONE,
        seed=0,
        confidences=confidences,
        features=("title",),
    )
    assert classes(shards, chosen)[0] == "Brand 3"


def test_no_more_than_there_are(shards: ShardSet) -> None:
    assert pick(shards, num_products=9, rows=NONE, labelled=np.arange(300), seed=0).tolist() == []
    assert sorted(pick(shards, num_products=9, rows=np.array([3, 8]), labelled=NONE, seed=0)) == [3, 8]


def test_a_small_partner_is_not_drowned_by_a_large_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    # Of the small partner's kind there are ten, of each of the other's two hundred.
    kinds = np.array([0] * 200 + [1] * 200 + [2] * 10)
    vectors = np.eye(3)[kinds] + 0.05 * random.standard_normal((410, 3))
    partner = ["large" if kind < 2 else "small" for kind in kinds]
    write_shards(tmp_path, vectors={"title": vectors}, columns={"partner": partner}, sizes=[410])
    shards = open_shard_set(tmp_path)
    chosen = pick(shards, num_products=3, rows=np.arange(410), labelled=NONE, seed=0)
    assert {*kinds[chosen]} == {0, 1, 2}


def test_the_best_set_of_a_line_of_places() -> None:
    angles = np.array([0.0, 0.05, 0.1, 1.5, 3.1])
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    weights = np.array([1.0, 1, 1, 1, 5])
    assert most_helpful(places, weights=weights, known=None, num=3, seed=0).tolist() == [4, 2, 3]
    assert most_helpful(places, weights=weights, known=places[4:], num=2, seed=0).tolist() == [2, 3]


def test_supplied_categories_and_partners_are_evened() -> None:
    supplied = pl.DataFrame({"partner": ["a"] * 4 + [None], "path": ["x", "x", "x", "y", "x"]})
    weight = picking._evened(supplied)
    assert weight[3] > weight[0]
    assert weight[4] > weight[0]
