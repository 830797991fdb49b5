"""The predictions file: its Parquet layout, and its metadata, which say what it was made from."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from prodemb import __version__
from prodemb.confidence.promise import Promise
from prodemb.core.bounded import parquet_footer, parse_json
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError
from prodemb.core.files import replacing
from prodemb.core.inputs import inputs_hash
from prodemb.core.text import one_line
from prodemb.heads.labels import Target
from prodemb.score.columns import REPEATING
from prodemb.score.predictor import Predictor
from prodemb.shards.format import METADATA_KEY
from prodemb.shards.reader import ShardSet
from prodemb.storage.address import Place

_COUNTS_KEY = b"prodemb_counts"

_IN_METADATA = {"target", "zero_shot", "fingerprint", "model", "weights_sha256"}


class LevelCounts(Config):
    """Products whose category stands at one level of the taxonomy."""

    before: int
    """With their most probable category."""
    after: int
    """With what can be promised."""


class ScoreCounts(Config):
    """What scoring counted; kept in the metadata of the predictions, to be reported again when they are skipped."""

    unanswered: dict[Target, int]
    """Products without an answer: no category for want of vectors or of a probable node, or an UNKNOWN brand."""
    backed_off: int = 0
    """Products whose category is a node above the most probable one."""
    promises: dict[Target, Promise] = Field(default={})
    """What is promised of the answers, where a precision is asked for."""
    levels: tuple[LevelCounts, ...] = ()
    """For a promise of categories: products by level, from the top down."""
    gold: dict[Target, int] = Field(default={})
    """Products answered with their own gold label."""
    unresolved_gold: int = 0
    """Products with a gold category that is none of those that can be answered."""
    changes: dict[str, int] | None = None
    """Against earlier predictions, if any: how many products are added, changed, removed and unchanged."""

    def __add__(self, other: "ScoreCounts") -> "ScoreCounts":
        """Those of other products too, which the same heads have answered; not of changes."""
        none = LevelCounts(before=0, after=0)
        return ScoreCounts(
            unanswered=_sum(self.unanswered, other.unanswered),
            backed_off=self.backed_off + other.backed_off,
            promises=other.promises,
            levels=tuple(
                LevelCounts(before=one.before + two.before, after=one.after + two.after)
                for one, two in zip_longest(self.levels, other.levels, fillvalue=none)
            ),
            gold=_sum(self.gold, other.gold),
            unresolved_gold=self.unresolved_gold + other.unresolved_gold,
        )


def _sum(one: dict[Target, int], other: dict[Target, int]) -> dict[Target, int]:
    return {target: one.get(target, 0) + count for target, count in other.items()}


def head_inputs(predictors: Sequence[Predictor]) -> list[dict[str, Any]]:
    """Which heads predictions are made with, for `predictions_metadata`."""
    return [
        predictor.card.model_dump(mode="json", include=_IN_METADATA)
        | {"card_sha256": hashlib.sha256(predictor.card.model_dump_json().encode()).hexdigest()}
        for predictor in predictors
    ]


def predictions_metadata(
    heads: Sequence[dict[str, Any]],
    *,
    shard_sets: Sequence[ShardSet],
    settings: dict[str, Any],
    rows: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """What predictions are made from: which heads, on which shards, with which settings; and the hash of all that.

    Args:
        heads: `head_inputs`.
        rows: the first product and the one after the last, where only those are predicted.
    """
    shards = [_checksums(source, rows=rows or (0, source.num_products)) for source in shard_sets]
    labels = [source.labels and source.labels.inputs_hash for source in shard_sets]
    inputs = {"prodemb_version": __version__, "heads": heads, "shards": shards, "labels": labels} | settings
    return inputs | {"inputs_hash": inputs_hash(**inputs)}


def _checksums(source: ShardSet, *, rows: tuple[int, int]) -> list[str | int]:
    """Of the shards that some products stand in, after the number of the first product in these where it is not 0."""
    first, last = source.shard_of(rows[0]), source.shard_of(rows[1] - 1)
    skipped = rows[0] - source.start_of(first)
    return [*([skipped] if skipped else []), *(each.sha256 for each in source.manifest.shards[first : last + 1])]


def is_predictions(path: Path) -> bool:
    """Whether a file holds predictions of prodemb's, of whatever inputs."""
    footer = _footer_of(path)
    return footer is not None and is_of_predictions(footer)


def is_of_predictions(footer: pq.FileMetaData) -> bool:
    """The same by the metadata of a Parquet file."""
    return "inputs_hash" in _metadata_in(footer)


def read_counts(path: Path, *, inputs_hash: str) -> ScoreCounts | None:
    """The counts of a complete predictions file made from these inputs; None where `path` is no such file.

    Raises:
        ConfigError: they are damaged.
    """
    footer = _footer_of(path)
    return None if footer is None else counts_in(footer, inputs_hash=inputs_hash, source=path)


def counts_in(footer: pq.FileMetaData, *, inputs_hash: str, source: Place) -> ScoreCounts | None:
    """The same by the metadata of a Parquet file.

    Args:
        source: the file, for messages.
    """
    found = footer.metadata or {}
    if _metadata_in(footer).get("inputs_hash") != inputs_hash or _COUNTS_KEY not in found:
        return None
    try:
        return ScoreCounts.parse(parse_json(found[_COUNTS_KEY]), source=f"{source}: {_COUNTS_KEY.decode()}")
    except ValueError as error:
        raise ConfigError(f"{source}: damaged counts: {one_line(error)}; remove it and score again") from None


def _footer_of(path: Path) -> pq.FileMetaData | None:
    """A Parquet file's metadata; None where the file is none."""
    try:
        return parquet_footer(path)
    except (OSError, ValueError):
        return None


def _metadata_in(footer: pq.FileMetaData) -> dict[str, Any]:
    """What predictions keep in a Parquet file's metadata; empty where it is none of theirs."""
    try:
        metadata = parse_json((footer.metadata or {}).get(METADATA_KEY, b"{}"))
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def write_predictions(
    path: Path,
    tables: Iterable[pa.Table],
    *,
    schema: pa.Schema,
    metadata: dict[str, Any],
    counts: Callable[[], ScoreCounts],
) -> ScoreCounts:
    """Write a whole file of predictions, a row group a table.

    Args:
        metadata: `predictions_metadata`.
        counts: asked once all tables are written.

    Returns:
        The counts.

    Raises:
        BusyError, OutputError: another run writes it, or it cannot be written.
    """
    with replacing(path) as temporary, open_predictions(temporary, schema=schema, metadata=metadata) as writer:
        for table in tables:
            writer.write_table(table.cast(writer.schema))
        counted = counts()
        writer.add_key_value_metadata({_COUNTS_KEY: counted.model_dump_json()})
    return counted


def open_predictions(path: Path, *, schema: pa.Schema, metadata: dict[str, Any]) -> pq.ParquetWriter:
    """A Parquet writer whose repeating columns are dictionaries, with `predictions_metadata`."""
    schema = schema.with_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=list(REPEATING))
