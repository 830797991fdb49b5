"""Category columns: what decided, and whether the product is like those learned from; null where it is not told."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from prodemb.category.candidates import SOURCES
from prodemb.category.nodes import NodePrediction
from prodemb.category.predict import CategoryPredictor
from prodemb.core.features import TEXT_FEATURES
from prodemb.score.category_columns import CategoryColumns
from prodemb.shards.product_set import ProductSet
from prodemb.shards.product_stream import ProductStream
from tests.shard_sets import write_random_set
from tests.small_heads import category_predictor, make_head


@dataclass(frozen=True, kw_only=True)
class Telling(CategoryPredictor):
    """A predictor that says of all but the first product that the names decided, and that only the last is known."""

    def predict(self, products: ProductSet, *, k: int) -> NodePrediction:
        prediction, numbers = super().predict(products, k=k), np.arange(len(products))
        sources = np.where(numbers == 0, -1, SOURCES.index("names"))
        return replace(prediction, sources=sources, known=numbers == len(products) - 1)


@dataclass(frozen=True, kw_only=True)
class Silent(CategoryPredictor):
    """A predictor that says neither."""

    def predict(self, products: ProductSet, *, k: int) -> NodePrediction:
        return replace(super().predict(products, k=k), sources=None, known=None)


def columns_of(kind: type[CategoryPredictor], folder: Path) -> dict[str, pa.Array]:
    """The columns of five products, of which the fourth has no vectors."""
    own = category_predictor(make_head("category"))
    predictor = kind(voices=own.voices, model=own.model, least_known=own.least_known)
    stream = ProductStream(write_random_set(folder), features=predictor.card.features, texts=TEXT_FEATURES)
    return CategoryColumns(predictor, top=2, promise=None, gold=None).columns(stream.take(5))


def test_what_a_predictor_tells_is_written(tmp_path: Path) -> None:
    columns = columns_of(Telling, tmp_path)
    assert columns["category_source"].to_pylist() == [None, "names", "names", None, "names"]
    assert columns["category_known"].to_pylist() == [False, False, False, None, True]


def test_what_a_predictor_does_not_tell_is_null(tmp_path: Path) -> None:
    columns = columns_of(Silent, tmp_path)
    assert columns["category_source"].to_pylist() == columns["category_known"].to_pylist() == [None] * 5


def test_the_ancestors_lead_from_the_top_to_the_answer_with_the_probability_of_each_subtree(tmp_path: Path) -> None:
    columns = columns_of(Telling, tmp_path)
    for row in (0, 1, 2, 4):
        top, answer = columns["category_ancestors"][row].as_py()
        assert (top["id"], top["path"]) == (99, "Things")
        assert answer["path"] == columns["category_path"][row].as_py()
        assert answer["probability"] == columns["category_confidence"][row].as_py()
        assert answer["probability"] < top["probability"] <= 1
    assert columns["category_ancestors"][3].as_py() is None
