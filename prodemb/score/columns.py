"""The columns of the predictions file, and how each target's predictions become them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.aliases.junk import UNKNOWN
from prodemb.brand.predict import SOURCES, BrandPredictor
from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.category.zero_shot import ZeroShot
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.features import PARTNER, Feature
from prodemb.heads.labels import Target
from prodemb.shards.product_set import ProductSet
from prodemb.taxonomy.taxonomy import SEPARATOR

_PROBABILITY = pa.field("probability", pa.float32())
_CATEGORY_TOP = [pa.field("id", pa.int64()), pa.field("path", pa.string()), _PROBABILITY]
_BRAND_TOP = [pa.field("name", pa.string()), _PROBABILITY]

CATEGORY_FIELDS = (
    pa.field("category_id", pa.int64()),
    pa.field("category_path", pa.string()),
    pa.field("category_level", pa.int8()),
    pa.field("category_confidence", pa.float32()),
    pa.field("category_top", pa.list_(pa.struct(_CATEGORY_TOP))),
)
BRAND_FIELDS = (
    pa.field("brand", pa.string()),
    pa.field("brand_confidence", pa.float32()),
    pa.field("brand_source", pa.string()),
    pa.field("brand_top", pa.list_(pa.struct(_BRAND_TOP))),
)
REPEATING = (
    PARTNER,
    "category_id",
    "category_path",
    "category_top.list.element.id",
    "category_top.list.element.path",
    "brand",
    "brand_source",
    "brand_top.list.element.name",
)
"""Columns that take Parquet dictionary encoding."""


def predictions_schema() -> pa.Schema:
    """The columns of the predictions."""
    product = [pa.field("product_id", pa.string(), nullable=False), pa.field(PARTNER, pa.string())]
    return pa.schema([*product, *CATEGORY_FIELDS, *BRAND_FIELDS])


class TargetColumns(Protocol):
    """Everything that scoring needs to know of one target."""

    target: Target
    features: tuple[Feature, ...]
    """The features whose vectors are read."""
    num_unanswered: int
    """Products so far without an answer."""
    num_backed_off: int
    """Products so far that are answered with a node above their most probable category."""
    threshold: float | None
    """The least probability of a node that is answered; None where the most probable category always is."""

    def columns(self, products: ProductSet) -> dict[str, pa.Array]:
        """The target's columns for n products."""


class CategoryColumns:
    """The category columns from a trained head."""

    target: Target = "category"

    def __init__(self, predictor: CategoryPredictor, *, top: int, tau: float, threshold: float | None) -> None:
        """Answer with `predictor`, listing the `top` most probable classes of each product.

        Args:
            tau: the strength of logit adjustment.
            threshold: answer with the deepest node above the most probable class that has at least this probability;
                None for that class itself, with its own probability.
        """
        self.features = predictor.card.features
        self.num_unanswered = 0
        self.num_backed_off = 0
        self.threshold = threshold
        self._predictor = predictor
        self._top = top
        self._tau = tau

    def columns(self, products: ProductSet) -> dict[str, pa.Array]:
        """The category columns of n products; null for those without a vector that the head reads."""
        prediction = self._predictor.predict(products, k=self._top, tau=self._tau)
        if self.threshold is None:
            nodes, confidences = prediction.classes[:, 0], prediction.probabilities[:, 0]
        else:
            nodes, confidences = prediction.backed_off(self.threshold)
        known = np.asarray(products.present.any(axis=1))
        columns = _category_columns(
            self._predictor.nodes, prediction=prediction, nodes=nodes, confidences=confidences, known=known
        )
        self.num_unanswered += columns["category_id"].null_count
        self.num_backed_off += int((known & (nodes != NO_ANSWER) & (nodes != prediction.classes[:, 0])).sum())
        return columns


class ZeroShotColumns:
    """The category columns without training, from the nearest nodes."""

    target: Target = "category"
    num_backed_off = 0
    threshold: float | None = None

    def __init__(self, zero_shot: ZeroShot, *, top: int) -> None:
        """Answer with the nearest node, listing the `top` nearest ones of each product."""
        self.features = zero_shot.card.features
        self.num_unanswered = 0
        self._zero_shot = zero_shot
        self._top = top

    def columns(self, products: ProductSet) -> dict[str, pa.Array]:
        """The category columns of n products; null for those without a vector that is compared."""
        prediction, known = self._zero_shot.predict(products, k=self._top), self._zero_shot.known(products)
        self.num_unanswered += int((~known).sum())
        return _category_columns(
            self._zero_shot.nodes,
            prediction=prediction,
            nodes=prediction.classes[:, 0],
            confidences=prediction.probabilities[:, 0],
            known=known,
        )


class BrandColumns:
    """The brand columns."""

    target: Target = "brand"
    num_backed_off = 0
    threshold: float | None = None

    def __init__(self, predictor: BrandPredictor, *, top: int, min_confidence: float) -> None:
        """Answer with `predictor`, listing at most `top` brands per product.

        Args:
            min_confidence: below this the brand is UNKNOWN; the list keeps it.
        """
        self.features = predictor.card.features
        self.num_unanswered = 0
        self._predictor = predictor
        self._top = top
        self._min_confidence = min_confidence

    def columns(self, products: ProductSet) -> dict[str, pa.Array]:
        """The brand columns of n products. Only the source of an UNKNOWN brand is null."""
        prediction = self._predictor.predict(products, k=self._top)
        names, unknown = pa.array([*prediction.names, UNKNOWN], pa.string()), len(prediction.names)
        brands, confidences = prediction.brands[:, 0], prediction.probabilities[:, 0]
        answered = (brands >= 0) & (confidences >= self._min_confidence)
        self.num_unanswered += int((~answered).sum())
        return {
            "brand": names.take(pa.array(np.where(answered, brands, unknown))),
            "brand_confidence": pa.array(confidences),
            "brand_source": pa.array(SOURCES, pa.string()).take(pa.array(prediction.sources, mask=~answered)),
            "brand_top": _ranked(
                [names],
                fields=_BRAND_TOP,
                indices=prediction.brands,
                probabilities=prediction.probabilities,
                valid=prediction.brands >= 0,
            ),
        }


def _category_columns(
    nodes_of: Nodes,
    *,
    prediction: NodePrediction,
    nodes: npt.NDArray[np.int64],
    confidences: npt.NDArray[np.float32],
    known: npt.NDArray[np.bool_],
) -> dict[str, pa.Array]:
    """The category columns of n products.

    Args:
        nodes_of: the nodes that indices refer to.
        prediction: the ranked classes.
        nodes: (n,) the answer, -1 for none.
        confidences: (n,) its probability.
        known: (n,) whether the product has any vector to predict from.
    """
    labels = nodes_of.labels
    ids = pa.array([label.id for label in labels], pa.int64())
    paths = pa.array([label.path for label in labels], pa.string())
    levels = pa.array(np.array([label.path.count(SEPARATOR) + 1 for label in labels], dtype=np.int8))
    unanswered = ~known | (nodes == NO_ANSWER)
    answers = pa.array(nodes, mask=unanswered)
    return {
        "category_id": ids.take(answers),
        "category_path": paths.take(answers),
        "category_level": levels.take(answers),
        "category_confidence": pa.array(confidences, mask=unanswered),
        "category_top": _ranked(
            [ids, paths],
            fields=_CATEGORY_TOP,
            indices=prediction.classes,
            probabilities=prediction.probabilities,
            valid=np.repeat(known[:, None], prediction.classes.shape[1], axis=1),
            null=~known,
        ),
    }


def _ranked(
    values: Sequence[pa.Array],
    *,
    fields: Sequence[pa.Field],
    indices: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    null: npt.NDArray[np.bool_] | None = None,
) -> pa.ListArray:
    """The ranked predictions of n products, a list of structs each.

    Args:
        values: what the indices stand for, one array per field but the probability.
        fields: of the structs.
        indices: (n, k) into `values`, best first.
        probabilities: (n, k).
        valid: (n, k) which predictions there are; the first ones of each row.
        null: (n,) products whose list is null; none where it is not given.
    """
    flat = pa.array(indices[valid])
    columns = [*(array.take(flat) for array in values), pa.array(probabilities[valid])]
    structs = pa.StructArray.from_arrays(columns, fields=list(fields))
    offsets = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int32)
    mask = None if null is None else pa.array(null)
    return pa.ListArray.from_arrays(pa.array(offsets), structs, mask=mask)
