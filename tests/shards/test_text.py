"""Text vectors in shards: made by their encoder, updated alone, replaced alone, and no trace of them without one."""

import json
import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from prodemb.core.errors import ConfigError, FingerprintError
from prodemb.embed.config import EmbedConfig
from prodemb.heads.head import TrainedHead
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.shards.text import TextKind
from prodemb.towers.text_checkpoint import find_text_checkpoint
from prodemb.towers.text_encoder import load_text_encoder
from tests.embed.conftest import MakeCatalog, estimated, run
from tests.small_heads import make_head, score_with
from tests.text_encoders import DIM, write_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


def texts_of(catalog: Path) -> list[str]:
    rows = pl.read_parquet(catalog).select("title", "description").rows()
    return [". ".join(text for text in row if text) for row in rows]


def head_of(shards: ShardSet, *, kind: TextKind) -> TrainedHead:
    """An untrained head on titles and text vectors of a kind."""
    dims = (shards.schema.dim, kind.dim)
    return make_head("brand", fingerprint=shards.schema.fingerprint, features=("title", "text"), dims=dims, text=kind)


def test_vectors_are_the_encoder_s_of_the_joined_texts(
    make_catalog: MakeCatalog, tiny_clip: Path, encoder: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    report = run(catalog, out, tiny_clip, text_model=str(encoder))
    shards, texts = open_shard_set(out), texts_of(catalog)
    assert shards.schema.text is not None
    assert (shards.schema.text.features, shards.schema.dim_of("text")) == (("title", "description"), DIM)
    assert shards.present("text").all()
    assert report.timings.num_joined == len({*texts[:16]}) + len({*texts[16:32]}) + len({*texts[32:]})
    loaded = load_text_encoder(find_text_checkpoint(str(encoder)), device="cpu", dtype="float32")
    with torch.inference_mode():
        wanted = loaded.text_vectors(*loaded.text.pad(loaded.text.tokenize(texts))).numpy()
    assert np.allclose(shards.vectors("text"), wanted, atol=2e-3)


def test_without_an_encoder_shards_are_what_they_were(
    make_catalog: MakeCatalog, tiny_clip: Path, encoder: Path, tmp_path: Path
) -> None:
    catalog = make_catalog(24)
    run(catalog, tmp_path / "none", tiny_clip)
    schema = json.loads((tmp_path / "none" / "manifest.json").read_text())["shard_schema"]
    assert "text" not in schema
    assert "text" not in schema["features"]
    run(catalog, tmp_path / "text", tiny_clip, text_model=str(encoder))
    with_text, without = open_shard_set(tmp_path / "text"), open_shard_set(tmp_path / "none")
    for feature in without.schema.features:
        assert np.array_equal(with_text.vectors(feature), without.vectors(feature))


def test_an_update_encodes_new_texts_alone(
    make_catalog: MakeCatalog, tiny_clip: Path, encoder: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip, text_model=str(encoder))
    before = open_shard_set(out).vectors("text")
    frame = pl.read_parquet(catalog)
    frame.with_columns(title=pl.when(product_id="p20").then(pl.lit("a sofa")).otherwise("title")).write_parquet(catalog)
    report = run(catalog, out, tiny_clip, text_model=str(encoder))
    assert report.manifest.changes is not None
    assert report.manifest.changes.changed_features == {"title": 1, "lexical": 1, "text": 1}
    assert (report.timings.num_texts, report.timings.num_joined) == (1, 1)
    run(catalog, tmp_path / "fresh", tiny_clip, text_model=str(encoder))
    after, others = open_shard_set(out).vectors("text"), np.arange(40) != 20
    assert np.array_equal(after[others], before[others])
    assert np.array_equal(after, open_shard_set(tmp_path / "fresh").vectors("text"))


def test_another_encoder_or_template_replaces_text_vectors_and_no_others(
    make_catalog: MakeCatalog, tiny_clip: Path, encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalog, out = make_catalog(24), tmp_path / "shards"
    assert run(catalog, out, tiny_clip).timings.num_joined == 0
    added = run(catalog, out, tiny_clip, text_model=str(encoder))
    assert (added.timings.num_texts, added.timings.num_images, added.timings.num_joined > 0) == (0, 0, True)
    other = write_encoder(tmp_path / "other", seed=1, kind="bert", pooling={"pooling_mode": ["cls", "mean"]})
    with caplog.at_level(logging.WARNING):
        replaced = run(catalog, out, tiny_clip, text_model=str(other))
    assert "its text vectors, of" in caplog.text
    assert (replaced.timings.num_texts, replaced.timings.num_images, replaced.timings.num_joined > 0) == (0, 0, True)
    assert open_shard_set(out).vectors("text").shape == (24, 2 * DIM)
    again = run(catalog, out, tiny_clip, text_model=str(other), text_template=["{title}"])
    assert again.timings.num_joined > 0
    run(catalog, tmp_path / "fresh", tiny_clip, text_model=str(other), text_template=["{title}"])
    updated, fresh = open_shard_set(out), open_shard_set(tmp_path / "fresh")
    for feature in fresh.schema.features:
        assert np.array_equal(updated.vectors(feature), fresh.vectors(feature))
    assert updated.schema == fresh.schema


def test_a_dry_run_counts_them(make_catalog: MakeCatalog, tiny_clip: Path, encoder: Path, tmp_path: Path) -> None:
    catalog, out = make_catalog(24), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before = estimated(catalog, out, tiny_clip, text_model=str(encoder))
    assert (before.num_shards, before.workload.num_texts, before.workload.num_images) == (2, 0, 0)
    assert before.sample is not None
    assert before.sample.timings.num_joined > 0
    assert before.num_bytes > 2 * 24 * (7 * 24 + 1024 + DIM)
    done = run(catalog, out, tiny_clip, text_model=str(encoder))
    assert before.workload.num_joined == done.timings.num_joined
    assert estimated(catalog, out, tiny_clip, text_model=str(encoder)).num_shards == 0


def test_settings_go_together() -> None:
    assert EmbedConfig(text_model="e").features == (*EmbedConfig().features, "text")
    assert EmbedConfig(text_model="e", features=("title",)).features == ("title", "text")
    for values, said in (
        ({"features": ["title", "text"]}, "found text without text_model"),
        ({"text_template": []}, "text_template: found no part"),
        ({"text_template": ["{image}"]}, r"text_template: found '\{image\}', wanted one or more of \{title\}"),
    ):
        with pytest.raises(ConfigError, match=said):
            EmbedConfig.parse(values, source="test")


def test_a_head_reads_no_text_vectors_of_another_kind(
    make_catalog: MakeCatalog, tiny_clip: Path, encoder: Path, tmp_path: Path
) -> None:
    run(make_catalog(8), tmp_path / "shards", tiny_clip, text_model=str(encoder))
    shards = open_shard_set(tmp_path / "shards")
    assert shards.schema.text is not None
    score_with([shards], tmp_path / "out.parquet", head_of(shards, kind=shards.schema.text))
    other = shards.schema.text.model_copy(update={"template": ("{brand}",)})
    with pytest.raises(FingerprintError, match=r"reads text vectors of .* has others; embed again"):
        score_with([shards], tmp_path / "out.parquet", head_of(shards, kind=other))
