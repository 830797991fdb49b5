"""The columns of the predictions file, and what turns each target's predictions into them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.confidence.promise import Promise
from prodemb.core.features import PARTNER, Feature
from prodemb.heads.labels import Target
from prodemb.shards.product_stream import Chunk

_PROBABILITY = pa.field("probability", pa.float32())
CATEGORY_TOP = (pa.field("id", pa.int64()), pa.field("path", pa.string()), _PROBABILITY)
"""Of each entry of `category_top` and `category_ancestors`."""
BRAND_TOP = (pa.field("name", pa.string()), _PROBABILITY)
"""Of each entry of `brand_top`."""

CATEGORY_FIELDS = (
    pa.field("category_id", pa.int64()),
    pa.field("category_path", pa.string()),
    pa.field("category_level", pa.int8()),
    pa.field("category_confidence", pa.float32()),
    pa.field("category_source", pa.string()),
    pa.field("category_known", pa.bool_()),
    pa.field("category_ancestors", pa.list_(pa.struct(CATEGORY_TOP))),
    pa.field("category_top", pa.list_(pa.struct(CATEGORY_TOP))),
)
BRAND_FIELDS = (
    pa.field("brand", pa.string()),
    pa.field("brand_confidence", pa.float32()),
    pa.field("brand_source", pa.string()),
    pa.field("brand_known", pa.bool_()),
    pa.field("brand_top", pa.list_(pa.struct(BRAND_TOP))),
)
REPEATING = (
    PARTNER,
    "category_id",
    "category_path",
    "category_source",
    "category_ancestors.list.element.id",
    "category_ancestors.list.element.path",
    "category_top.list.element.id",
    "category_top.list.element.path",
    "brand",
    "brand_source",
    "brand_top.list.element.name",
)
"""Columns that take Parquet dictionary encoding."""

_NUM_LEVELS = 128
"""As many as the int8 of `category_level` can say, and 0."""


def predictions_schema() -> pa.Schema:
    """The columns of the predictions."""
    product = [pa.field("product_id", pa.string(), nullable=False), pa.field(PARTNER, pa.string())]
    return pa.schema([*product, *CATEGORY_FIELDS, *BRAND_FIELDS])


@dataclass(kw_only=True)
class Tally:
    """What is counted of one target, in products so far."""

    num_unanswered: int = 0
    num_backed_off: int = 0
    """Answered with a node above their most probable category."""
    num_gold: int = 0
    """Answered with their own gold label."""
    num_unresolved_gold: int = 0
    """With a gold label that is none of the nodes."""
    levels_before: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_NUM_LEVELS, np.int64))
    """By the level of the most probable category, or of the gold one."""
    levels_after: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_NUM_LEVELS, np.int64))
    """By the level of the answer."""


class TargetColumns(Protocol):
    """Everything that scoring needs to know of one target."""

    target: Target
    features: tuple[Feature, ...]
    """The features whose vectors are read."""
    texts: tuple[Feature, ...]
    """Those whose supplied values are read."""
    tally: Tally
    promise: Promise | None
    """What decides which answers are given; None where nothing is promised."""

    def columns(self, chunk: Chunk) -> dict[str, pa.Array]:
        """The target's columns for n products."""


def ranked(
    values: Sequence[pa.Array],
    *,
    fields: Sequence[pa.Field],
    indices: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32] | None,
    valid: npt.NDArray[np.bool_],
    null: npt.NDArray[np.bool_] | None = None,
) -> pa.ListArray:
    """The ranked predictions of n products, a list of structs each.

    Args:
        values: what the indices stand for, one array per field but the probability.
        fields: of the structs.
        indices: (n, k) into `values`, best first.
        probabilities: (n, k), some of them masked; None where they are not known.
        valid: (n, k) which predictions there are; the first ones of each row.
        null: (n,) products whose list is null; none where it is not given.
    """
    flat = pa.array(indices[valid])
    likely = pa.nulls(len(flat), pa.float32()) if probabilities is None else pa.array(probabilities[valid])
    columns = [*(array.take(flat) for array in values), likely]
    structs = pa.StructArray.from_arrays(columns, fields=list(fields))
    offsets = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int32)
    mask = None if null is None else pa.array(null)
    return pa.ListArray.from_arrays(pa.array(offsets), structs, mask=mask)
