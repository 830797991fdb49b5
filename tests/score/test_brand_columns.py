"""The brand column that only some predictors fill: whether the product is like those learned from."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

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


def columns_of(predictor: BrandPredictor, folder: Path) -> dict[str, pa.Array]:
    stream = ProductStream(write_random_set(folder), features=predictor.card.features)
    columns = BrandColumns(predictor, top=2, min_confidence=0.0, promise=None, gold=None)
    return columns.columns(stream.take(3))


@pytest.mark.parametrize(("is_telling", "known"), [(True, [True, False, False]), (False, [None] * 3)])
def test_what_a_predictor_tells_is_written(tmp_path: Path, is_telling: bool, known: list[bool | None]) -> None:
    predictor = predictor_of(make_head("brand"))
    assert isinstance(predictor, BrandPredictor)
    if is_telling:
        predictor = Telling(head=predictor.head, fuser=predictor.fuser)
    assert columns_of(predictor, tmp_path)["brand_known"].to_pylist() == known
