"""The whole job with its shard sets in a bucket: what comes out is what comes out of a local one."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from prodemb.core.progress import no_progress
from prodemb.job.pipeline import Pipeline, read_pipeline
from prodemb.job.run import StepFinished, run
from prodemb.job.train import TrainReport
from prodemb.score.bucket import predictions_to_read
from prodemb.score.folder import prediction_files
from prodemb.shards.paths import read_path_vectors
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder
from prodemb.storage.desk import at_desk
from prodemb.storage.objects import read
from tests.command_line import prodemb
from tests.embed.conftest import contents
from tests.embed.test_bucket import objects
from tests.job.shop_pipeline import make_pipeline
from tests.object_store import SECRET, ObjectStore, bucket, object_store, running_store

__all__ = ["bucket", "object_store", "running_store"]


def set_environment(values: Mapping[str, str]) -> None:
    os.environ.update(values)


@pytest.mark.slow
def test_both_shard_sets_of_a_category_pipeline_may_be_in_a_bucket(
    tiny_clip: Path, tmp_path: Path, bucket: Address
) -> None:
    out = {"score": {"out": str(tmp_path / "out.parquet")}}
    finetune = {"epochs": 1, "out": str(tmp_path / "tuned"), "shards": str(tmp_path / "tuned-shards")}
    local = make_pipeline(tmp_path, tiny_clip, finetune=finetune, **out)
    away = {
        "embed": {"out": str(bucket / "clip")},
        "finetune": {"shards": str(bucket / "tuned")},
        "train": {"out": str(tmp_path / "away")},
        "score": {"out": str(bucket / "predictions")},
    }
    reports = []
    for pipeline in (local, local.replaced(away, source="test")):
        with at_desk():
            events = list(run([pipeline], finetune=True, progress=no_progress))
        reports.append([each.report for each in events if isinstance(each, StepFinished)])
    assert objects(bucket / "clip") == contents(tmp_path / "shards")
    assert objects(bucket / "tuned").keys() == contents(tmp_path / "tuned-shards").keys()
    assert read_path_vectors(bucket / "clip") is not None
    trained = [each for each in reports[1] if isinstance(each, TrainReport)]
    assert [each.shards for each in trained] == [bucket / "clip", bucket / "tuned"]
    away_files = prediction_files(predictions_to_read(str(bucket / "predictions")))
    assert pl.read_parquet(tmp_path / "out.parquet").equals(pl.read_parquet([*away_files]))
    page = read(bucket / "report.html").content.decode()
    assert str(bucket / "predictions") in page
    assert str(cache_folder()) not in page


def test_a_pipeline_may_name_a_bucket_where_it_names_a_shard_set_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "category.toml"
    path.write_text(
        'target = "category"\n[embed]\nout = "s3://some-bucket/clip"\n[finetune]\nshards = "gs://other/x"\n'
    )
    assert read_pipeline(path).embed.out == "s3://some-bucket/clip"
    path.write_text('target = "category"\n[embed]\nout = "s3://key:hidden@some-bucket/clip"\n')
    with pytest.raises(Exception, match=r"\[embed\] out: an address that begins with s3:// holds '@'") as error:
        read_pipeline(path)
    assert "hidden" not in str(error.value)
    with pytest.raises(Exception, match="wanted two folders"):
        Pipeline.parse(
            {"target": "brand", "embed": {"out": "s3://b/x/"}, "finetune": {"shards": "s3://b/x"}}, source="x"
        )


@pytest.mark.slow
def test_the_commands_that_take_a_shard_set_take_one_of_a_bucket(
    tmp_path: Path, bucket: Address, object_store: ObjectStore
) -> None:
    before = partial(set_environment, object_store.environment(tmp_path / "cache"))
    out = bucket / "shards"

    def shown(*arguments: str | Path) -> str:
        result = prodemb(*arguments, cwd=tmp_path, before=before)
        text = result.stdout + result.stderr
        assert result.returncode == 0, text
        assert SECRET not in text
        return text

    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "brand.toml").write_text('target = "brand"\n[train]\nepochs = 2\n')
    (tmp_path / "embed.toml").write_text('target = "brand"\n[embed]\nshard_size = 48\n')
    shown("sample", "sample", "--products", "80")
    for folder in (out, tmp_path / "local"):
        shown("embed", "--out", str(folder), "--pipeline", "embed.toml")
    assert objects(out) == contents(tmp_path / "local")
    dry_run = shown("embed", "--out", str(out), "--pipeline", "embed.toml", "--dry-run")
    assert "already up to date" in dry_run
    assert f"{out}: no errors" in shown("verify", str(bucket))
    assert str(out) in shown("inspect", str(bucket))
    for shards, head in ((str(out), "away"), (str(tmp_path / "local"), "here")):
        shown("train-brand", "--shards", shards, "--out", head)
        shown("score", shards, f"{head}.parquet", "--head", head)
        shown("export", shards, f"{head}-npy", "--to", "npy")
    brand = tmp_path / "pipelines" / "brand.toml"
    brand.write_text(f"{brand.read_text()}[score]\nworkers = 2\nmax_rows_per_file = 48\n")
    shown("score", str(out), "parts", "--head", "away")
    assert pl.read_parquet(tmp_path / "parts" / "part-*.parquet").equals(pl.read_parquet(tmp_path / "here.parquet"))
    shown("audit", str(out), "audit.parquet", "--head", "away")
    shown("label", str(out), "labels.csv", "--products", "5")
    for name in ("{}.parquet", "{}-npy/products.parquet"):
        away, here = (pl.read_parquet(tmp_path / name.format(each)) for each in ("away", "here"))
        assert away.equals(here)
    assert (tmp_path / "away-npy" / "title.npy").read_bytes() == (tmp_path / "here-npy" / "title.npy").read_bytes()
