"""A feed beside what heads were trained on."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.predict.comparison import compare_feed
from prodemb.score.columns import predictions_schema
from tests.shard_sets import write_random_set
from tests.small_heads import make_card


def test_shares_of_unknown_answers_and_of_empty_features(tmp_path: Path) -> None:
    schema, out = predictions_schema(), tmp_path / "out.parquet"
    columns = {field.name: pa.nulls(4, field.type) for field in schema}
    columns |= {
        "product_id": pa.array(["a", "b", "c", "d"]),
        "brand_confidence": pa.array([0.9, 0.8, None, 0.7], pa.float32()),
        "brand_known": pa.array([True, False, False, True]),
        "category_known": pa.array([True, None, True, False]),
    }
    pq.write_table(pa.table(columns, schema=schema), out)
    manifest = write_random_set(tmp_path / "shards").manifest
    category = make_card("category", num_train=10, present_counts=(10, 8, 5, 0, 0, 0, 1))
    found = compare_feed(out, manifests={"clip": manifest}, cards=[make_card("brand"), category])
    assert found.unknown_brands == pytest.approx(1 / 3)
    assert found.unknown_categories == pytest.approx(1 / 3)
    missing = sum(manifest.null_counts()["title"].values())
    assert 10 < missing < 40
    assert list(found.empty) == ["title", "description", "brand", "cat1", "cat2", "cat3", "image"]
    assert found.empty["title"] == (missing / 100, None)
    assert found.empty["cat1"][1] == 1
    assert found.empty["cat3"][1] == 1


def test_what_no_head_says_is_none(tmp_path: Path) -> None:
    schema, out = predictions_schema(), tmp_path / "out.parquet"
    pq.write_table(pa.table({field.name: pa.nulls(1, field.type) for field in schema}), out)
    found = compare_feed(out, manifests={}, cards=[])
    assert (found.unknown_brands, found.unknown_categories, found.empty) == (None, None, {})
