"""The brand column that says whether the brand is one that labels or aliases name."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from prodemb.brand.predict import BrandPrediction, BrandPredictor
from prodemb.confidence.promise import Promise
from prodemb.core.features import BRAND_FEATURES
from prodemb.score.brand_columns import BrandColumns, has_brand
from prodemb.shards.product_set import ProductSet
from prodemb.shards.product_stream import ProductStream
from prodemb.shards.reader import open_shard_set
from tests.shard_sets import write_random_set, write_shards
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


def test_words_for_nothing_are_no_supplied_brand() -> None:
    supplied = pl.Series(["Nike", "N/A", " ", None, "No Brand", "Acme"], dtype=pl.String)
    assert has_brand(supplied).tolist() == [True, False, False, False, False, True]


def test_labels_that_are_supplied_brands_promise_nothing_of_products_without_one(tmp_path: Path) -> None:
    told = Promise(precision=0.9, certainty=0.9, num_labels=99, threshold=0.0)
    columns: dict[str, list[str | None]] = {"brand": ["Brand 1", None, "N/A"], "title": ["Brand 2 mug"] * 3}
    vectors = {feature: np.ones((3, 8)) for feature in BRAND_FEATURES}
    write_shards(tmp_path, vectors=vectors, columns=columns, sizes=[3], fingerprint="clip")
    for gold, num_unknown in ((True, 0), (False, 2)):
        predictor = predictor_of(make_head("brand", gold_answers=gold))
        assert isinstance(predictor, BrandPredictor)
        stream = ProductStream(open_shard_set(tmp_path), features=predictor.card.features, texts=BrandColumns.texts)
        found = BrandColumns(predictor, top=2, min_confidence=0.0, promise=told, gold=None).columns(stream.take(3))
        assert found["brand"].to_pylist().count("UNKNOWN") == num_unknown
