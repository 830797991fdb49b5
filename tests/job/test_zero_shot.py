"""The taxonomy's vectors beside the shards: who makes them, and what a damaged, missing or unwritable file costs."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from prodemb.core.errors import ShardError, TaxonomyError
from prodemb.core.folders import MARKER, holding
from prodemb.core.progress import no_progress
from prodemb.job.embed import embed_catalog
from prodemb.job.pipeline import Pipeline
from prodemb.job.train import train
from prodemb.job.zero_shot import open_zero_shot, renew_path_vectors
from prodemb.shards.files import holds_shards
from prodemb.shards.paths import PATHS_NAME, read_path_vectors
from prodemb.shards.reader import open_shard_set
from prodemb.shards.verify import verify
from tests.finetune.shop import PATHS
from tests.job.shop_pipeline import make_pipeline


def test_a_category_pipeline_s_embedding_makes_them_and_a_brand_s_leaves_them(tiny_clip: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip)
    brand = Pipeline.parse(pipeline.model_dump() | {"target": "brand"}, source="test")
    shards = tmp_path / "shards"
    embed_catalog(brand, progress=no_progress)
    assert not (shards / PATHS_NAME).exists()
    embed_catalog(pipeline, progress=no_progress)
    made = (shards / PATHS_NAME).read_bytes()
    found = read_path_vectors(shards)
    assert found is not None
    assert found.are_of(PATHS)
    embed_catalog(brand, progress=no_progress)
    assert (shards / PATHS_NAME).read_bytes() == made


def test_embedding_again_redoes_a_damaged_file(
    tiny_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip)
    brand = Pipeline.parse(pipeline.model_dump() | {"target": "brand"}, source="test")
    shards = tmp_path / "shards"
    embed_catalog(pipeline, progress=no_progress)
    for again, is_there in ((pipeline, True), (brand, False)):
        (shards / PATHS_NAME).write_bytes(b"cut short")
        assert len(verify(shards)) == 1
        embed_catalog(again, progress=no_progress)
        assert verify(shards) == []
        assert (shards / PATHS_NAME).exists() == is_there
    assert "taxonomy.parquet: damaged" in caplog.text


def test_a_missing_taxonomy_is_told_before_the_long_work(tiny_clip: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip, train={"taxonomy": str(tmp_path / "nowhere.txt")})
    with pytest.raises(TaxonomyError, match=r"nowhere\.txt: no such taxonomy file"):
        embed_catalog(pipeline, progress=no_progress)
    assert not (tmp_path / "shards").exists()


def test_shards_without_a_feature_that_counts_have_none_and_zero_shot_says_why(tiny_clip: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip, embed={"features": ["brand", "lexical"]})
    embed_catalog(pipeline, progress=no_progress)
    shards = open_shard_set(tmp_path / "shards")
    renew_path_vectors(
        shards.folder, schema=shards.schema, pipeline=pipeline, config=pipeline.embed, progress=no_progress
    )
    assert not (tmp_path / "shards" / PATHS_NAME).exists()
    with pytest.raises(ShardError, match="with the features brand, lexical; wanted one or more of title"):
        open_zero_shot([shards], pipeline=pipeline, progress=no_progress)


def test_of_two_sets_the_one_that_was_not_fine_tuned_answers(tiny_clip: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip)
    embed_catalog(pipeline, progress=no_progress)
    published = open_shard_set(tmp_path / "shards")
    schema = published.schema.model_copy(update={"model": f"./{pipeline.finetune.out}", "fingerprint": "tuned"})
    shutil.copytree(tmp_path / "shards", tmp_path / "tuned")
    published.manifest.model_copy(update={"shard_schema": schema}).write(tmp_path / "tuned")
    tuned = open_shard_set(tmp_path / "tuned")
    found = open_zero_shot([tuned, published], pipeline=pipeline, progress=no_progress)
    assert found.card.fingerprint == published.schema.fingerprint


@pytest.mark.parametrize("trouble", ["busy", "read-only"])
def test_where_they_cannot_be_written_they_answer_all_the_same(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip)
    embed_catalog(pipeline, progress=no_progress)
    folder = tmp_path / "shards"
    wanted = open_zero_shot([open_shard_set(folder)], pipeline=pipeline, progress=no_progress).card
    (folder / PATHS_NAME).unlink()
    opened = os.open

    def refuse(path: Any, *arguments: Any, **settings: Any) -> int:
        if path == folder / MARKER:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, *arguments, **settings)

    if trouble == "busy":
        with holding(folder, kind="shard set", is_own=holds_shards):
            found = open_zero_shot([open_shard_set(folder)], pipeline=pipeline, progress=no_progress)
    else:
        monkeypatch.setattr(os, "open", refuse)
        found = open_zero_shot([open_shard_set(folder)], pipeline=pipeline, progress=no_progress)
    assert found.card == wanted
    assert not (folder / PATHS_NAME).exists()
    assert "are not kept" in caplog.text


def test_training_takes_a_damaged_file_for_none_and_trains_again_once_it_is_whole(
    tiny_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip)
    shards = tmp_path / "shards"
    embed_catalog(pipeline, progress=no_progress)

    def methods(*, was_done: bool) -> set[str]:
        report = train(pipeline, shards=shards, folder=pipeline.head_folder, progress=no_progress)
        assert report.was_done == was_done
        assert report.head.card.evaluation is not None
        return set(report.head.card.evaluation.conditions[0].top1)

    (shards / PATHS_NAME).write_bytes(b"cut short")
    assert "zero-shot" not in methods(was_done=False)
    assert "taxonomy.parquet: damaged" in caplog.text
    embed_catalog(pipeline, progress=no_progress)
    assert "zero-shot" in methods(was_done=False)
    assert "zero-shot" in methods(was_done=True)
