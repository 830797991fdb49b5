"""The predictions file: its columns, and how answers become them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from prodemb import __version__
from prodemb.aliases.junk import UNKNOWN
from prodemb.brand.predict import SOURCES, Fuser
from prodemb.category.nodes import NodeAnswers, Nodes
from prodemb.category.predict import CategoryHead
from prodemb.category.zero_shot import ZeroShot
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.config import Config
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import Target
from prodemb.shards.format import METADATA_KEY
from prodemb.shards.product_set import ProductSet
from prodemb.shards.reader import ShardSet
from prodemb.taxonomy.taxonomy import SEPARATOR

_ANSWER_FIELDS: dict[Target, list[pa.Field]] = {
    "category": [pa.field("id", pa.int64()), pa.field("path", pa.string())],
    "brand": [pa.field("name", pa.string())],
}
"""What names an answer."""

_COLUMNS: dict[Target, tuple[str, ...]] = {"category": ("category_id", "category_path"), "brand": ("brand",)}
"""The columns of the first answer, one for each of its fields."""

_COUNTS_KEY = b"prodemb_counts"

_SOURCE = "brand_source"
_LEVEL = "category_level"

_IN_METADATA = {"target", "zero_shot", "fingerprint", "model", "weights_sha256"}


class CategoryAnswers:
    """A category head's answers as columns of the predictions."""

    def __init__(self, head: TrainedHead, *, top: int, tau: float, threshold: float | None) -> None:
        """Answer with `head`, giving the `top` most probable classes of each product.

        Args:
            tau: the strength of logit adjustment.
            threshold: answer with the deepest node above the most probable class that is at least so probable; None
                for that class itself, with its own probability.
        """
        self.num_unanswered = 0
        """Products so far without a category."""
        self.num_backed_off = 0
        """Products so far that a node above their most probable class answers."""
        self._head = CategoryHead.of(head)
        self._top = top
        self._tau = tau
        self.threshold = threshold

    def columns(self, products: ProductSet) -> dict[str, pa.Array]:
        """The category columns of n products; null for those without a vector that the head reads."""
        said = self._head.answer(products.vectors, present=products.present, k=self._top, tau=self._tau)
        if self.threshold is None:
            nodes, confidences = said.top[:, 0], said.probabilities[:, 0]
        else:
            nodes, confidences = said.backed_off(self.threshold)
        known = np.asarray(products.present.any(axis=1))
        columns = category_columns(self._head.nodes, said=said, nodes=nodes, confidences=confidences, known=known)
        self.num_unanswered += columns["category_id"].null_count
        self.num_backed_off += int((known & (nodes != NO_ANSWER) & (nodes != said.top[:, 0])).sum())
        return columns


class ZeroShotAnswers:
    """Zero-shot answers as columns of the predictions."""

    num_backed_off = 0

    def __init__(self, zero_shot: ZeroShot, *, top: int) -> None:
        """Answer with the nearest node, giving the `top` nearest ones of each product."""
        self.num_unanswered = 0
        """Products so far without a category."""
        self._zero_shot = zero_shot
        self._top = top

    def columns(self, products: ProductSet) -> dict[str, pa.Array]:
        """The category columns of n products; null for those without a vector that is compared."""
        said, known = self._zero_shot.answer(products, k=self._top), self._zero_shot.known(products)
        self.num_unanswered += int((~known).sum())
        first, sure = said.top[:, 0], said.probabilities[:, 0]
        return category_columns(self._zero_shot.nodes, said=said, nodes=first, confidences=sure, known=known)


def category_columns(
    answerable: Nodes,
    *,
    said: NodeAnswers,
    nodes: npt.NDArray[np.int64],
    confidences: npt.NDArray[np.float32],
    known: npt.NDArray[np.bool_],
) -> dict[str, pa.Array]:
    """The category columns of n products.

    Args:
        answerable: what the numbers of nodes and classes mean.
        said: the ranked classes.
        nodes: (n,) the answer, -1 for none.
        confidences: (n,) its probability.
        known: (n,) whether anything is known of the product.
    """
    names = [
        pa.array([label.id for label in answerable.labels], pa.int64()),
        pa.array([label.path for label in answerable.labels], pa.string()),
    ]
    ranked = np.repeat(known[:, None], said.top.shape[1], axis=1)
    columns = _columns("category", names, answers=said.top, probabilities=said.probabilities, valid=ranked)
    unanswered = ~known | (nodes == NO_ANSWER)
    answers = pa.array(nodes, mask=unanswered)
    columns |= {column: some.take(answers) for column, some in zip(_COLUMNS["category"], names, strict=True)}
    levels = np.array([label.path.count(SEPARATOR) + 1 for label in answerable.labels], dtype=np.int8)
    columns[_LEVEL] = pa.array(levels).take(answers)
    columns["category_confidence"] = pa.array(confidences, mask=unanswered)
    return columns


class BrandAnswers:
    """The fused brands as columns of the predictions."""

    num_unanswered = 0
    """Products so far whose brand is UNKNOWN."""

    def __init__(self, head: TrainedHead, *, fuser: Fuser, top: int, min_confidence: float) -> None:
        """Answer with `head` and its `fuser`, giving at most `top` brands a product.

        Args:
            min_confidence: below this the brand is UNKNOWN; the list keeps what it would have been.
        """
        self._head = head
        self._fuser = fuser
        self._top = top
        self._least = min_confidence

    def columns(self, products: ProductSet) -> dict[str, pa.Array]:
        """The brand columns of n products. None is null, but for the source of an UNKNOWN."""
        fused = self._fuser.answer(products, head=self._head, k=self._top)
        names, unknown = pa.array([*fused.names, UNKNOWN], pa.string()), len(fused.names)
        confidences = fused.probabilities[:, 0]
        sure = (fused.top[:, 0] >= 0) & (confidences >= self._least)
        self.num_unanswered += int((~sure).sum())
        columns = _columns("brand", [names], answers=fused.top, probabilities=fused.probabilities, valid=fused.top >= 0)
        columns["brand"] = names.take(pa.array(np.where(sure, fused.top[:, 0], unknown)))
        columns["brand_confidence"] = pa.array(confidences)
        columns[_SOURCE] = pa.array(SOURCES, pa.string()).take(pa.array(fused.sources, mask=~sure))
        return columns


def _columns(
    target: Target,
    names: Sequence[pa.Array],
    *,
    answers: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
) -> dict[str, pa.Array]:
    """The columns of a target: its first answer, that one's confidence, and all answers as a list of structs.

    Args:
        names: what names each answer, one array a field.
        answers: (n, k) places in `names`, best first.
        probabilities: (n, k).
        valid: (n, k) which answers there are; the first ones of each row.
    """
    first = pa.array(answers[:, 0], mask=~valid[:, 0])
    columns: dict[str, pa.Array] = {
        column: some.take(first) for column, some in zip(_COLUMNS[target], names, strict=True)
    }
    columns[f"{target}_confidence"] = pa.array(probabilities[:, 0], mask=~valid[:, 0])
    flat = pa.array(answers[valid])
    listed = [*(some.take(flat) for some in names), pa.array(probabilities[valid])]
    structs = pa.StructArray.from_arrays(listed, fields=_answer_fields(target))
    offsets = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int32)
    missing = pa.array(~valid[:, 0]) if target == "category" else None
    columns[f"{target}_top"] = pa.ListArray.from_arrays(pa.array(offsets), structs, mask=missing)
    return columns


def _answer_fields(target: Target) -> list[pa.Field]:
    return [*_ANSWER_FIELDS[target], pa.field("probability", pa.float32())]


def predictions_schema() -> pa.Schema:
    """The columns of the predictions."""
    fields = [pa.field("product_id", pa.string(), nullable=False)]
    for target in get_args(Target):
        names = zip(_COLUMNS[target], _ANSWER_FIELDS[target], strict=True)
        fields += [pa.field(column, field.type) for column, field in names]
        if target == "category":
            fields.append(pa.field(_LEVEL, pa.int8()))
        fields.append(pa.field(f"{target}_confidence", pa.float32()))
        if target == "brand":
            fields.append(pa.field(_SOURCE, pa.string()))
        fields.append(pa.field(f"{target}_top", pa.list_(pa.struct(_answer_fields(target)))))
    return pa.schema(fields)


def predictions_metadata(
    heads: Sequence[TrainedHead | ZeroShot], *, shard_sets: Sequence[ShardSet], settings: dict[str, Any]
) -> bytes:
    """What the predictions are made from, as JSON: which heads answered, on which shards, with which settings."""
    cards = [
        head.card.model_dump(mode="json", include=_IN_METADATA)
        | {"card_sha256": hashlib.sha256(head.card.model_dump_json().encode()).hexdigest()}
        for head in heads
    ]
    shards = [[record.sha256 for record in source.manifest.shards] for source in shard_sets]
    return json.dumps({"prodemb_version": __version__, "heads": cards, "shards": shards} | settings).encode()


class Counts(Config):
    """What scoring counted on its way; stands in the predictions' metadata, so that it can be told again."""

    unanswered: dict[Target, int]
    """Products without an answer: no category for want of vectors or of a sure node, or an UNKNOWN brand."""
    backed_off: int = 0
    """Products whose category is a node above the most probable one."""
    threshold: float | None = None
    """The least probability of a node that is answered, where `category_precision` asks for one."""
    changes: dict[str, int] | None = None
    """Against earlier predictions, if any: how many products are added, changed, removed and unchanged."""


def read_counts(path: Path, *, metadata: bytes) -> Counts | None:
    """The counts of a whole predictions file with this metadata; None where `path` is no such file."""
    try:
        found: dict[bytes, bytes] = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    if found.get(METADATA_KEY) != metadata or _COUNTS_KEY not in found:
        return None
    return Counts.model_validate_json(found[_COUNTS_KEY])


def write_counts(writer: pq.ParquetWriter, counts: Counts) -> None:
    """Put the counts into the metadata of predictions that are all written."""
    writer.add_key_value_metadata({_COUNTS_KEY: counts.model_dump_json()})


def open_predictions(path: Path, *, schema: pa.Schema, metadata: bytes) -> pq.ParquetWriter:
    """A Parquet writer whose repeating columns are dictionaries, with `predictions_metadata`."""
    schema = schema.with_metadata({METADATA_KEY: metadata})
    repeating = [_SOURCE, *(column for target in get_args(Target) for column in _COLUMNS[target])]
    repeating += [f"{t}_top.list.element.{field.name}" for t in get_args(Target) for field in _ANSWER_FIELDS[t]]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating)
