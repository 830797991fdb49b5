"""Category columns that only some predictors fill: what decided, and whether the product is like those learned from."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from prodemb.category.nodes import NodePrediction
from prodemb.category.predict import SOURCES, CategoryPredictor
from prodemb.score.category_columns import CategoryColumns
from prodemb.shards.product_set import ProductSet
from prodemb.shards.product_stream import ProductStream
from tests.shard_sets import write_random_set
from tests.small_heads import make_head


@dataclass(frozen=True, kw_only=True)
class Telling(CategoryPredictor):
    """A predictor that says what decided, of all but the first product, and that only the last is known."""

    def predict(self, products: ProductSet, *, k: int, tau: float) -> NodePrediction:
        num = len(products)
        prediction = super().predict(products, k=k, tau=tau)
        return replace(prediction, sources=np.minimum(np.arange(num) - 1, 0), known=np.arange(num) == num - 1)


def columns_of(predictor: CategoryPredictor, folder: Path) -> dict[str, pa.Array]:
    """The columns of five products, of which the fourth has no vectors."""
    stream = ProductStream(write_random_set(folder), features=predictor.card.features)
    return CategoryColumns(predictor, top=2, tau=0.0, promise=None, gold=None).columns(stream.take(5))


def test_what_a_predictor_tells_is_written(tmp_path: Path) -> None:
    columns = columns_of(Telling.of(make_head("category")), tmp_path)
    first = SOURCES[0]
    assert columns["category_source"].to_pylist() == [None, first, first, None, first]
    assert columns["category_known"].to_pylist() == [False, False, False, None, True]


def test_what_a_predictor_does_not_tell_is_null(tmp_path: Path) -> None:
    columns = columns_of(CategoryPredictor.of(make_head("category")), tmp_path)
    assert columns["category_source"].to_pylist() == columns["category_known"].to_pylist() == [None] * 5
