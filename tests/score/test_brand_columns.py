"""The brand column that says whether the brand is one that labels or aliases name."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from prodemb.brand.predict import BrandPrediction, BrandPredictor
from prodemb.score.brand_columns import BrandColumns
from prodemb.shards.product_set import ProductSet
from prodemb.shards.product_stream import ProductStream
from tests.shard_sets import write_random_set
from tests.small_heads import make_head, predictor_of


@dataclass(frozen=True, kw_only=True)
class Telling(BrandPredictor):
    """A predictor that says that only the first product is known."""

    def predict(self, products: ProductSet, *, k: int) -> BrandPrediction:
        return replace(super().predict(products, k=k), known=np.arange(len(products)) == 0)


def test_what_a_predictor_tells_is_written(tmp_path: Path) -> None:
    own = predictor_of(make_head("brand"))
    assert isinstance(own, BrandPredictor)
    predictor = Telling(head=own.head, fuser=own.fuser)
    stream = ProductStream(write_random_set(tmp_path), features=predictor.card.features, texts=BrandColumns.texts)
    columns = BrandColumns(predictor, top=2, min_confidence=0.0, promise=None, gold=None)
    assert columns.columns(stream.take(3))["brand_known"].to_pylist() == [True, False, False]
