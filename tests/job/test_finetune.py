"""Tomorrow's catalog through the fine-tuned checkpoint: it is kept, and only what is new is encoded with it."""

from pathlib import Path

import polars as pl

from prodemb.core.progress import no_progress
from prodemb.job.embed import embed_catalog, with_checkpoint
from prodemb.job.finetune import finetune_category
from prodemb.shards.paths import read_path_vectors
from tests.finetune.shop import PATHS, write_catalog
from tests.job.shop_pipeline import make_pipeline
from tests.text_encoders import write_encoder


def test_a_catalog_that_changed_a_little_costs_what_is_new(tiny_clip: Path, tmp_path: Path) -> None:
    settings = {"out": str(tmp_path / "tuned"), "shards": str(tmp_path / "own"), "epochs": 1, "batch_size": 16}
    embed = {"text_model": str(write_encoder(tmp_path / "encoder"))}
    pipeline = make_pipeline(tmp_path, tiny_clip).replaced({"finetune": settings, "embed": embed}, source="test")
    first = finetune_category(pipeline, progress=no_progress)
    embed_catalog(pipeline, config=with_checkpoint(pipeline), replace=True, progress=no_progress)
    vectors = read_path_vectors(tmp_path / "own")
    assert vectors is not None
    assert (vectors.fingerprint, vectors.are_of(PATHS)) == (first.fingerprint, True)

    titles = pl.read_parquet(tmp_path / "catalog.parquet")["title"].to_list()
    write_catalog(tmp_path, title=["a new mug", *titles[1:]])
    kept = finetune_category(pipeline, progress=no_progress)
    assert kept.changed is not None
    assert kept.fingerprint == first.fingerprint
    report = embed_catalog(pipeline, config=with_checkpoint(pipeline), replace=True, progress=no_progress)
    assert report.manifest.changes is not None
    assert report.manifest.changes.changed_features == {"title": 1, "lexical": 1, "text": 1}
    assert report.manifest.changes.vectors_encoded == 3
    write_catalog(tmp_path, title=["an old mug", *titles[1:]])
    assert finetune_category(pipeline, progress=no_progress, overwrite=True).fingerprint != first.fingerprint
