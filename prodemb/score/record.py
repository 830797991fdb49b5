"""What a folder of predictions says of itself: the names of its files, its record, and Parquet's list of row groups."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.bounded import parse_json
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError
from prodemb.core.text import one_line
from prodemb.score.predictions import ScoreCounts
from prodemb.storage.address import Place

RECORD_NAME, METADATA_NAME = "_predictions.json", "_metadata"
UNFINISHED = ".unfinished"
"""A folder in the folder: the files of a run that goes on."""


class Part(Protocol):
    """A file of the folder, as it is to be."""

    @property
    def index(self) -> int:
        """Of the file in the folder."""

    @property
    def inputs_hash(self) -> str:
        """Of what it is made from."""


class PredictionsRecord(Config):
    """What a folder of predictions holds."""

    inputs: dict[str, Any]
    """What all of it was made from, as `prodemb.score.predictions.predictions_metadata` says."""
    num_rows: tuple[int, ...]
    """Of each file."""
    counts: ScoreCounts
    """Of all products."""

    @property
    def names(self) -> list[str]:
        """The files, in catalog order."""
        return [part_name(index) for index in range(len(self.num_rows))]


def part_name(index: int) -> str:
    """The name of a file; sorted by name they are in catalog order."""
    return f"part-{index:05d}.parquet"


def parse_record(content: bytes, *, source: Place) -> PredictionsRecord | None:
    """The record in a file; None where that is no JSON.

    Raises:
        ConfigError: it is another JSON.
    """
    try:
        return PredictionsRecord.parse(parse_json(content), source=str(source))
    except ValueError:
        return None
    except ConfigError as error:
        raise ConfigError(f"{one_line(error)}; remove it and score again") from None


def write_metadata(path: Path, footers: Mapping[str, pq.FileMetaData], *, schema: pa.Schema) -> None:
    """Write Parquet's list of all row groups, with the name of the file of each.

    Args:
        footers: of the files, by name, in catalog order.
    """
    for name, footer in footers.items():
        footer.set_file_path(name)
    pq.write_metadata(schema, path, metadata_collector=[*footers.values()])


def no_predictions(predictions: Place, *, is_marked: bool) -> ConfigError:
    """The error where a folder has no record.

    Args:
        is_marked: whether it is one of predictions all the same.
    """
    if is_marked:
        return ConfigError(
            f"{predictions}: unfinished predictions; run the same command again, it goes on where it stopped"
        )
    return ConfigError(f"{predictions}: holds no predictions; wanted what `prodemb score` writes")
