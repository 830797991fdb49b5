"""Tasks are dealt out, dealt out again after a death, and reported once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from prodemb.core.errors import BusyError, WorkerError
from prodemb.workers.crew import SharedTasks, run_crew
from prodemb.workers.job import Message, Task

DEATH = "killed"


@dataclass(frozen=True)
class Numbered:
    index: int


def tasks(num: int) -> list[Numbered]:
    return [Numbered(index) for index in range(num)]


class Recorder:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.num_parts = 0
        self.done: list[int] = []

    def on_start(self, value: str) -> None:
        self.started.append(value)

    def on_part(self, index: int, value: int) -> None:
        self.num_parts += value

    def on_done(self, index: int, value: None) -> None:
        self.done.append(index)


def run(crew: "Script", *, num_workers: int, retries: int, recorder: Recorder) -> list[Any]:
    return run_crew(crew, tasks(8), num_workers=num_workers, retries=retries, listener=recorder, noun="shard")


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
    """A crew whose workers make each shard at once, in two parts, or die between these."""

    def __init__(self, deaths: dict[int, int]) -> None:
        """Args: deaths: how many workers die over a shard, by its index."""
        self._deaths = deaths
        self._told: list[tuple[int, Message]] = []
        self._dead: dict[int, str] = {}
        self.num_started = 0

    def start(self, rank: int) -> None:
        self.num_started += 1
        self._told += [(rank, ("start", "ready")), (rank, ("ask", None))]

    def receive(self, timeout: float) -> list[tuple[int, Message]]:
        told, self._told = self._told, []
        return told

    def answer(self, rank: int, task: Task | None) -> None:
        def tell(name: str, value: Any) -> None:
            self._told.append((rank, (name, value)))

        if task is None:
            tell("finished", rank)
            return
        tell("part", (task.index, 1))
        if self._deaths.get(task.index, 0):
            self._deaths[task.index] -= 1
            self._dead[rank] = f"worker {rank} {DEATH}"
            return
        tell("part", (task.index, 1))
        tell("done", (task.index, None))
        tell("ask", None)

    def fallen(self) -> dict[int, str]:
        if self._told:
            return {}
        dead, self._dead = self._dead, {}
        return dead

    def end(self, rank: int) -> None:
        pass


def test_each_task_and_part_is_reported_once_though_workers_die() -> None:
    script, recorder = Script({2: 2, 5: 1}), Recorder()
    results = run(script, num_workers=2, retries=2, recorder=recorder)
    assert sorted(recorder.done) == list(range(8))
    assert recorder.num_parts == 16
    assert recorder.started == ["ready"]
    assert script.num_started == 5
    assert len(results) == 2


@pytest.mark.parametrize(
    ("retries", "message"),
    [
        (0, r"worker 0 killed; finished shards are kept, the same command goes on from there"),
        (2, r"worker \d killed; 3 workers died over shard 2; finished shards are kept"),
        (9, r"worker \d killed; 10 workers died over shard 2; finished shards are kept"),
    ],
)
def test_a_shard_that_kills_its_workers_ends_the_run(retries: int, message: str) -> None:
    with pytest.raises(WorkerError, match=message):
        run(Script({2: 99}), num_workers=2, retries=retries, recorder=Recorder())


class Lingering(Script):
    """A crew in which a worker finds a file locked by the one that died over it before."""

    is_locked = False

    def answer(self, rank: int, task: Task | None) -> None:
        if task is not None and self.is_locked:
            self.is_locked = False
            self._told.append((rank, ("failed", BusyError("file: another run is writing it"))))
            return
        super().answer(rank, task)

    def fallen(self) -> dict[int, str]:
        dead = super().fallen()
        self.is_locked = self.is_locked or bool(dead)
        return dead


def test_a_file_that_a_dead_worker_still_holds_is_made_by_the_next_one() -> None:
    script, recorder = Lingering({2: 1}), Recorder()
    run(script, num_workers=1, retries=1, recorder=recorder)
    assert (sorted(recorder.done), script.num_started) == (list(range(8)), 3)
    script.is_locked = True
    with pytest.raises(BusyError):
        run(script, num_workers=1, retries=1, recorder=recorder)


class Stillborn(Script):
    """A crew whose workers die before they ask for anything."""

    def start(self, rank: int) -> None:
        self.num_started += 1
        self._dead[rank] = f"worker {rank} {DEATH}"


def test_workers_that_die_at_once_end_the_run() -> None:
    crew = Stillborn({})
    with pytest.raises(WorkerError, match=r"7 workers died and no shard was finished meanwhile"):
        run(crew, num_workers=3, retries=2, recorder=Recorder())
    assert crew.num_started <= 9
