"""Shards are dealt out, dealt out again after a death, and reported once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prodemb.catalog.budget import PictureCounts
from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.errors import WorkerError
from prodemb.embed.config import EmbedConfig
from prodemb.embed.executors.crew import Message, SharedTasks, run_crew
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.worker import Timings
from prodemb.shards.folder import shard_folder
from prodemb.towers.checkpoint import find_checkpoint
from tests.embed.conftest import MakeCatalog
from tests.embed.test_worker import Recorder

DEATH = "killed"


def tasks(num: int) -> list[ShardTask]:
    return [ShardTask(index=index, start=index, stop=index + 1) for index in range(num)]


def taken(shared: SharedTasks, rank: int) -> Iterator[int]:
    while (task := shared.take(rank)) is not None:
        yield task.index


def test_neighbouring_tasks_go_to_one_worker_until_it_has_none_left() -> None:
    shared = SharedTasks(tasks(10), num_workers=2)
    first, second = taken(shared, 0), taken(shared, 1)
    assert [next(second) for _ in range(2)] == [5, 6]
    assert list(first) == [0, 1, 2, 3, 4, 8, 9, 7]
    assert not list(second)


def test_what_a_dead_worker_held_is_taken_first() -> None:
    shared = SharedTasks(tasks(6), num_workers=2)
    held = [next(taken(shared, 0)) for _ in range(2)]
    shared.finish(0, 0)
    assert (held, shared.give_back(0), shared.num_left, shared.num_open) == ([0, 1], [1], 5, 5)
    assert list(taken(shared, 1)) == [1, 3, 4, 5, 2]
    assert (shared.num_left, shared.num_open) == (5, 0)


class Script:
    """A crew whose workers make each shard at once, in two windows, or die between these."""

    def __init__(self, deaths: dict[int, int]) -> None:
        """Args: deaths: how many workers die over a shard, by its index."""
        self._deaths = deaths
        self._told: list[tuple[int, Message]] = []
        self._dead: dict[int, str] = {}
        self.num_started = 0

    def start(self, rank: int) -> None:
        self.num_started += 1
        self._told.append((rank, ("ask", None)))

    def receive(self, timeout: float) -> list[tuple[int, Message]]:
        told, self._told = self._told, []
        return told

    def answer(self, rank: int, task: ShardTask | None) -> None:
        def tell(name: str, value: Any) -> None:
            self._told.append((rank, (name, value)))

        if task is None:
            tell("finished", Timings(num_texts=1))
            return
        tell("window", (task.index, 1, PictureCounts(1)))
        if self._deaths.get(task.index, 0):
            self._deaths[task.index] -= 1
            self._dead[rank] = f"worker {rank} {DEATH}"
            return
        tell("window", (task.index, 1, PictureCounts(1)))
        tell("shard", (task.index, None))
        tell("ask", None)

    def fallen(self) -> dict[int, str]:
        if self._told:
            return {}
        dead, self._dead = self._dead, {}
        return dead

    def end(self, rank: int) -> None:
        pass


@pytest.fixture
def plan(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> Plan:
    return Plan(
        config=EmbedConfig(out=str(tmp_path)),
        folder=shard_folder(tmp_path),
        catalog=open_catalog(CatalogConfig(path=str(make_catalog(2)))),
        images=ImagesConfig(),
        checkpoint=find_checkpoint(str(tiny_clip)),
        num_products=8,
        todo=tuple(tasks(8)),
        done={},
    )


def test_each_shard_and_window_is_reported_once_though_workers_die(plan: Plan) -> None:
    script, recorder = Script({2: 2, 5: 1}), Recorder()
    timings = run_crew(script, plan, num_workers=2, retries=2, callback=recorder)
    assert sorted(recorder.records) == list(range(8))
    assert recorder.num_products == recorder.pictures.num_tried == 16
    assert script.num_started == 5
    assert timings.num_texts == 2


@pytest.mark.parametrize(
    ("retries", "message"),
    [
        (0, r"worker 0 killed; finished shards are kept, the same command goes on from there"),
        (2, r"worker \d killed; 3 workers died over shard 2; finished shards are kept"),
        (9, r"worker \d killed; 10 workers died over shard 2; finished shards are kept"),
    ],
)
def test_a_shard_that_kills_its_workers_ends_the_run(plan: Plan, retries: int, message: str) -> None:
    with pytest.raises(WorkerError, match=message):
        run_crew(Script({2: 99}), plan, num_workers=2, retries=retries, callback=Recorder())


class Stillborn(Script):
    """A crew whose workers die before they ask for anything."""

    def start(self, rank: int) -> None:
        self.num_started += 1
        self._dead[rank] = f"worker {rank} {DEATH}"


def test_workers_that_die_at_once_end_the_run(plan: Plan) -> None:
    crew = Stillborn({})
    with pytest.raises(WorkerError, match=r"7 workers died and no shard was finished meanwhile"):
        run_crew(crew, plan, num_workers=3, retries=2, callback=Recorder())
    assert crew.num_started <= 9
