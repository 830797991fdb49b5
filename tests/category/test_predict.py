"""Predicting: every product gets the category that all voices together make most probable, and whether it is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from prodemb.category.candidates import CONTEXTS, NUM_CONTEXTS
from prodemb.category.labels import CategoryLabels
from prodemb.category.predict import CategoryPredictor
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import ProductSet, read_products


@pytest.fixture(scope="module")
def products(data: Labelled[CategoryLabels]) -> ProductSet:
    return read_products(data.shard_set, features=data.features, rows=data.rows[data.test])


@pytest.fixture(scope="module")
def truth(data: Labelled[CategoryLabels], predictor: CategoryPredictor) -> np.ndarray:
    return predictor.nodes.of(data.labels.classes)[data.index_of(data.test)]


def test_all_together_are_better_than_the_head_alone(
    predictor: CategoryPredictor, products: ProductSet, truth: np.ndarray
) -> None:
    found = predictor.predict(products, k=3)
    alone = predictor.voices.head.nodes[predictor.head.predict(products.vectors, present=products.present)]
    assert (found.first == truth).mean() >= max(0.95, (alone == truth).mean())
    assert found.nodes.shape == found.probabilities.shape == (len(products), 3)
    assert (np.diff(found.probabilities, axis=1) <= 0).all()
    assert found.probabilities.sum(axis=1).max() <= 1 + 1e-5
    assert found.known is not None
    assert found.known.mean() > 0.85
    assert predictor.card is predictor.head.card


def test_a_category_without_labels_is_answered_by_its_name(predictor: CategoryPredictor, products: ProductSet) -> None:
    few = products.take(np.arange(4)).without("title", "description", "brand", "cat1", "cat2", "cat3", "image")
    texts = few.supplied.with_columns(
        raw_title=pl.lit("Large oak bed with mattress"), raw_cat1=pl.lit("Sofas"), raw_cat2=pl.lit("Beds")
    )
    found = predictor.predict(replace(few, supplied=texts), k=1)
    assert {predictor.nodes.labels[node].path for node in found.first.tolist()} == {"Other > Sofas > Beds"}
    assert found.known is not None
    assert not found.known.any()


def test_a_product_of_nothing_has_no_category(predictor: CategoryPredictor, products: ProductSet) -> None:
    nothing = products.take(np.arange(3)).without(*products.features)
    found = predictor.predict(nothing, k=2)
    assert (found.nodes == -1).all()
    assert not found.probabilities.any()
    assert found.sources is not None
    assert (found.sources == -1).all()


def test_what_counts_as_known_depends_on_the_context(predictor: CategoryPredictor, products: ProductSet) -> None:
    no_categories = 1 << CONTEXTS.index("no cat1-3")
    least = tuple(0.0 if number & no_categories else 1.1 for number in range(NUM_CONTEXTS))
    never = replace(predictor, least_known=least)
    without = products.without("cat1", "cat2", "cat3")
    for some, wanted in ((products, False), (without, True)):
        known = never.predict(some, k=1).known
        assert known is not None
        assert set(known.tolist()) == {wanted}


def test_a_product_alone_is_predicted_as_among_others(predictor: CategoryPredictor, products: ProductSet) -> None:
    whole = predictor.predict(products, k=2)
    alone = predictor.predict(products.take(np.array([5])), k=2)
    assert np.array_equal(alone.nodes[0], whole.nodes[5])
    assert np.allclose(alone.probabilities[0], whole.probabilities[5], atol=1e-5)
