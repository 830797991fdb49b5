"""Scoring into a folder: what is done stays, what was there is read until all is done, whoever makes it."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prodemb.core.errors import BusyError, HeadError, OutputError, ShardError, WorkerError
from prodemb.core.files import is_temporary
from prodemb.core.folders import holding
from prodemb.score.config import ScoreConfig
from prodemb.score.folder import _HeldLocal, prediction_files
from prodemb.score.parts import ScoreJob
from prodemb.score.predictor import load_predictor
from prodemb.score.record import UNFINISHED
from prodemb.score.score import ScoreReport, score
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.shards.shard import Shard
from prodemb.storage.address import Place
from prodemb.workers import ray as engine
from tests.command_line import context
from tests.ray_cluster import two_nodes
from tests.shard_sets import write_random_set
from tests.small_heads import answers_at, make_head, save_predictor

SIZES = [10] * 10
RAY = {"engine": "ray", "workers": 2}
SETTINGS: dict[str, Any] = {"min_brand_confidence": 0.0, "max_rows_per_file": 20}


@pytest.fixture
def sets(tmp_path: Path) -> list[ShardSet]:
    """Two sets of one catalog, of a published and a fine-tuned model, whose shards end in different places."""
    ids = [f"p{i}" for i in range(100)]
    clip = write_random_set(tmp_path / "clip", sizes=SIZES, ids=ids)
    tuned = write_random_set(tmp_path / "tuned", sizes=[7, 60, 1, 32], dim=4, fingerprint="tuned", ids=ids)
    return [clip, tuned]


@pytest.fixture
def heads(tmp_path: Path) -> list[Path]:
    save_predictor(tmp_path / "brand", make_head("brand"))
    save_predictor(tmp_path / "category", make_head("category", dim=4, fingerprint="tuned"))
    return [tmp_path / "brand", tmp_path / "category"]


def run(sets: Sequence[ShardSet], out: Place, heads: Sequence[Path], **settings: Any) -> ScoreReport:
    config = ScoreConfig(**SETTINGS | settings)
    return score(sets, out, predictors=[*map(load_predictor, heads)], config=config, device="cpu")


def rows(out: Path) -> Any:
    return pq.read_table(out).replace_schema_metadata(None)


def test_a_folder_says_and_counts_what_one_file_does(sets: list[ShardSet], heads: list[Path], tmp_path: Path) -> None:
    predictors = [*map(load_predictor, heads)]
    settings = SETTINGS | {"precision": 0.9, "min_brand_confidence": 0.2}
    reports = [
        score(
            sets,
            tmp_path / name,
            predictors=predictors,
            config=ScoreConfig(**settings),
            device="cpu",
            answers={"brand": answers_at(0.2), "category": answers_at(0.6)},
        )
        for name in ("one.parquet", "out")
    ]
    assert rows(tmp_path / "out").equals(rows(tmp_path / "one.parquet"))
    assert reports[0].counts == reports[1].counts
    assert reports[1].counts.levels
    assert (reports[0].num_files, reports[1].num_files, reports[1].num_workers) == (None, 5, 1)


def test_done_already_and_what_changes(sets: list[ShardSet], heads: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    steps: list[int] = []
    first = run(sets, out, heads)
    made = {path: path.stat().st_mtime_ns for path in prediction_files(out)}
    again = run(sets, out, heads)
    assert (first.was_done, again.was_done, again.counts) == (False, True, first.counts)
    assert {path: path.stat().st_mtime_ns for path in prediction_files(out)} == made

    (out / "part-00002.parquet").unlink()
    report = score(
        sets,
        out,
        predictors=[*map(load_predictor, heads)],
        config=ScoreConfig(**SETTINGS),
        device="cpu",
        on_progress=lambda done, _total: steps.append(done),
    )
    assert not report.was_done
    assert steps == [90, 100]
    changed = [path.name for path in prediction_files(out) if path.stat().st_mtime_ns != made[path]]
    assert changed == ["part-00002.parquet"]

    write_random_set(tmp_path / "clip", sizes=[10] * 9, ids=[f"p{i}" for i in range(90)])
    write_random_set(
        tmp_path / "tuned", sizes=[7, 60, 1, 22], dim=4, fingerprint="tuned", ids=[f"p{i}" for i in range(90)]
    )
    sets = [open_shard_set(tmp_path / "clip"), open_shard_set(tmp_path / "tuned")]
    run(sets, out, heads, max_rows_per_file=50)
    run(sets, tmp_path / "one.parquet", heads)
    assert len(prediction_files(out)) == 2
    assert rows(out).equals(rows(tmp_path / "one.parquet"))
    assert len(list(out.glob("part-*"))) == 2


def test_an_interrupted_run_goes_on_and_yesterdays_predictions_are_read_until_then(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(sets, out, heads)
    before = rows(out)
    shard = tmp_path / "clip" / "part-00006.parquet"
    kept = shard.read_bytes()
    sets[0]._files = {}
    shard.write_bytes(b"cut short")
    with pytest.raises(ShardError, match="part-00006"):
        run(sets, out, heads, top=2)
    assert rows(out).equals(before)
    assert sorted(path.name for path in (out / UNFINISHED).iterdir()) == [f"part-0000{i}.parquet" for i in range(3)]
    shard.write_bytes(kept)

    monkeypatch.setattr(_HeldLocal, "publish", lambda *_args, **_values: None)
    run([open_shard_set(tmp_path / "clip"), sets[1]], out, heads, top=2)
    monkeypatch.undo()
    assert rows(out).equals(before)
    steps: list[int] = []
    score(
        sets,
        out,
        predictors=[*map(load_predictor, heads)],
        config=ScoreConfig(**SETTINGS | {"top": 2}),
        device="cpu",
        on_progress=lambda done, _total: steps.append(done),
    )
    assert not steps
    run(sets, tmp_path / "one.parquet", heads, top=2)
    assert rows(out).equals(rows(tmp_path / "one.parquet"))
    assert not (out / UNFINISHED).exists()


def test_what_waits_of_other_inputs_does_not_replace_what_is_right(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(sets, out, heads)
    before = rows(out)
    run(sets, tmp_path / "other", heads, top=2)
    (out / UNFINISHED).mkdir()
    (tmp_path / "other" / "part-00001.parquet").rename(out / UNFINISHED / "part-00001.parquet")
    (out / "part-00003.parquet").unlink()
    run(sets, out, heads)
    assert rows(out).equals(before)


def test_a_file_that_is_not_to_be_seen_here_is_named(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScoreJob, "_make", lambda *_args, **_values: None)
    with pytest.raises(OutputError, match=r"part-00000\.parquet: found no whole file here, though a worker wrote"):
        run(sets, tmp_path / "out", heads)


def test_two_runs_do_not_write_to_one_folder(sets: list[ShardSet], heads: list[Path], tmp_path: Path) -> None:
    with holding(tmp_path / "out", kind="prediction set"), pytest.raises(BusyError, match="another run is writing"):
        run(sets, tmp_path / "out", heads)


class OddSet(ShardSet):
    """A shard set at whose seventh shard something happens to the worker that reads it."""

    def __init__(self, plain: ShardSet, *, happens: Callable[[Any], None]) -> None:
        super().__init__(plain.folder, manifest=plain.manifest, files={})
        self.happens, self.home = happens, os.getpid()

    def shards(self, *, first: int = 0) -> Iterator[Shard]:
        for index, shard in enumerate(super().shards(first=first), first):
            if index == 6 and os.getpid() != self.home:
                self.happens(self.folder.parent)
            yield shard


def is_killed(folder: Path) -> None:
    try:
        (folder / "killed").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def dies_with_a_word(_folder: Path) -> None:
    os.write(2, b"the dog ate shard 6\n")
    os._exit(3)


def waits(_folder: Place) -> None:
    time.sleep(600)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_processes_write_the_rows_of_one_also_after_a_run_in_which_one_died(
    sets: list[ShardSet], heads: list[Path], tmp_path: Path
) -> None:
    odd = [OddSet(sets[0], happens=is_killed), sets[1]]
    with pytest.raises(WorkerError, match=r"prodemb worker \d was killed by signal SIGKILL; .*finished files are kept"):
        run(odd, tmp_path / "out", heads, workers=2)
    report = run(sets, tmp_path / "out", heads, workers=2)
    assert report.num_files == 5
    run(sets, tmp_path / "one.parquet", heads)
    assert rows(tmp_path / "out").equals(rows(tmp_path / "one.parquet"))


@pytest.fixture(scope="module")
def cluster(warm_python: Path) -> Iterator[Any]:
    with two_nodes(warm_python) as cluster:
        yield cluster


@pytest.mark.slow
def test_ray_writes_the_rows_of_one_process_also_where_a_worker_is_killed(
    cluster: Any, sets: list[ShardSet], heads: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    odd = [OddSet(sets[0], happens=is_killed), sets[1]]
    steps: list[int] = []
    report = score(
        odd,
        out,
        predictors=[*map(load_predictor, heads)],
        config=ScoreConfig(**SETTINGS | RAY),
        device="cpu",
        on_progress=lambda done, _total: steps.append(done),
    )
    assert (tmp_path / "killed").exists()
    assert "its unfinished files are made by another worker" in caplog.text
    assert (report.num_workers, report.num_files) == (2, 5)
    one = run(sets, tmp_path / "one.parquet", heads)
    assert rows(out).equals(rows(tmp_path / "one.parquet"))
    assert one.counts == report.counts
    assert steps == sorted(steps)
    assert steps[-1] == 100
    assert not [path for path in out.iterdir() if is_temporary(path.name)]
    assert run(sets, out, heads).was_done


@pytest.mark.slow
def test_what_stops_a_worker_is_said_in_its_own_words(
    cluster: Any, sets: list[ShardSet], heads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRIES", 0)
    odd = [OddSet(sets[0], happens=dies_with_a_word), sets[1]]
    with pytest.raises(WorkerError, match=r"died: .*: the dog ate shard 6; finished files are kept, the same command"):
        run(odd, tmp_path / "out", heads, **RAY)
    (tmp_path / "clip" / "part-00006.parquet").write_bytes(b"cut short")
    with pytest.raises(ShardError, match="part-00006"):
        run([OddSet(sets[0], happens=is_killed), sets[1]], tmp_path / "out", heads, **RAY)
    (tmp_path / "brand" / "fuser.json").write_text("cut short")
    with pytest.raises(HeadError, match=r"fuser\.json"):
        run(sets, tmp_path / "out", heads, **RAY)


def run_until_it_waits(folder: Path, address: str) -> None:
    sets = [OddSet(open_shard_set(folder / "clip"), happens=waits), open_shard_set(folder / "tuned")]
    run(sets, folder / "out", [folder / "brand", folder / "category"], **RAY, ray_address=address)


@pytest.mark.slow
def test_a_run_whose_driver_is_killed_goes_on(
    cluster: Any, sets: list[ShardSet], heads: list[Path], tmp_path: Path
) -> None:
    waiting = tmp_path / "out" / UNFINISHED
    process = context().Process(target=run_until_it_waits, args=(tmp_path, cluster.address))
    process.start()
    until = time.monotonic() + 120
    while process.exitcode is None and len(list(waiting.glob("part-*"))) < 4:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert process.exitcode is None
    process.kill()
    process.join(10)
    made = {path.name: path.stat().st_mtime_ns for path in waiting.glob("part-*")}
    assert len(made) == 4
    run(sets, tmp_path / "out", heads, **RAY)
    run(sets, tmp_path / "one.parquet", heads)
    assert rows(tmp_path / "out").equals(rows(tmp_path / "one.parquet"))
    kept = {path.name: path.stat().st_mtime_ns for path in prediction_files(tmp_path / "out")}
    assert made.items() <= kept.items()
