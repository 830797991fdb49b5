"""Commands whose files lie in a bucket."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from prodemb.cli import _check_arguments, app
from prodemb.cli.json_lines import emit
from prodemb.cli.manner import speaking
from prodemb.core.errors import ConfigError, StorageError
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder, fetched
from prodemb.storage.objects import exists, listing, put_bytes, read
from prodemb.storage.publish import publish_folder
from tests.object_store import ObjectStore, bucket, failing, object_store, running_store
from tests.shard_sets import write_random_set
from tests.small_heads import make_head, save_predictor

__all__ = ["bucket", "object_store", "running_store"]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result


def test_a_head_in_a_bucket_scores_into_it(bucket: Address, tmp_path: Path) -> None:
    write_random_set(Path("shards"))
    save_predictor(Path("head"), make_head("category"))
    publish_folder(Path("head"), bucket / "heads/category")
    run("score", "shards", "local.parquet", "--head", "head")
    for info in listing(bucket / "heads"):  # as `aws s3 cp --recursive` copies
        path = Path(info.address.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read(info.address).content)
    assert str(cache_folder()) not in run("score", "shards", "copied.parquet", "--head", "heads/category").output
    assert pl.read_parquet("copied.parquet").equals(pl.read_parquet("local.parquet"))
    words = ["score", "shards", f"{bucket}/out/out.parquet", "--head", f"{bucket}/heads/category"]
    first = run(*words)
    assert f"{bucket}/out/out.parquet" in first.output
    assert str(cache_folder()) not in first.output
    (tmp_path / "fetched.parquet").write_bytes(read(bucket / "out/out.parquet").content)
    assert pl.read_parquet("fetched.parquet").equals(pl.read_parquet("local.parquet"))
    shutil.rmtree(cache_folder())  # another machine
    assert "already" in run(*words).output
    since = run("score", "shards", f"{bucket}/new.parquet", "--head", "head", "--changed-since", words[2])
    assert str(cache_folder()) not in since.output
    run("feed", words[2], f"{bucket}/feed.tsv", "--min-confidence", "0")
    assert read(bucket / "feed.tsv").content.startswith(b"id\t")


def test_predictions_may_be_a_folder_in_a_bucket(bucket: Address) -> None:
    write_random_set(Path("shards"))
    save_predictor(Path("head"), make_head("category"))
    out = f"{bucket}/predictions"
    words = ["score", "shards", out, "--head", "head"]
    assert f"{out} in 1 file" in run(*words).output
    assert "already" in run(*words).output
    since = run("score", "shards", "new.parquet", "--head", "head", "--changed-since", out)
    assert str(cache_folder()) not in since.output
    assert pl.read_parquet("new.parquet").is_empty()
    run("score", "shards", "local.parquet", "--head", "head")
    for predictions in (out, "local.parquet"):
        run("feed", predictions, f"{Path(predictions).name}.tsv", "--min-confidence", "0")
    assert Path("predictions.tsv").read_bytes() == Path("local.parquet.tsv").read_bytes()
    result = CliRunner().invoke(app, ["feed", f"{bucket}/none", "feed.tsv"])
    assert str(result.exception) == f"{bucket}/none: holds no predictions; wanted what `prodemb score` writes"


def test_reading_a_feed_in_a_bucket_says_its_address_alone(bucket: Address, capsys: pytest.CaptureFixture[str]) -> None:
    put_bytes(bucket / "feed.csv", b"product_id,title\n1,red shoe\n2,blue mug\n")
    result = run("read", f"{bucket}/feed.csv", f"{bucket}/standard.parquet")
    assert f"{bucket}/feed.csv: CSV" in result.output
    assert exists(bucket / "standard.parquet")
    assert str(cache_folder()) not in result.output
    emit("result", path=fetched(bucket / "feed.csv"), place=bucket / "feed.csv")
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == told["place"] == f"{bucket}/feed.csv"
    run("init", f"{bucket}/feed.csv")
    text = Path("pipelines/brand.toml").read_text()
    assert f'path = "{bucket}/feed.csv"' in text
    assert re.search(r'"runs/feed-[0-9a-f]{6}/', text)


def test_nothing_is_said_to_be_written_before_it_is_published(bucket: Address, object_store: ObjectStore) -> None:
    Path("feed.csv").write_text("product_id,title\n1,red shoe\n2,blue mug\n")
    words = ["read", "feed.csv", f"{bucket}/out.parquet"]
    assert "wrote 2 products" in run(*words).output
    Path("feed.csv").write_text("product_id,title\n1,red shoe\n")
    object_store.rules.append(failing(100, status=403, method="PUT"))
    for extra in ([], ["--log-json"]):
        with speaking():
            result = CliRunner().invoke(app, [*words, *extra])
        assert isinstance(result.exception, StorageError)
        assert "wrote" not in result.output
        assert '"result"' not in result.output
    object_store.rules.clear()
    with speaking():
        result = CliRunner().invoke(app, [*words, "--log-json"])
    assert '"result"' in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "shards", "s3://shop/out", "--to", "npy"], r"^out: found an address, wanted a local path"),
        (["init", "feed.csv", "--out", "gs://shop/pipelines"], r"^out: found an address"),
        (["run", "s3://shop/brand.toml"], r"^pipelines: found an address"),
    ],
)
def test_an_address_where_a_local_path_is_wanted_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError)
    assert re.search(message, str(result.exception))
    assert not list(tmp_path.iterdir())


def test_arguments_may_be_addresses_of_a_bucket_and_of_nothing_else() -> None:
    _check_arguments(["embed", "s3://shop/feed.csv", "--model=gs://shop/clip", "file:///feed.csv", "a/b.csv"])
    for wrong in ("s3://key:hunter2@shop/feed.csv", "https://hunter2/feed.csv", "--out=s3://shop/?hunter2"):
        with pytest.raises(ConfigError) as caught:
            _check_arguments(["embed", wrong])
        assert "hunter2" not in str(caught.value)


def test_a_missing_head_is_told_by_its_address(bucket: Address, object_store: ObjectStore) -> None:
    write_random_set(Path("shards"))
    Path("pipelines").mkdir()
    for target in ("brand", "category"):
        text = f'target = "{target}"\n[train]\nout = "{bucket}/heads/{target}"\n'
        Path(f"pipelines/{target}.toml").write_text(text)
    command = [sys.executable, "-m", "prodemb.cli", "score", "shards", "out.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 8
    assert f"no head in {bucket}/heads/brand, {bucket}/heads/category" in done.stderr
