"""Predicting another feed: embedded with the heads' own checkpoint into a cache, and scored."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from prodemb.catalog.config import CatalogConfig
from prodemb.core.errors import ConfigError
from prodemb.core.progress import no_progress
from prodemb.job.embed import embed_catalog
from prodemb.job.pipeline import Pipeline
from prodemb.job.predict import PredictReport, predict_feed
from prodemb.job.score import score_shards
from prodemb.shards.reader import open_shard_set
from prodemb.storage.address import Address, Place
from tests.conftest import WORDS
from tests.embed.conftest import contents
from tests.embed.test_bucket import objects
from tests.object_store import bucket, object_store, running_store
from tests.predict.heads import write_heads

__all__ = ["bucket", "object_store", "running_store"]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    values = {"target": "brand", "predict": {"cache": str(tmp_path / "cache")}, "score": {"min_brand_confidence": 0}}
    return Pipeline.parse(values, source="test")


def predicted(feed: Path, out: Place, *, heads: list[Path], pipeline: Pipeline) -> PredictReport:
    return predict_feed(CatalogConfig(path=str(feed)), out, heads=heads, pipeline=pipeline, progress=no_progress)


def test_a_feed_is_embedded_and_scored_as_two_commands_would(
    make_catalog: Callable[[int], Path], tiny_clip: Path, tmp_path: Path, pipeline: Pipeline, bucket: Address
) -> None:
    feed, heads, out = make_catalog(40), write_heads(tmp_path / "heads", tiny_clip), tmp_path / "out.parquet"
    report = predicted(feed, out, heads=heads, pipeline=pipeline)
    assert report.score.num_products == 40
    assert report.comparison.empty["image"] == (6 / 40, 0.5)
    assert report.comparison.unknown_categories is not None

    own = pipeline.replaced(
        {
            "catalog": {"path": str(feed)},
            "embed": {"model": str(tiny_clip), "out": str(tmp_path / "shards"), "lexical_dim": 64},
        },
        source="test",
    )
    embed_catalog(own, progress=no_progress)
    shards, other = open_shard_set(tmp_path / "shards"), tmp_path / "other.parquet"
    score_shards([shards], out=other, heads=heads, pipeline=own, progress=no_progress)
    assert pl.read_parquet(out).equals(pl.read_parquet(other))

    several = predicted(feed, tmp_path / "out", heads=heads, pipeline=pipeline)
    assert several.score.num_files == 1
    assert several.comparison == report.comparison
    assert pl.read_parquet(tmp_path / "out" / "*.parquet").equals(pl.read_parquet(out))

    away = predicted(feed, bucket / "out", heads=heads, pipeline=pipeline)
    assert away.comparison == report.comparison
    assert objects(bucket / "out") == contents(tmp_path / "out")

    again = predicted(feed, out, heads=heads, pipeline=pipeline)
    assert again.score.was_done
    assert [embedded.num_new for embedded in again.embedded.values()] == [0]
    assert again.comparison == report.comparison


def test_only_what_changed_is_encoded_whatever_tomorrow_s_feed_is_called(
    make_catalog: Callable[[int], Path], tiny_clip: Path, tmp_path: Path, pipeline: Pipeline
) -> None:
    feed, heads, out = make_catalog(40), write_heads(tmp_path / "heads", tiny_clip), tmp_path / "out.parquet"
    predicted(feed, out, heads=heads[:1], pipeline=pipeline)
    changed = pl.col("product_id") == "p7"
    title = pl.when(changed).then(pl.lit("lamp brush")).otherwise("title")
    tomorrow = tmp_path / "tomorrow.parquet"
    pl.read_parquet(feed).with_columns(title=title).write_parquet(tomorrow)
    report = predicted(tomorrow, out, heads=heads, pipeline=pipeline)
    ((folder, embedded),) = report.embedded.items()
    assert folder.name == "catalog"
    assert embedded.manifest.changes is not None
    assert (embedded.manifest.changes.changed, embedded.manifest.changes.vectors_encoded) == (1, 1)
    assert pl.read_parquet(out).height == 40


def test_each_partner_s_feed_has_its_own_vectors(
    make_catalog: Callable[[int], Path], tiny_clip: Path, tmp_path: Path, pipeline: Pipeline
) -> None:
    feed, heads, out = make_catalog(30), write_heads(tmp_path / "heads", tiny_clip), tmp_path / "out.parquet"
    predicted(feed, out, heads=heads, pipeline=pipeline)
    folders: list[Path] = []
    for partner in ("one", "two"):
        other = tmp_path / partner / "catalog.csv"
        other.parent.mkdir()
        frame = pl.DataFrame(
            {"product_id": [f"p{i}" for i in range(20)], "title": [f"{partner} {w}" for w in WORDS[:20]]}
        )
        frame.write_csv(other)
        folders += predicted(other, tmp_path / f"{partner}.parquet", heads=heads, pipeline=pipeline).embedded
    assert [folder.name for folder in folders] == ["catalog-2", "catalog-3"]
    assert predicted(feed, out, heads=heads, pipeline=pipeline).score.was_done


def test_where_predictions_cannot_be_is_told_before_the_work(tmp_path: Path, pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match=r"out\.csv: predictions are a Parquet file, or a folder"):
        predicted(tmp_path / "feed.csv", tmp_path / "out.csv", heads=[], pipeline=pipeline)
    by_ray = pipeline.replaced({"score": {"engine": "ray"}}, source="test")
    with pytest.raises(ConfigError, match=r"\[score\] engine: found 'ray', and .*out\.parquet is one file"):
        predicted(tmp_path / "feed.csv", tmp_path / "out.parquet", heads=[], pipeline=by_ray)
