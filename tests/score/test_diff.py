"""What is other than in earlier predictions is written, once each, and nothing else."""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from prodemb.cli.report.score import score_lines
from prodemb.core.errors import ConfigError
from prodemb.core.features import BRAND_FEATURES
from prodemb.heads.head import save_head
from prodemb.score.columns import predictions_schema
from prodemb.score.diff import CHANGE
from prodemb.shards.reader import open_shard_set
from tests.shard_sets import random_vectors, write_random_set, write_shards
from tests.small_heads import make_head, score_with


def test_new_changed_and_removed_products(tmp_path: Path) -> None:
    heads = make_head("category"), make_head("brand")
    shards = write_random_set(tmp_path / "shards")
    score_with([shards], tmp_path / "today.parquet", *heads)
    today = pl.read_parquet(tmp_path / "today.parquet")
    earlier = today.filter(pl.col("product_id") != "p7").with_columns(
        brand=pl.when(product_id="p9").then(pl.lit("Another")).otherwise("brand"),
        category_confidence=pl.col("category_confidence") * 0.9,
        category_source=pl.when(product_id="p10").then(pl.lit("gold")).otherwise("category_source"),
        category_known=pl.lit(value=True),
        product_id=pl.when(product_id="p20").then(pl.lit("gone")).otherwise("product_id"),
    )
    earlier.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "earlier.parquet")
    out = tmp_path / "changes.parquet"
    report = score_with([shards], out, *heads, since=tmp_path / "earlier.parquet")
    assert report.counts.changes == {"added": 2, "changed": 2, "removed": 1, "unchanged": 96}
    found = pl.read_parquet(out)
    assert found.select("product_id", CHANGE).rows() == [
        ("p7", "added"),
        ("p9", "changed"),
        ("p10", "changed"),
        ("p20", "added"),
        ("gone", "removed"),
    ]
    assert found.columns == [*predictions_schema().names, CHANGE]
    assert found.head(4).drop(CHANGE).equals(today.filter(pl.col("product_id").is_in(["p7", "p9", "p10", "p20"])))
    assert found.tail(1)["brand"].to_list() == [None]


def test_a_removed_product_keeps_its_partner_and_another_partner_is_no_change(tmp_path: Path) -> None:
    vectors = random_vectors(3, features=BRAND_FEATURES)
    write_shards(tmp_path / "shards", vectors=vectors, columns={"partner": ["alder", "alder", "borea"]}, sizes=[2, 1])
    shards, head = open_shard_set(tmp_path / "shards"), make_head("brand", fingerprint="f1")
    score_with([shards], tmp_path / "today.parquet", head)
    today = pl.read_parquet(tmp_path / "today.parquet")
    assert today["partner"].to_list() == ["alder", "alder", "borea"]
    gone = today.head(1).with_columns(product_id=pl.lit("gone"), partner=pl.lit("cedar"))
    pl.concat([today.tail(2).with_columns(partner=pl.lit("other")), gone]).write_parquet(tmp_path / "earlier.parquet")
    report = score_with([shards], tmp_path / "changes.parquet", head, since=tmp_path / "earlier.parquet")
    assert report.counts.changes == {"added": 1, "changed": 0, "removed": 1, "unchanged": 2}
    found = pl.read_parquet(tmp_path / "changes.parquet")
    assert found.select("product_id", "partner", "brand", CHANGE).rows() == [
        ("p0", "alder", today["brand"][0], "added"),
        ("gone", "cedar", None, "removed"),
    ]


def test_nothing_new_writes_an_empty_file(tmp_path: Path) -> None:
    shards, head = write_random_set(tmp_path / "shards"), make_head("brand")
    score_with([shards], tmp_path / "today.parquet", head)
    report = score_with([shards], tmp_path / "changes.parquet", head, since=tmp_path / "today.parquet")
    assert report.counts.changes == {"added": 0, "changed": 0, "removed": 0, "unchanged": 100}
    assert pl.read_parquet(tmp_path / "changes.parquet").is_empty()


def test_what_is_done_already_is_told_again_without_reading_the_earlier_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, head = write_random_set(tmp_path / "shards"), save_head(tmp_path / "head", make_head("brand"))
    today, out = tmp_path / "today.parquet", tmp_path / "changes.parquet"
    score_with([shards], today, head)
    first = score_with([shards], out, head, since=today)
    monkeypatch.setattr(pq, "ParquetFile", None)
    again = score_with([shards], out, head, since=today)
    assert (first.was_done, again.was_done) == (False, True)
    assert again.counts == first.counts
    assert again.counts.changes == {"added": 0, "changed": 0, "removed": 0, "unchanged": 100}
    assert "0 added, 0 changed, 0 removed, 100 unchanged" in "\n".join(score_lines(again))


def test_a_column_that_earlier_predictions_lack_makes_a_change(tmp_path: Path) -> None:
    shards, head = write_random_set(tmp_path / "shards"), make_head("brand")
    score_with([shards], tmp_path / "today.parquet", head)
    pl.read_parquet(tmp_path / "today.parquet").drop("brand").write_parquet(tmp_path / "earlier.parquet")
    report = score_with([shards], tmp_path / "changes.parquet", head, since=tmp_path / "earlier.parquet")
    assert report.counts.changes == {"added": 0, "changed": 100, "removed": 0, "unchanged": 0}


def test_what_is_no_earlier_predictions_is_refused(tmp_path: Path) -> None:
    shards, head = write_random_set(tmp_path / "shards"), make_head("brand")
    today, changes, third = (tmp_path / f"{name}.parquet" for name in ("today", "changes", "third"))
    score_with([shards], today, head)
    score_with([shards], changes, head, since=today)
    for since, message in [
        (changes, "only what had changed"),
        (tmp_path / "nothing.parquet", "nothing.parquet"),
        (tmp_path / "shards" / "manifest.json", "cannot be read as predictions"),
        (third, "this very file"),
    ]:
        with pytest.raises(ConfigError, match=message):
            score_with([shards], third, head, since=since)
    assert not third.exists()
