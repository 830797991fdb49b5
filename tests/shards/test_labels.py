"""Labels of a file of their own stand in place of those of the shards, wherever gold labels are read."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from prodemb.shards.labels import GivenLabels
from prodemb.shards.product_stream import ProductStream
from prodemb.shards.reader import ShardSet
from tests.shard_sets import write_columns


def given(**brands: str | None) -> GivenLabels:
    """Categories of products by id, and the brand of the first."""
    frame = pl.DataFrame(
        {
            "product_id": [*brands],
            "google_category_id": [*brands.values()],
            "brand_label": ["Acme", *[None] * (len(brands) - 1)],
        },
        schema=dict.fromkeys(("product_id", "google_category_id", "brand_label"), pl.String),
    )
    return GivenLabels(frame=frame, source="labels.csv")


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    return write_columns(
        tmp_path / "shards",
        google_category_id=["1", None, "3", None, "5"],
        brand_label=["Own", "Own", None, None, None],
    )


def test_they_win_and_the_others_stay(shards: ShardSet) -> None:
    labelled = shards.with_labels(given(p2="30", p1="20", p9="90"))
    categories, brands = ["1", "20", "30", None, "5"], ["Own", "Own", "Acme", None, None]
    assert labelled.frame()["product_id"].to_list() == ["p0", "p1", "p2", "p3", "p4"]
    assert labelled.frame()["google_category_id"].to_list() == categories
    assert labelled.frame(["brand_label"]).to_series().to_list() == brands
    assert labelled.coded("google_category_id").values.to_list() == ["1", "20", "30", "5"]
    gold = ProductStream(labelled, features=("title",), texts=()).take(5).gold
    assert gold["google_category_id"].to_list() == categories
    assert gold["brand_label"].to_list() == brands
    assert next(labelled.shards()).frame(["google_category_id"], rows=np.array([1])).to_series().to_list() == ["20"]
    assert shards.frame(["google_category_id"]).to_series().to_list() == ["1", None, "3", None, "5"]
    assert labelled.name == f"{shards.folder} with labels.csv"


def test_their_hash_is_that_of_the_labels_in_whatever_order() -> None:
    one, other = given(a="1", b="2"), given(a="1", b="2")
    assert GivenLabels(frame=one.frame.reverse(), source="elsewhere.csv").inputs_hash == other.inputs_hash
    assert given(a="1", b="3").inputs_hash != other.inputs_hash


def test_rows_of_a_catalog_keep_their_columns_and_types() -> None:
    rows = pa.table(
        {
            "product_id": pa.array(["a", "b"], pa.large_string()),
            "google_category_id": pa.array(["1", None], pa.large_string()),
            "image": pa.array([b"x", None], pa.large_binary()),
            "brand_label": pa.nulls(2, pa.large_string()),
        }
    )
    found = given(b="2").onto_rows(rows)
    assert found.schema == rows.schema
    assert found["google_category_id"].to_pylist() == ["1", "2"]
    assert found["brand_label"].to_pylist() == [None, "Acme"]
