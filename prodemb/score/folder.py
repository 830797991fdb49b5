"""A folder of predictions: the rows of one file in several, in catalog order by their names.

`part-00000.parquet` and so on are predictions files themselves, each of some neighbouring shards. `_metadata` is
Parquet's own list of all their row groups, for readers that know it, and `_predictions.json` says what they were made
from; it is written last, so a folder that has none is not complete. What is not complete waits in `.unfinished`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.bounded import parquet_footer, read_json
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError
from prodemb.core.files import naming, replacing, write_json
from prodemb.core.folders import HeldFolder, is_marked
from prodemb.core.text import one_line
from prodemb.score.predictions import ScoreCounts, is_predictions

RECORD_NAME, METADATA_NAME = "_predictions.json", "_metadata"
UNFINISHED = ".unfinished"
"""A folder in the folder: the files of a run that goes on."""


class PredictionsRecord(Config):
    """What a folder of predictions holds."""

    inputs: dict[str, Any]
    """What all of it was made from, as `prodemb.score.predictions.predictions_metadata` says."""
    num_rows: tuple[int, ...]
    """Of each file."""
    counts: ScoreCounts
    """Of all products."""


def part_name(index: int) -> str:
    """The name of a file; sorted by name they are in catalog order."""
    return f"part-{index:05d}.parquet"


def is_folder(path: Path) -> bool:
    """Whether predictions of this name are a folder: it is one, or its name does not end in `.parquet`."""
    return path.is_dir() or path.suffix != ".parquet"


def check_folder_name(path: Path) -> None:
    """Raise ConfigError where a new folder's name looks like that of a file of another kind."""
    if path.suffix and not path.is_dir():
        raise ConfigError(
            f"{path}: predictions are a Parquet file, or a folder of several; wanted a name that ends in .parquet, or "
            f"one without {path.suffix!r}"
        )


def holds_predictions(folder: Path) -> bool:
    """Whether a folder is one of predictions, complete or not."""
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
        if is_marked(predictions, kind="prediction set"):
            raise ConfigError(
                f"{predictions}: unfinished predictions; run the same command again, it goes on where it stopped"
            )
        raise ConfigError(f"{predictions}: holds no predictions; wanted what `prodemb score` writes")
    files = tuple(predictions / part_name(index) for index in range(len(record.num_rows)))
    for file, num_rows in zip(files, record.num_rows, strict=True):
        found = _num_rows(file)
        if found != num_rows:
            found_rows = "no whole file" if found is None else f"{found:,} rows"
            raise ConfigError(f"{file}: found {found_rows}, wanted {num_rows:,} rows; score again to redo it")
    return files


def read_record(folder: Path, *, inputs_hash: str) -> PredictionsRecord | None:
    """The record of a complete folder made from these inputs; None where it is none."""
    record = _read_record(folder)
    return record if record is not None and record.inputs.get("inputs_hash") == inputs_hash else None


def publish(held: HeldFolder, *, record: PredictionsRecord, schema: pa.Schema) -> None:
    """Put the files of a run in place, once all are there, and remove those that it does not have.

    Those that an earlier run has made from the same inputs lie there already. A run that is killed here has lost
    nothing: the next one finds all files.

    Raises:
        OutputError: the folder was moved or replaced, or cannot be written.
    """
    folder = held.path
    held.check()
    names = [part_name(index) for index in range(len(record.num_rows))]
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
    _write_metadata(folder, names=names, schema=schema)
    write_json(folder / RECORD_NAME, record.model_dump(mode="json"))
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def _write_metadata(folder: Path, *, names: Sequence[str], schema: pa.Schema) -> None:
    """Parquet's list of all row groups, with the name of the file of each."""
    footers = []
    for name in names:
        footer = parquet_footer(folder / name)
        footer.set_file_path(name)
        footers.append(footer)
    with replacing(folder / METADATA_NAME) as temporary:
        pq.write_metadata(schema, temporary, metadata_collector=footers)


def _read_record(folder: Path) -> PredictionsRecord | None:
    try:
        return PredictionsRecord.parse(read_json(folder / RECORD_NAME), source=str(folder / RECORD_NAME))
    except (OSError, ValueError):
        return None
    except ConfigError as error:
        raise ConfigError(f"{one_line(error)}; remove it and score again") from None


def _num_rows(file: Path) -> int | None:
    try:
        return int(parquet_footer(file).num_rows)
    except (OSError, ValueError):
        return None
