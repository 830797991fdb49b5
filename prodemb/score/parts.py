"""Scoring into a folder: each file is a function of some neighbouring shards, the heads and the settings.

So this process can make them, several, or the workers of a Ray cluster, and whoever makes them goes on where an
earlier run stopped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from prodemb.confidence.promise import Promise
from prodemb.core.device import DeviceName, choose_device
from prodemb.core.progress import ProgressCallback
from prodemb.heads.labels import Target
from prodemb.score.columns import predictions_schema
from prodemb.score.config import ScoreConfig
from prodemb.score.folder import HeldPredictions, PredictionsFolder
from prodemb.score.predictions import ScoreCounts, head_inputs, predictions_metadata, write_predictions
from prodemb.score.predictor import Predictor
from prodemb.score.record import PredictionsRecord
from prodemb.score.stream import counts_of, predictions, target_columns
from prodemb.shards.reader import ShardSet
from prodemb.workers.job import Listener, Outcome, Seat
from prodemb.workers.processes import run_in_processes
from prodemb.workers.ray import RaySettings, run_on_ray


@dataclass(frozen=True, kw_only=True)
class PartTask:
    """One file to make."""

    index: int
    """Of the file in the folder."""
    first: int
    stop: int
    """Its shards are those of the first shard set from `first` to before `stop`."""
    num_products: int
    metadata: dict[str, Any]
    """What it is made from."""

    @property
    def inputs_hash(self) -> str:
        """The hash of that."""
        return str(self.metadata["inputs_hash"])


@dataclass(frozen=True, kw_only=True)
class ScoreJob:
    """A worker's part of scoring."""

    noun: ClassVar[str] = "file"
    folder: PredictionsFolder
    sources: tuple[ShardSet, ...]
    """The shard set of each predictor."""
    predictors: tuple[Predictor, ...]
    config: ScoreConfig
    promises: Mapping[Target, Promise]
    device: DeviceName

    def work(self, tasks: Iterable[PartTask], *, seat: Seat, listener: Listener) -> None:
        """Make files; each shard is a part that the listener hears of, with its number of products."""
        seat.take_cores()
        device = choose_device(self.device, index=seat.device)
        predictors = [predictor.to(device) for predictor in self.predictors]
        listener.on_start(None)
        for task in tasks:
            self._make(task, predictors=predictors, listener=listener)
            listener.on_done(task.index, None)

    def _make(self, task: PartTask, *, predictors: Sequence[Predictor], listener: Listener) -> None:
        targets = [
            target_columns(predictor, config=self.config, promise=self.promises.get(predictor.card.target))
            for predictor in predictors
        ]

        def tables() -> Iterable[Any]:
            for table in predictions(self.sources, targets=targets, first=task.first, stop=task.stop):
                yield table
                listener.on_part(task.index, table.num_rows)

        with self.folder.making(task) as path:
            write_predictions(
                path,
                tables(),
                schema=predictions_schema(),
                metadata=task.metadata,
                counts=lambda: counts_of(targets),
            )

    def tasks(self) -> list[PartTask]:
        """All files: as many whole shards of the first shard set in each as `[score] max_rows_per_file` allows."""
        records, heads = self.sources[0].manifest.shards, head_inputs(self.predictors)
        tasks: list[PartTask] = []
        first = start = 0
        while first < len(records):
            stop, num = first + 1, records[first].num_products
            while stop < len(records) and num + records[stop].num_products <= self.config.max_rows_per_file:
                num += records[stop].num_products
                stop += 1
            metadata = self.metadata(heads, rows=(start, start + num))
            tasks.append(PartTask(index=len(tasks), first=first, stop=stop, num_products=num, metadata=metadata))
            first, start = stop, start + num
        return tasks

    def metadata(self, heads: Sequence[dict[str, Any]], *, rows: tuple[int, int] | None = None) -> dict[str, Any]:
        """See `predictions_metadata`."""
        return predictions_metadata(heads, shard_sets=self.sources, settings=self.config.inputs, rows=rows)


@dataclass(frozen=True, kw_only=True)
class PartsMade:
    """A folder that is complete."""

    num_files: int
    num_workers: int
    counts: ScoreCounts
    was_done: bool


def score_parts(job: ScoreJob, *, on_progress: ProgressCallback | None) -> PartsMade:
    """Bring a folder to the predictions of these shards, heads and settings.

    Raises:
        BusyError: another run writes to it.
        OutputError: it cannot be written, or holds what prodemb did not make.
        WorkerError: a worker died, or too many of a cluster's.
        ConfigError: Ray is not installed, there is no such cluster, or its machines do not see the same files.
        StorageError: a bucket cannot be read or written.
    """
    with job.folder.holding() as held:
        tasks, inputs = job.tasks(), job.metadata(head_inputs(job.predictors))
        num_rows, counts = tuple(task.num_products for task in tasks), dict[int, ScoreCounts]()
        if not _may_change(job):
            record = held.complete(tasks, inputs_hash=inputs["inputs_hash"])
            if record is not None and record.num_rows == num_rows:
                return PartsMade(num_files=len(tasks), num_workers=0, counts=record.counts, was_done=True)
            counts = held.made(tasks)
        todo = [task for task in tasks if task.index not in counts]
        num_products = sum(num_rows)
        num_done = num_products - sum(task.num_products for task in todo)
        progress = _Progress(held, num_done=num_done, num_products=num_products, on_progress=on_progress)
        num_workers = _run(job, todo, listener=progress).num_workers if todo else 0
        counts |= held.require(todo)
        total = sum((counts[task.index] for task in tasks), ScoreCounts(unanswered={}))
        record = PredictionsRecord(inputs=inputs, num_rows=num_rows, counts=total)
        held.publish(record, schema=predictions_schema())
        return PartsMade(num_files=len(tasks), num_workers=num_workers, counts=total, was_done=False)


def _may_change(job: ScoreJob) -> bool:
    """Whether the hash of the inputs does not tell two heads apart, because one was never saved."""
    return not all(predictor.card.weights_sha256 for predictor in job.predictors)


def _run(job: ScoreJob, todo: Sequence[PartTask], *, listener: Listener) -> Outcome:
    """Make files by whom the settings say."""
    config, folder = job.config, job.folder.place
    if config.engine == "ray":
        return run_on_ray(
            lambda device: replace(job, device=device),
            todo,
            settings=RaySettings(
                table="score", address=config.ray_address, num_workers=config.workers, device=job.device
            ),
            folder=folder if isinstance(folder, Path) else None,
            inputs=[source.folder for source in job.sources],
            listener=listener,
        )
    num_workers = min(config.workers or 1, len(todo))
    device = choose_device(job.device).type
    if num_workers > 1:
        return run_in_processes(job, todo, num_workers=num_workers, device=device, listener=listener)
    job.work(todo, seat=Seat(), listener=listener)
    return Outcome(results=(), num_workers=1, device=device)


class _Progress:
    """Shows how many products are scored."""

    def __init__(
        self,
        held: HeldPredictions,
        *,
        num_done: int,
        num_products: int,
        on_progress: ProgressCallback | None,
    ) -> None:
        self._held, self._num_done, self._num_products, self._on_progress = held, num_done, num_products, on_progress

    def on_start(self, value: None) -> None:
        """A worker has its heads."""

    def on_part(self, index: int, value: int) -> None:
        """So many more products are scored."""
        self._num_done += value
        if self._on_progress is not None:
            self._on_progress(self._num_done, self._num_products)

    def on_done(self, index: int, value: None) -> None:
        """A file is there.

        Raises:
            OutputError: the folder was moved or replaced.
        """
        self._held.check()
