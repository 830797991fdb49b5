"""Scoring with the settings of pipelines: what counts for both targets, which heads, and what these promise."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.confidence.answers import write_answers
from prodemb.core.errors import ConfigError, HeadError
from prodemb.core.progress import no_progress
from prodemb.heads.evaluation import CategoryEvaluation
from prodemb.job.pipeline import Pipeline
from prodemb.job.score import joint_scoring, own_heads, predictions_to_write, score_shards, trained_heads
from prodemb.storage.address import Address
from tests.shard_sets import write_random_set
from tests.small_heads import answers_at, make_head, save_predictor


def joint(brand: dict[str, Any], category: dict[str, Any]) -> Pipeline:
    one, other = (
        Pipeline.parse({"target": target, "score": score}, source="test")
        for target, score in (("brand", brand), ("category", category))
    )
    return joint_scoring(one, category=other)


def test_what_counts_for_both_targets_may_stand_in_either_pipeline() -> None:
    score = joint({"top": 3, "precision": 0.95, "certainty": 0.8}, {"top": 4, "keep_gold": False}).score
    assert (score.top, score.certainty, score.precision, score.keep_gold) == (3, 0.8, 0.95, False)
    assert joint({}, {}).score.certainty == 0.9
    assert joint({"precision": 0.95}, {"precision": 0.95}).score.precision == 0.95


def test_two_precisions_for_one_file_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"\[score\] precision: found 0\.95 in the brand pipeline and 0\.9 in the cat"
    ):
        joint({"precision": 0.95}, {"precision": 0.9})


def test_a_precision_is_promised_by_the_answers_beside_the_head(tmp_path: Path) -> None:
    shards, folder, out = write_random_set(tmp_path / "shards"), tmp_path / "head", tmp_path / "out.parquet"
    save_predictor(folder, make_head("category"), answers_sha256=write_answers(folder, answers_at(0.2)))
    pipeline = Pipeline.parse({"target": "brand", "score": {"precision": 0.9}}, source="test")
    report = score_shards([shards], out=out, heads=[folder], pipeline=pipeline, progress=no_progress)
    threshold = report.counts.promises["category"].threshold
    assert threshold is not None
    frame = pl.read_parquet(out)
    assert frame["category_confidence"].drop_nulls().ge(threshold).all()
    assert 0 < frame["category_id"].null_count() < 100


def trained(folder: Path, *, out_of_fold: float | None) -> None:
    """A head with so many right out-of-fold answers, or none."""
    evaluation = None if out_of_fold is None else CategoryEvaluation(out_of_fold=out_of_fold, num_out_of_fold=100)
    save_predictor(folder, make_head("category", evaluation=evaluation))


def test_the_better_of_two_category_heads_counts(tmp_path: Path) -> None:
    pipeline = Pipeline.parse({"target": "category", "train": {"out": str(tmp_path / "own")}}, source="test")
    own, frozen = pipeline.head_folder, pipeline.frozen_head_folder
    assert trained_heads([pipeline]) == []
    with pytest.raises(HeadError, match="no head in"):
        own_heads([pipeline])
    trained(frozen, out_of_fold=0.9)
    assert own_heads([pipeline]) == [frozen]
    for share, wanted in ((0.97, own), (0.91, frozen), (0.89, frozen), (None, frozen)):
        trained(own, out_of_fold=share)
        assert own_heads([pipeline]) == [wanted], share
    (frozen / "head.json").write_text("cut short")
    with pytest.raises(HeadError, match="damaged"):
        own_heads([pipeline])


def test_a_brand_pipeline_has_one_head(tmp_path: Path) -> None:
    pipeline = Pipeline.parse({"target": "brand", "train": {"out": str(tmp_path / "own")}}, source="test")
    save_predictor(pipeline.frozen_head_folder, make_head("brand"))
    assert trained_heads([pipeline]) == []
    save_predictor(pipeline.head_folder, make_head("brand"))
    assert trained_heads([pipeline]) == [pipeline.head_folder]


def test_a_folder_of_predictions_in_a_bucket_has_no_working_copy() -> None:
    assert predictions_to_write("s3://bucket/predictions") == Address("s3", "bucket", "predictions")
    assert predictions_to_write("predictions") == Path("predictions")
