"""The predictions file: its columns, and how a head's answers become them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from prodemb import __version__
from prodemb.heads import TrainedHead
from prodemb.labels import BrandLabel, CategoryLabel, Target
from prodemb.shards.format import METADATA_KEY
from prodemb.shards.reader import ShardSet

_ANSWER_FIELDS: dict[Target, list[pa.Field]] = {
    "category": [pa.field("id", pa.int64()), pa.field("path", pa.string())],
    "brand": [pa.field("name", pa.string())],
}
"""What names an answer."""

_COLUMNS: dict[Target, tuple[str, ...]] = {"category": ("category_id", "category_path"), "brand": ("brand",)}
"""The columns of the first answer, one for each of its fields."""

_IN_METADATA = {"target", "fingerprint", "model", "weights_sha256"}


class Answers:
    """One head's answers as columns of the predictions."""

    num_unanswered: int
    """Products so far without a vector that the head reads."""

    def __init__(self, head: TrainedHead, *, top: int) -> None:
        """Answer with `head`, giving the `top` most probable classes of each product."""
        self._head = head
        self._target = head.card.target
        self._top = top
        self._names = _names(head.card.labels)
        self.num_unanswered = 0

    def columns(self, vectors: npt.NDArray[np.float16], *, present: npt.NDArray[np.bool_]) -> dict[str, pa.Array]:
        """The target's columns for n products; null for products without a vector that the head reads.

        Args:
            vectors: (n, F, dim), the features of the head's card in order.
            present: (n, F).
        """
        best = self._head.top(torch.from_numpy(vectors), present=torch.from_numpy(present), k=self._top)
        probabilities, classes = (part.numpy() for part in best)
        answered: npt.NDArray[np.bool_] = np.asarray(present.any(axis=1))
        self.num_unanswered += int((~answered).sum())
        first = pa.array(classes[:, 0], mask=~answered)
        fields = zip(_COLUMNS[self._target], self._names, strict=True)
        columns: dict[str, pa.Array] = {column: names.take(first) for column, names in fields}
        columns[f"{self._target}_confidence"] = pa.array(probabilities[:, 0], mask=~answered)
        columns[f"{self._target}_top"] = self._lists(probabilities, classes=classes, answered=answered)
        return columns

    def _lists(
        self, probabilities: npt.NDArray[np.float32], *, classes: npt.NDArray[np.int64], answered: npt.NDArray[np.bool_]
    ) -> pa.Array:
        """The best answers of each product as a list of structs."""
        flat = pa.array(classes[answered].ravel())
        named = [names.take(flat) for names in self._names]
        answers = pa.StructArray.from_arrays(
            [*named, pa.array(probabilities[answered].ravel())], fields=_answer_fields(self._target)
        )
        offsets = np.concatenate([[0], np.cumsum(answered * classes.shape[1])]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), answers, mask=pa.array(~answered))


def _names(labels: Sequence[CategoryLabel] | Sequence[BrandLabel]) -> list[pa.Array]:
    """What names each class: one array a field of an answer."""
    if isinstance(labels[0], CategoryLabel):
        categories = [label for label in labels if isinstance(label, CategoryLabel)]
        return [pa.array([c.id for c in categories], pa.int64()), pa.array([c.path for c in categories], pa.string())]
    return [pa.array([label.name for label in labels if isinstance(label, BrandLabel)], pa.string())]


def _answer_fields(target: Target) -> list[pa.Field]:
    return [*_ANSWER_FIELDS[target], pa.field("probability", pa.float32())]


def predictions_schema() -> pa.Schema:
    """The columns of the predictions."""
    fields = [pa.field("product_id", pa.string(), nullable=False)]
    for target in get_args(Target):
        names = zip(_COLUMNS[target], _ANSWER_FIELDS[target], strict=True)
        fields += [pa.field(column, field.type) for column, field in names]
        fields.append(pa.field(f"{target}_confidence", pa.float32()))
        fields.append(pa.field(f"{target}_top", pa.list_(pa.struct(_answer_fields(target)))))
    return pa.schema(fields)


def predictions_metadata(heads: Sequence[TrainedHead], *, shard_sets: Sequence[ShardSet], top: int) -> bytes:
    """What the predictions are made from, as JSON: which heads answered, on which shards."""
    cards = [
        head.card.model_dump(mode="json", include=_IN_METADATA)
        | {"card_sha256": hashlib.sha256(head.card.model_dump_json().encode()).hexdigest()}
        for head in heads
    ]
    shards = [[record.sha256 for record in source.manifest.shards] for source in shard_sets]
    return json.dumps({"prodemb_version": __version__, "heads": cards, "shards": shards, "top": top}).encode()


def is_made_from(path: Path, metadata: bytes) -> bool:
    """Whether `path` is a whole predictions file with this metadata."""
    try:
        found: dict[bytes, bytes] = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return found.get(METADATA_KEY) == metadata


def open_predictions(path: Path, *, metadata: bytes) -> pq.ParquetWriter:
    """A Parquet writer whose repeating columns are dictionaries, with `predictions_metadata`."""
    schema = predictions_schema().with_metadata({METADATA_KEY: metadata})
    repeating = [column for target in get_args(Target) for column in _COLUMNS[target]]
    repeating += [f"{t}_top.list.element.{field.name}" for t in get_args(Target) for field in _ANSWER_FIELDS[t]]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating)
