"""Why a product is answered as it is: who speaks for each answer, and the labelled products that are near."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.brand.predict import BrandPredictor
from prodemb.category.predict import CategoryPredictor
from prodemb.core.features import TEXT_FEATURES
from prodemb.predict.explain import NUM_ANSWERS, explain_brand, explain_category
from prodemb.predict.predictor import Predictor
from prodemb.shards.product_set import ProductSet
from prodemb.shards.reader import open_shard_set
from tests.predict.heads import write_heads
from tests.shard_sets import random_vectors, write_random_set, write_shards
from tests.small_heads import category_predictor, make_head, predictor_of, random_products


def product_of(predictor: CategoryPredictor | BrandPredictor, row: int = 2) -> ProductSet:
    """One of the products that `category_predictor` learned from, with a title and a brand."""
    texts = {f"raw_{name}": pl.lit(None, pl.String) for name in TEXT_FEATURES}
    texts |= {"raw_title": pl.lit("Brand 3 mug"), "raw_brand": pl.lit("brand 4")}
    found = random_products(predictor.card, num=9).take(np.array([row]))
    return ProductSet(**{**vars(found), "supplied": found.supplied.with_columns(**texts)})


def test_a_category_s_voices_are_those_that_put_it_first() -> None:
    predictor = category_predictor(make_head("category"))
    product = product_of(predictor)
    found, prediction = explain_category(predictor, product, shards=[]), predictor.predict(product, k=NUM_ANSWERS)
    assert [answer.name for answer in found.answers] == [
        predictor.nodes.labels[node].path for node in prediction.nodes[0]
    ]
    assert [answer.probability for answer in found.answers] == prediction.probabilities[0].tolist()
    assert "head" in found.answers[0].voices
    nearest = found.neighbours[0]
    assert (nearest.label, nearest.cosine, nearest.title) == ("Things > Kind 2", pytest.approx(1, abs=1e-3), None)
    assert len(found.neighbours) == 5


def test_titles_are_those_of_products_that_still_have_the_label(tmp_path: Path) -> None:
    predictor = category_predictor(make_head("category"))
    columns = {
        "title": [f"mug {row}" for row in range(9)],
        "google_category_id": [str(100 + row) if row % 2 == 0 else "100" for row in range(9)],
    }
    write_shards(
        tmp_path / "own", vectors=random_vectors(9), columns=columns, sizes=(5, 4), fingerprint="clip", model="m"
    )
    other = write_random_set(tmp_path / "other", fingerprint="other")
    shards = [other, open_shard_set(tmp_path / "own")]
    found = explain_category(predictor, product_of(predictor), shards=shards)
    for near in found.neighbours:
        row = int(near.label.rpartition(" ")[2])
        assert near.title == (f"mug {row}" if row % 2 == 0 else None)


def test_a_brand_s_voices_are_supplied_value_title_and_head() -> None:
    predictor = predictor_of(make_head("brand"))
    assert isinstance(predictor, BrandPredictor)
    found = explain_brand(predictor, product_of(predictor), shards=[])
    voices = {answer.name: answer.voices for answer in found.answers}
    assert "supplied" in voices["Brand 4"]
    assert "title" in voices["Brand 3"]
    assert sum("head" in each for each in voices.values()) == 1
    assert found.neighbours == ()


def test_a_predictor_explains_both_targets(tiny_clip: Path, tmp_path: Path) -> None:
    write_heads(tmp_path / "heads", tiny_clip)
    predictor = Predictor.load(tmp_path / "heads", settings={"score": {"min_brand_confidence": 0.0}})
    product = {"title": "Brand 3 mug", "brand": "Brand 4"}
    prediction, explanations = predictor.explain(product)
    assert prediction == predictor.predict([product]).to_dicts()[0]
    for explanation in explanations:
        name = prediction["brand" if explanation.target == "brand" else "category_path"]
        assert explanation.answers[0].name == name
