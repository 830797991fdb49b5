"""Predictions as a folder in a bucket: the objects are the files of a local one, whatever happens on the way."""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.core.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    OutputError,
    ShardError,
    StorageError,
    WorkerError,
)
from prodemb.score.bucket import LEASE_NAME, BucketPredictions, predictions_to_read
from prodemb.score.config import ScoreConfig
from prodemb.score.feed import write_feed
from prodemb.score.folder import prediction_files
from prodemb.score.predictor import load_predictor
from prodemb.score.record import METADATA_NAME, RECORD_NAME, UNFINISHED
from prodemb.score.score import check_out, score
from prodemb.shards.bucket import BucketFolder
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.storage.address import Address, Place
from prodemb.storage.cache import cache_folder
from prodemb.storage.folder import temporary_file
from prodemb.storage.lease import holder
from prodemb.storage.objects import copy, delete, exists, listing, put_bytes, upload
from tests.command_line import context
from tests.embed.conftest import contents
from tests.embed.test_bucket import objects
from tests.object_store import ObjectStore, bucket, client, every, failing, object_store, running_store
from tests.ray_cluster import two_nodes
from tests.score.test_parts import RAY, SETTINGS, OddSet, heads, rows, run, sets, waits

__all__ = ["bucket", "heads", "object_store", "running_store", "sets"]


def names_in(folder: Address) -> list[str]:
    """All that lies there but the lease, which must not be held."""
    assert holder(folder / LEASE_NAME) is None
    return sorted(set(objects(folder, hidden=True)) - {LEASE_NAME})


def steps_of(sets: list[ShardSet], out: Place, heads: list[Path], **settings: Any) -> list[int]:
    """The progress of scoring."""
    steps: list[int] = []
    score(
        sets,
        out,
        predictors=[*map(load_predictor, heads)],
        config=ScoreConfig(**SETTINGS | settings),
        device="cpu",
        on_progress=lambda done, _total: steps.append(done),
    )
    return steps


def in_bucket(sets: list[ShardSet], bucket: Address) -> list[ShardSet]:
    """The sets copied to a bucket."""
    for each in sets:
        assert isinstance(each.folder, Path)
        for name in contents(each.folder):
            upload(each.folder / name, bucket / each.folder.name / name)
    return [open_shard_set(bucket / each.folder.name) for each in sets if isinstance(each.folder, Path)]


def test_objects_are_the_files_of_a_local_folder_and_done_ones_are_noticed_with_few_requests(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path, bucket: Address, object_store: ObjectStore
) -> None:
    out = bucket / "out"
    local, away = run(sets, tmp_path / "out", heads), run(sets, out, heads)
    assert objects(out) == contents(tmp_path / "out")
    assert names_in(out) == [METADATA_NAME, RECORD_NAME, *(f"part-0000{i}.parquet" for i in range(5))]
    assert (away.counts, away.num_files, away.out, away.was_done) == (local.counts, 5, out, False)
    assert not [*(cache_folder() / "scratch").iterdir()]
    object_store.requests.clear()
    again = run(sets, out, heads)
    assert (again.was_done, again.counts) == (True, away.counts)
    assert len(object_store.requests) <= 15
    assert not [path for method, path in object_store.requests if method == "GET" and "part-" in path]

    object_store.rules.append(every(7))
    run(sets, bucket / "again", heads)
    object_store.rules.clear()
    assert objects(bucket / "again") == contents(tmp_path / "out")


def test_a_part_that_is_gone_or_another_is_made_again_and_fewer_parts_leave_none_of_the_old_ones(
    sets: list[ShardSet], heads: list[Path], bucket: Address, tmp_path: Path
) -> None:
    out = bucket / "out"
    run(sets, out, heads)
    before = objects(out)
    delete(out / "part-00002.parquet")
    assert steps_of(sets, out, heads) == [90, 100]
    assert objects(out) == before
    time.sleep(1)  # the store's dates are whole seconds
    copy(out / "part-00000.parquet", out / "part-00003.parquet")
    assert steps_of(sets, out, heads) == [90, 100]
    assert objects(out) == before

    put_bytes(out / "part-00009.parquet", b"somebody else's")
    run(sets, out, heads, max_rows_per_file=50)
    run(sets, tmp_path / "out", heads, max_rows_per_file=50)
    assert objects(out) == contents(tmp_path / "out") | {"part-00009.parquet": b"somebody else's"}


def killed_at_shard_6(environment: Mapping[str, str], folder: Path, out: Address) -> None:
    """A run, in a process of its own, that comes so far and waits."""
    os.environ.update(environment)
    odd = OddSet(open_shard_set(folder / "clip"), happens=waits)
    odd.home = 0
    run([odd, open_shard_set(folder / "tuned")], out, [folder / "brand", folder / "category"])


def test_a_killed_run_goes_on_where_it_stopped(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path, bucket: Address
) -> None:
    out = bucket / "out"
    process = context().Process(target=killed_at_shard_6, args=(dict(os.environ), tmp_path, out))
    process.start()
    until = time.monotonic() + 120
    while process.exitcode is None and len(list(listing(out / UNFINISHED))) < 3:
        assert time.monotonic() < until
        time.sleep(0.02)
    with pytest.raises(BusyError, match=rf"{out}: another run is writing it: process {process.pid} of"):
        run(sets, out, heads)
    process.kill()
    process.join(10)
    with pytest.raises(ConfigError, match=rf"{out}: unfinished predictions; run the same command again"):
        predictions_to_read(str(out))
    assert steps_of(sets, out, heads) == [70, 80, 90, 100]
    run(sets, tmp_path / "out", heads)
    assert objects(out) == contents(tmp_path / "out")
    assert not [name for name in names_in(out) if name.startswith(".")]


def test_yesterdays_predictions_are_read_until_all_are_there_and_a_kill_while_they_are_put_loses_nothing(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path, bucket: Address, object_store: ObjectStore
) -> None:
    out, shard = bucket / "out", tmp_path / "clip" / "part-00006.parquet"
    run(sets, out, heads)
    before, kept = objects(out), shard.read_bytes()
    sets[0]._files = {}
    shard.write_bytes(b"cut short")
    with pytest.raises(ShardError, match="part-00006"):
        run(sets, out, heads, top=2)
    assert objects(out) == before
    assert len(prediction_files(predictions_to_read(str(out)))) == 5
    shard.write_bytes(kept)

    upload(tmp_path / "clip" / "part-00001.parquet", out / UNFINISHED / "part-00003-of-another-run.parquet")
    object_store.rules.append(failing(99, status=403, method="PUT", ending=f"/{RECORD_NAME}", body=b""))
    sets = [open_shard_set(tmp_path / "clip"), sets[1]]
    with pytest.raises(StorageError, match=rf"{RECORD_NAME}: cannot be written: 403"):
        run(sets, out, heads, top=2)
    object_store.rules.clear()
    with pytest.raises(ConfigError, match="unfinished predictions"):
        predictions_to_read(str(out))
    assert steps_of(sets, out, heads, top=2) == []
    run(sets, tmp_path / "out", heads, top=2)
    assert objects(out) == contents(tmp_path / "out")
    assert not [name for name in names_in(out) if name.startswith(".")]


def test_a_run_that_another_one_overtakes_ends(
    sets: list[ShardSet], heads: list[Path], bucket: Address, object_store: ObjectStore
) -> None:
    out = bucket / "out"

    def overtake(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].endswith(f"/{METADATA_NAME}"):
            object_store.rules.clear()
            client(object_store).put_object(Bucket=out.bucket, Key=f"{out.key}/{RECORD_NAME}", Body=b"{}")

    object_store.rules.append(overtake)
    with pytest.raises(BusyError, match=rf"{out}/{RECORD_NAME}: another run has written it meanwhile; run again"):
        run(sets, out, heads)
    with BucketPredictions(out).holding(), pytest.raises(BusyError, match="another run is writing it"):
        run(sets, out, heads)


def test_what_is_no_folder_of_predictions_is_left_alone(
    sets: list[ShardSet], heads: list[Path], bucket: Address
) -> None:
    config = ScoreConfig()
    away = in_bucket(sets, bucket / "shards")
    with pytest.raises(ConfigError, match=r"clip: it is a shard set; wanted another folder"):
        run(away, bucket / "shards" / "clip", heads)
    with pytest.raises(ConfigError, match=r"out: its folder is a shard set"):
        run(away, bucket / "shards" / "clip" / "out", heads)
    put_bytes(bucket / "mine" / "notes.txt", b"mine")
    with pytest.raises(OutputError, match=r"mine: holds what prodemb did not make \(notes.txt\); wanted an empty"):
        run(away, bucket / "mine", heads)
    with pytest.raises(ConfigError, match=r"wanted a name that ends in .parquet, or one without '.csv'"):
        check_out(bucket / "out.csv", config=config)
    run(away, bucket / "out", heads)
    with pytest.raises(ConfigError, match="its folder is one of predictions"):
        check_out(bucket / "out" / "more", config=config)
    holding = BucketFolder(bucket / "out").holding(is_own=lambda: False)
    with pytest.raises(OutputError, match="holds what prodemb did not make"), holding:
        pass


def test_readers_get_the_files_from_the_cache(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path, bucket: Address, object_store: ObjectStore
) -> None:
    out = bucket / "out"
    run(sets, out, heads)
    run(sets, tmp_path / "one.parquet", heads)
    folder = predictions_to_read(str(out))
    assert [path.name for path in prediction_files(folder)] == [f"part-0000{i}.parquet" for i in range(5)]
    assert rows(folder).equals(rows(tmp_path / "one.parquet"))
    for predictions in ("one.parquet", folder):
        write_feed(tmp_path / predictions, tmp_path / f"{Path(predictions).name}.tsv", min_confidence=0.1)
    assert (tmp_path / "out.tsv").read_bytes() == (tmp_path / "one.parquet.tsv").read_bytes()
    object_store.requests.clear()
    assert predictions_to_read(str(out)) == folder
    assert len(object_store.requests) <= 2
    assert predictions_to_read(tmp_path / "one.parquet") == tmp_path / "one.parquet"
    whole = object_store.bucket()
    run(sets, whole, heads)
    assert run(sets, whole, heads).was_done
    assert rows(predictions_to_read(str(whole))).equals(rows(folder))

    delete(out / "part-00001.parquet")
    with pytest.raises(ConfigError, match=rf"{out}/part-00001.parquet: found no file, wanted 20 rows; score again"):
        predictions_to_read(str(out))
    with pytest.raises(ConfigError, match=rf"{bucket}/none: holds no predictions; wanted what `prodemb score` writes"):
        predictions_to_read(str(bucket / "none"))
    with pytest.raises(StorageError, match="no bucket"):
        predictions_to_read("s3://no-such-bucket-of-ours/out")
    put_bytes(out / RECORD_NAME, json.dumps({"inputs": 1}).encode())
    with pytest.raises(ConfigError, match=rf"{out}/{RECORD_NAME}.*remove it and score again"):
        predictions_to_read(str(out))


def is_killed_once(folder: Address) -> None:
    try:
        put_bytes(folder / "killed", b"", create=True)
    except ConflictError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_processes_make_the_files_of_one_also_after_a_run_in_which_one_died(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path, bucket: Address
) -> None:
    out = bucket / "out"
    away = in_bucket(sets, bucket)
    with pytest.raises(WorkerError, match=r"killed by signal SIGKILL; .*finished files are kept"):
        run([OddSet(away[0], happens=is_killed_once), away[1]], out, heads, workers=2)
    assert run(away, out, heads, workers=2).num_files == 5
    run(sets, tmp_path / "out", heads)
    assert objects(out) == contents(tmp_path / "out")
    assert not [name for name in names_in(out) if name.startswith(".")]
    with temporary_file("next"):
        assert len([*(cache_folder() / "scratch").iterdir()]) == 1


@pytest.fixture(scope="module")
def elsewhere(
    warm_python: Path, running_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A cluster whose machines keep what they fetch in another place, and work in another folder, than this one."""
    cache = tmp_path_factory.mktemp("elsewhere") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_store.environment(cache).items():
            patch.setenv(name, value)
        with two_nodes(warm_python):
            yield cache


@pytest.mark.slow
def test_machines_that_share_nothing_but_the_bucket_make_the_files_of_one_process_also_where_one_is_killed(
    elsewhere: Path,
    sets: list[ShardSet],
    heads: list[Path],
    tmp_path: Path,
    bucket: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(sets, tmp_path / "out", heads)
    away = in_bucket(sets, bucket)
    loaded = [*map(load_predictor, heads)]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder in ("clip", "tuned", "brand", "category"):
        (tmp_path / folder).rename(tmp_path / f"{folder}-hidden")
    report = score(
        [OddSet(away[0], happens=is_killed_once), away[1]],
        bucket / "out",
        predictors=loaded,
        config=ScoreConfig(**SETTINGS | RAY),
        device="cpu",
    )
    assert exists(bucket / "killed")
    assert (report.num_workers, report.num_files) == (2, 5)
    assert objects(bucket / "out") == contents(tmp_path / "out")
    assert not [name for name in names_in(bucket / "out") if name.startswith(".")]
    assert any((elsewhere / "entries").iterdir())  # the workers' own
    assert pl.scan_parquet([*prediction_files(predictions_to_read(str(bucket / "out")))]).collect().height == 100
