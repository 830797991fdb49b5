"""A folder of predictions: the rows of one file in several, in catalog order by their names.

`part-00000.parquet` and so on are predictions files themselves, each of some neighbouring shards. `_metadata` is
Parquet's own list of all their row groups, for readers that know it, and `_predictions.json` says what they were made
from; it is written last, so a folder that has none is not complete. What is not complete waits in `.unfinished`. In a
bucket that is the same (`prodemb.score.bucket`).
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from prodemb.core.bounded import parquet_footer, read_bytes
from prodemb.core.errors import ConfigError, OutputError
from prodemb.core.files import naming, replacing, write_json
from prodemb.core.folders import HeldFolder, holding, is_marked
from prodemb.score.bucket import BucketPredictions
from prodemb.score.predictions import ScoreCounts, is_predictions, read_counts
from prodemb.score.record import (
    METADATA_NAME,
    RECORD_NAME,
    UNFINISHED,
    Part,
    PredictionsRecord,
    no_predictions,
    parse_record,
    part_name,
    write_metadata,
)
from prodemb.storage.address import Address, Place


class HeldPredictions(Protocol):
    """A folder of predictions that this run alone writes to."""

    def check(self) -> None:
        """Raise OutputError or BusyError where that is so no longer."""

    def complete(self, parts: Sequence[Part], *, inputs_hash: str) -> PredictionsRecord | None:
        """The record where it was made from these inputs and all of the parts are in place; None else."""

    def made(self, parts: Sequence[Part]) -> dict[int, ScoreCounts]:
        """The counts of those of the parts that are there already, in place or unfinished."""

    def require(self, parts: Sequence[Part]) -> dict[int, ScoreCounts]:
        """The counts of parts that workers have made. Raises OutputError where one is not there."""

    def publish(self, record: PredictionsRecord, *, schema: pa.Schema) -> None:
        """Put the files of a run in place, all of which are `made`, and remove those that it does not have.

        A run that is killed here has lost nothing: the next one finds all files.

        Raises:
            BusyError: another run has published meanwhile, or holds the folder now.
            OutputError: the folder was moved or replaced, or cannot be written.
        """


class PredictionsFolder(Protocol):
    """Where the files of predictions lie. Workers get a copy of it."""

    @property
    def place(self) -> Place:
        """What messages call it."""

    def holding(self) -> AbstractContextManager[HeldPredictions]:
        """Hold the folder for this run alone: make it, or see that it is prodemb's.

        Raises:
            BusyError: another run writes to it.
            OutputError: it cannot be written, or holds what prodemb did not make.
        """

    def making(self, part: Part) -> AbstractContextManager[Path]:
        """The local file that a worker writes, whole; on success it waits for `HeldPredictions.publish`."""


@dataclass(frozen=True)
class LocalPredictions:
    """A folder of a file system."""

    place: Path

    @contextmanager
    def holding(self) -> Iterator["_HeldLocal"]:
        with holding(self.place, kind="prediction set", is_own=holds_predictions) as held:
            yield _HeldLocal(held)

    @contextmanager
    def making(self, part: Part) -> Iterator[Path]:
        yield self.place / UNFINISHED / part_name(part.index)


class _HeldLocal:
    """See `HeldPredictions`."""

    def __init__(self, held: HeldFolder) -> None:
        self._held, self._folder = held, held.path

    def check(self) -> None:
        self._held.check()

    def complete(self, parts: Sequence[Part], *, inputs_hash: str) -> PredictionsRecord | None:
        record = _read_record(self._folder)
        if record is None or record.inputs.get("inputs_hash") != inputs_hash:
            return None
        for part in parts:
            if read_counts(self._folder / part_name(part.index), inputs_hash=part.inputs_hash) is None:
                return None
        shutil.rmtree(self._folder / UNFINISHED, ignore_errors=True)
        return record

    def made(self, parts: Sequence[Part]) -> dict[int, ScoreCounts]:
        """Unfinished ones of other inputs are removed."""
        made: dict[int, ScoreCounts] = {}
        for part in parts:
            name = part_name(part.index)
            for path in (self._folder / UNFINISHED / name, self._folder / name):
                counts = read_counts(path, inputs_hash=part.inputs_hash)
                if counts is not None:
                    made[part.index] = counts
                    break
                if path.parent != self._folder:
                    path.unlink(missing_ok=True)
        return made

    def require(self, parts: Sequence[Part]) -> dict[int, ScoreCounts]:
        made = self.made(parts)
        for part in parts:
            if part.index not in made:
                raise OutputError(
                    f"{self._folder / UNFINISHED / part_name(part.index)}: found no whole file here, though a worker "
                    "wrote it; wanted one file system for all machines; run again"
                )
        return made

    def publish(self, record: PredictionsRecord, *, schema: pa.Schema) -> None:
        folder, names = self._folder, record.names
        self.check()
        with naming(folder):
            for name in (RECORD_NAME, METADATA_NAME):
                (folder / name).unlink(missing_ok=True)
            for name in names:
                unfinished = folder / UNFINISHED / name
                if unfinished.exists():
                    unfinished.replace(folder / name)
            for path in folder.glob("part-*.parquet"):
                if path.name not in names and is_predictions(path):
                    path.unlink()
        with replacing(folder / METADATA_NAME) as temporary:
            write_metadata(temporary, {name: parquet_footer(folder / name) for name in names}, schema=schema)
        write_json(folder / RECORD_NAME, record.model_dump(mode="json"))
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def predictions_folder(place: Place) -> PredictionsFolder:
    """The folder of predictions of this name."""
    return BucketPredictions(place) if isinstance(place, Address) else LocalPredictions(place)


def is_folder(path: Place) -> bool:
    """Whether predictions of this name are a folder: it is one, or its name does not end in `.parquet`."""
    return path.suffix != ".parquet" or (isinstance(path, Path) and path.is_dir())


def check_folder_name(path: Place) -> None:
    """Raise ConfigError where a new folder's name looks like that of a file of another kind."""
    if path.suffix and not (isinstance(path, Path) and path.is_dir()):
        raise ConfigError(
            f"{path}: predictions are a Parquet file, or a folder of several; wanted a name that ends in .parquet, or "
            f"one without {path.suffix!r}"
        )


def holds_predictions(folder: Place) -> bool:
    """Whether a folder is one of predictions, complete or not."""
    if isinstance(folder, Address):
        return BucketPredictions(folder).is_there()
    return is_marked(folder, kind="prediction set") or _read_record(folder) is not None


def record_file(predictions: Path) -> Path:
    """The file that is another one when predictions are others: a file itself, of a folder its record."""
    return predictions / RECORD_NAME if predictions.is_dir() else predictions


def prediction_files(predictions: Path) -> tuple[Path, ...]:
    """The Parquet files of predictions, in catalog order: of a file itself, of a folder all.

    Raises:
        ConfigError: a folder holds no complete predictions. A file is not looked at.
    """
    if not predictions.is_dir():
        return (predictions,)
    record = _read_record(predictions)
    if record is None:
        raise no_predictions(predictions, is_marked=is_marked(predictions, kind="prediction set"))
    files = tuple(predictions / name for name in record.names)
    for file, num_rows in zip(files, record.num_rows, strict=True):
        found = _num_rows(file)
        if found != num_rows:
            found_rows = "no whole file" if found is None else f"{found:,} rows"
            raise ConfigError(f"{file}: found {found_rows}, wanted {num_rows:,} rows; score again to redo it")
    return files


def _read_record(folder: Path) -> PredictionsRecord | None:
    try:
        content = read_bytes(folder / RECORD_NAME)
    except (OSError, ValueError):
        return None
    return parse_record(content, source=folder / RECORD_NAME)


def _num_rows(file: Path) -> int | None:
    try:
        return int(parquet_footer(file).num_rows)
    except (OSError, ValueError):
        return None
