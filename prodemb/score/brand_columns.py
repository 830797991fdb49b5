"""The brand columns of the predictions."""

import math

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.aliases.junk import UNKNOWN, find_junk
from prodemb.brand.predict import SOURCES, BrandPredictor
from prodemb.confidence.promise import Promise
from prodemb.core.features import Feature, raw_column
from prodemb.heads.labels import Target
from prodemb.score.columns import BRAND_TOP, Tally, ranked
from prodemb.score.gold import GOLD, GoldBrands
from prodemb.shards.product_stream import Chunk


class BrandColumns:
    """The brand columns."""

    target: Target = "brand"
    texts: tuple[Feature, ...] = ("title", "brand")

    def __init__(
        self,
        predictor: BrandPredictor,
        *,
        top: int,
        min_confidence: float,
        promise: Promise | None,
        gold: GoldBrands | None,
    ) -> None:
        """Answer with `predictor`, listing at most `top` brands per product.

        Args:
            min_confidence: below this the brand is UNKNOWN; the list keeps it.
            promise: below its threshold too; where nothing can be promised every brand is. None for no more than that.
            gold: finds the gold labels, which come before the predictor's answers; None where they do not count.
        """
        self.features = predictor.card.features
        self.tally = Tally()
        self.promise = promise
        self._predictor = predictor
        self._top = top
        self._gold = gold
        promised = 0.0 if promise is None else math.inf if promise.threshold is None else promise.threshold
        self._min_confidence = max(min_confidence, promised)

    def columns(self, chunk: Chunk) -> dict[str, pa.Array]:
        """The brand columns of n products. Confidence and source of an UNKNOWN brand are null."""
        prediction = self._predictor.predict(chunk.products, k=self._top)
        names, unknown = pa.array([*prediction.names, UNKNOWN], pa.string()), len(prediction.names)
        first, confidences = prediction.brands[:, 0], prediction.probabilities[:, 0]
        is_likely = (first >= 0) & (confidences >= self._min_confidence)
        if self.promise is not None and not self._predictor.card.gold_answers:
            # The promise rests on labels that are supplied brands, so it is none for products without one.
            is_likely &= has_brand(chunk.products.supplied[raw_column("brand")])
        brands = names.take(pa.array(np.where(is_likely, first, unknown)))
        is_gold = np.zeros(len(first), np.bool_)
        if self._gold is not None:
            gold = self._gold.names_of(chunk.gold["brand_label"])
            is_gold = gold.is_not_null().to_numpy()
            brands = pc.coalesce(gold.to_arrow().cast(pa.string()), brands)
        unanswered = ~is_likely & ~is_gold
        self.tally.num_unanswered += int(unanswered.sum())
        self.tally.num_gold += int(is_gold.sum())
        return {
            "brand": brands,
            "brand_confidence": pa.array(np.where(is_gold, np.float32(1), confidences), mask=unanswered),
            "brand_source": pa.array([*SOURCES, GOLD], pa.string()).take(
                pa.array(np.where(is_gold, len(SOURCES), prediction.sources), mask=unanswered)
            ),
            "brand_known": pa.array(prediction.known, mask=unanswered),
            "brand_top": ranked(
                [names],
                fields=BRAND_TOP,
                indices=prediction.brands,
                probabilities=prediction.probabilities,
                valid=prediction.brands >= 0,
            ),
        }


def has_brand(supplied: pl.Series) -> npt.NDArray[np.bool_]:
    """Whether each supplied brand, (n,) string, is there and no word for nothing, (n,)."""
    distinct = supplied.unique().drop_nulls()
    named = pl.Series([bool(text.strip()) and find_junk(text) is None for text in distinct], dtype=pl.Boolean)
    return supplied.replace_strict(distinct, named, default=False, return_dtype=pl.Boolean).to_numpy()
