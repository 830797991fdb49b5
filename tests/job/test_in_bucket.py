"""The steps of the job with everything but the shards in a bucket, against the same steps on local files."""

import shutil
from pathlib import Path

import pytest

import prodemb
from prodemb.core.errors import ConfigError, HeadError, ModelError
from prodemb.core.progress import no_progress
from prodemb.heads.head import load_head
from prodemb.job.embed import embed_catalog, with_checkpoint
from prodemb.job.finetune import finetune_category
from prodemb.job.pipeline import Pipeline
from prodemb.job.train import TrainReport, head_shards, train
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder
from prodemb.storage.desk import at_desk, folder_to_read, folder_to_write
from prodemb.storage.objects import listing, read, upload
from prodemb.storage.publish import publish_folder
from tests.job.shop_pipeline import make_pipeline
from tests.object_store import SECRET, ObjectStore, bucket, object_store, running_store
from tests.shard_sets import write_random_set
from tests.small_heads import make_head, save_predictor

__all__ = ["bucket", "object_store", "running_store"]


def in_bucket(pipeline: Pipeline, bucket: Address, folder: Path) -> Pipeline:
    """The pipeline with all its files but the shards copied to a bucket."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_relative_to(folder / "shards"):
            upload(path, bucket / path.relative_to(folder).as_posix())
    values = {
        "catalog": {"path": f"{bucket}/catalog.parquet"},
        "embed": {"model": f"{bucket}/clip", "out": str(folder / "shards-of-bucket")},
        "train": {"taxonomy": f"{bucket}/taxonomy.txt", "out": f"{bucket}/heads/category"},
        "finetune": {"out": f"{bucket}/tuned"},
    }
    return pipeline.replaced(values, source="test")


def trained(pipeline: Pipeline) -> TrainReport:
    with at_desk():
        folder = folder_to_write(pipeline.head_name)
        return train(pipeline, shards=head_shards(pipeline), folder=folder, progress=no_progress)


def vectors(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


@pytest.mark.slow
def test_a_bucket_gives_the_same_shards_and_head(
    bucket: Address, tiny_clip: Path, tmp_path: Path, object_store: ObjectStore
) -> None:
    shutil.copytree(tiny_clip, tmp_path / "clip")
    local = make_pipeline(tmp_path, tmp_path / "clip")
    stored = in_bucket(local, bucket, tmp_path)
    local = local.replaced({"embed": {"model": stored.embed.model}}, source="test")  # shards name their model
    for pipeline in (local, stored):
        embed_catalog(pipeline, progress=no_progress)
    assert vectors(tmp_path / "shards-of-bucket") == vectors(tmp_path / "shards")
    manifest = (tmp_path / "shards-of-bucket" / "manifest.json").read_text()
    assert f'"{bucket}/catalog.parquet"' in manifest
    assert str(cache_folder()) not in manifest
    assert SECRET not in manifest

    ours, theirs = trained(stored), trained(local)
    assert ours.head.card.weights_sha256 == theirs.head.card.weights_sha256
    assert not ours.was_done
    assert any(info.address.name == "prodemb-index.json" for info in listing(bucket / "heads/category"))
    card = (ours.folder / "head.json").read_text()
    assert str(cache_folder()) not in card
    shutil.rmtree(cache_folder())  # another machine
    again = trained(stored)
    assert again.was_done
    embed_catalog(stored, progress=no_progress)
    assert load_head(folder_to_read(stored.head_name)).card.classes == theirs.head.card.classes


@pytest.mark.slow
def test_a_fine_tuned_checkpoint_is_published_and_embeds(bucket: Address, tiny_clip: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_clip, tmp_path / "clip")
    settings = {"shards": str(tmp_path / "own"), "epochs": 1, "batch_size": 16}
    pipeline = make_pipeline(tmp_path, tmp_path / "clip", finetune=settings)
    pipeline = in_bucket(pipeline, bucket, tmp_path)
    with at_desk(), pytest.raises(ModelError, match="no fine-tuned checkpoint at s3://"):
        with_checkpoint(pipeline)
    with at_desk():
        tuned = finetune_category(pipeline, progress=no_progress)
        embedded = embed_catalog(pipeline, config=with_checkpoint(pipeline), replace=True, progress=no_progress)
    assert embedded.manifest.shard_schema.fingerprint == tuned.fingerprint
    assert embedded.manifest.shard_schema.model == f"{bucket}/tuned"
    files = [read(info.address).content for info in listing(bucket / "tuned")]
    assert len(files) > 5
    assert not any(str(cache_folder()).encode() in content for content in files)
    shutil.rmtree(cache_folder())
    with at_desk():
        assert finetune_category(pipeline, progress=no_progress).was_done


def test_several_machines_want_a_local_folder_for_the_checkpoint(
    bucket: Address, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip, finetune={"out": f"{bucket}/tuned"})
    on_ray = pipeline.replaced({"finetune": {"engine": "ray"}}, source="test")
    with pytest.raises(ConfigError, match=r"\[finetune\] out: found an address .* Ray starts"):
        finetune_category(on_ray, progress=no_progress)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"\[finetune\] out: found an address"):
        finetune_category(pipeline, progress=no_progress)


def test_a_checkpoint_that_is_not_there_is_named(bucket: Address, tiny_clip: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip, embed={"model": f"{bucket}/clip"})
    with pytest.raises(ModelError, match=rf"model: found '{bucket}/clip', but there is no such folder"):
        embed_catalog(pipeline, progress=no_progress)


def test_python_takes_addresses_too(bucket: Address, tmp_path: Path) -> None:
    write_random_set(tmp_path / "shards")
    save_predictor(tmp_path / "head", make_head("category"))
    publish_folder(tmp_path / "head", bucket / "heads/category")
    head, out = f"{bucket}/heads/category", f"{bucket}/out.parquet"
    report = prodemb.score(tmp_path / "shards", out, heads=[head])
    assert read(bucket / "out.parquet").content == Path(str(report.out)).read_bytes()
    assert prodemb.load_head(head).card.target == "category"
    with pytest.raises(HeadError) as caught:
        prodemb.score(tmp_path / "shards", out, heads=[f"{bucket}/heads/none"])
    assert f"{bucket}/heads/none" in str(caught.value)
    assert str(cache_folder()) not in str(caught.value)
