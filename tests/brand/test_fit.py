"""Fitting and answering: where a brand comes from, brands the head never learned, and too little to learn from."""

from dataclasses import replace

import numpy as np
import polars as pl

from prodemb.aliases.table import AliasTable
from prodemb.brand.candidates import PRIOR_WEIGHTS
from prodemb.brand.fit import FuseConfig, fit_fuser
from prodemb.brand.predict import SOURCES, Fuser
from prodemb.heads.head import TrainedHead
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import read_products


def test_the_source_is_the_first_that_names_the_brand(data: Labelled, head: TrainedHead, fuser: Fuser) -> None:
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


def test_a_brand_the_head_never_learned_can_be_answered(data: Labelled, head: TrainedHead, fuser: Fuser) -> None:
    products = read_products(data.shard_set, features=data.features, rows=np.arange(3))
    new = products.supplied.with_columns(
        raw_brand=pl.Series(["Brandneu GmbH"] * 3), raw_title=pl.Series(["Brandneu thing"] * 3)
    )
    unseen = replace(products, supplied=new, present=np.zeros_like(products.present))
    answers = fuser.predict(unseen, head=head, k=2)
    assert [answers.names[name] for name in answers.brands[:, 0]] == ["Brandneu"] * 3
    assert (answers.sources == 0).all()


def test_a_product_that_nothing_speaks_for_has_no_brand(data: Labelled, head: TrainedHead, fuser: Fuser) -> None:
    products = read_products(data.shard_set, features=data.features, rows=np.arange(2))
    nothing = products.without("title", "description", "brand", "image")
    answers = fuser.predict(nothing, head=head, k=2)
    assert (answers.brands == -1).all()
    assert (answers.probabilities == 0).all()
    assert (answers.sources == -1).all()


def test_without_gold_labels_supplied_brands_are_learned_from(
    data: Labelled, head: TrainedHead, aliases: AliasTable
) -> None:
    canonical = aliases.canonical_of(data.shard_set.frame(["raw_brand"]).to_series())
    names = [label.name for label in data.all_labels.classes]
    index = np.array([names.index(name) if name in names else -1 for name in canonical])
    labels = replace(data.all_labels, index=index, gold=np.zeros(len(index), bool))
    fitted = fit_fuser(replace(data, all_labels=labels), head=head, aliases=aliases, config=FuseConfig())
    assert not fitted.names.redirects
    assert dict(zip(PRIOR_WEIGHTS, fitted.model.weights, strict=True))["supplied"] > 1


def test_without_validation_products_the_weights_are_those_given(
    data: Labelled, head: TrainedHead, aliases: AliasTable
) -> None:
    few = replace(data, split=np.zeros_like(data.split))
    fitted = fit_fuser(few, head=head, aliases=aliases, config=FuseConfig())
    assert fitted.model.weights.tolist() == list(PRIOR_WEIGHTS.values())
