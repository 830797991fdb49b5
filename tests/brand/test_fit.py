"""Fitting and answering: where a brand comes from, brands the head never learned, and too little to learn from."""

from dataclasses import replace

import numpy as np
import polars as pl
import torch

from prodemb.aliases.table import AliasTable
from prodemb.brand.candidates import PRIOR_WEIGHTS
from prodemb.brand.fit import CrossFit, Recipe, cross_fit
from prodemb.brand.labels import BrandLabels
from prodemb.brand.predict import SOURCES, Fuser
from prodemb.confidence.reliability import Reliability
from prodemb.core.progress import no_progress
from prodemb.heads.head import TrainedHead
from prodemb.heads.train import Labelled, TrainConfig, load_labelled
from prodemb.shards.product_set import read_products


def test_the_source_is_the_first_that_names_the_brand(
    data: Labelled[BrandLabels], head: TrainedHead, fuser: Fuser
) -> None:
    products = read_products(data.shard_set, features=data.features, rows=np.arange(400))
    answers = fuser.predict(products, head=head, k=3)
    mentions = fuser.names.mentions(supplied=products.supplied["raw_brand"], titles=products.supplied["raw_title"])
    for row, source in enumerate(answers.sources.tolist()):
        best = answers.brands[row, 0]
        named = [best == mentions.supplied[row], best in mentions.titles.names[row].tolist(), True]
        assert source == named.index(True)
    assert set(answers.sources.tolist()) == {0, 1, 2}
    assert len(SOURCES) == 3
    assert (np.diff(answers.probabilities, axis=1) <= 0).all()


def test_a_brand_the_head_never_learned_can_be_answered(
    data: Labelled[BrandLabels], head: TrainedHead, fuser: Fuser
) -> None:
    products = read_products(data.shard_set, features=data.features, rows=np.arange(3))
    new = products.supplied.with_columns(
        raw_brand=pl.Series(["Brandneu GmbH"] * 3), raw_title=pl.Series(["Brandneu thing"] * 3)
    )
    unseen = replace(products, supplied=new, present=np.zeros_like(products.present))
    answers = fuser.predict(unseen, head=head, k=2)
    assert [answers.names[name] for name in answers.brands[:, 0]] == ["Brandneu"] * 3
    assert (answers.sources == 0).all()


def test_a_product_that_nothing_speaks_for_has_no_brand(
    data: Labelled[BrandLabels], head: TrainedHead, fuser: Fuser
) -> None:
    products = read_products(data.shard_set, features=data.features, rows=np.arange(2))
    nothing = products.without("title", "description", "brand", "image")
    answers = fuser.predict(nothing, head=head, k=2)
    assert (answers.brands == -1).all()
    assert (answers.probabilities == 0).all()
    assert (answers.sources == -1).all()


def test_weights_are_learned_from_products_that_each_predictor_has_not_seen(
    data: Labelled[BrandLabels], fitted: CrossFit
) -> None:
    assert np.array_equal(np.sort(fitted.rows), data.rows[data.outside_test])
    assert fitted.gold
    answers = fitted.answers(data)
    assert np.array_equal(answers.groups, data.groups[fitted.rows])
    error = Reliability.of(answers.probabilities[:, 0], correct=answers.correct[:, 0]).calibration_error
    assert answers.correct.mean() > 0.9
    assert error is not None
    assert error < 0.05


def test_a_folds_labels_have_no_say_in_its_own_predictor(data: Labelled[BrandLabels], recipe: Recipe) -> None:
    inside = data.rows[data.inside(0)]
    index = data.labels.index.copy()
    index[inside] = np.random.default_rng(0).permutation(index[inside])
    assert not np.array_equal(index, data.labels.index)
    shuffled = replace(data, labels=replace(data.labels, index=index))
    products = read_products(data.shard_set, features=data.features, rows=inside)
    predictions = [
        recipe.fit(each, each.outside(0), gold=True, title="", progress=no_progress).predict(products, k=3)
        for each in (data, shuffled)
    ]
    assert predictions[0].names == predictions[1].names
    assert np.array_equal(predictions[0].brands, predictions[1].brands)
    assert np.array_equal(predictions[0].probabilities, predictions[1].probabilities)


def test_without_gold_labels_supplied_brands_are_learned_from(
    data: Labelled[BrandLabels], recipe: Recipe, aliases: AliasTable
) -> None:
    canonical = aliases.canonical_of(data.shard_set.frame(["raw_brand"]).to_series())
    names = data.labels.names
    index = np.array([names.index(name) if name in names else -1 for name in canonical], np.int32)
    labels = replace(data.labels, index=index, gold=np.zeros(len(index), bool))
    config = recipe.train.model_copy(update={"epochs": 2})
    supplied = load_labelled(data.shard_set, labels=labels, config=config, device=torch.device("cpu"))
    fitted = cross_fit(supplied, recipe=replace(recipe, train=config), progress=no_progress)
    assert not fitted.gold
    assert dict(zip(PRIOR_WEIGHTS, fitted.model.weights[0], strict=True))["supplied"] > 1
    predictor = recipe.fit(supplied, supplied.everything, gold=fitted.gold, title="", progress=no_progress)
    assert not predictor.fuser.names.redirects


def test_without_other_features_than_the_brand_nothing_is_compared(data: Labelled[BrandLabels], recipe: Recipe) -> None:
    config = TrainConfig(epochs=1, features=("brand",))
    alone = load_labelled(data.shard_set, labels=data.labels, config=config, device=torch.device("cpu"))
    predictor = replace(recipe, train=config).fit(alone, alone.outside_test, gold=True, title="", progress=no_progress)
    assert predictor.fuser.neighbours is None
    products = read_products(data.shard_set, features=("brand",), rows=np.arange(9))
    assert (predictor.predict(products, k=1).brands >= 0).any()
