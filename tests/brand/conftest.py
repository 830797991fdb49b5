"""Labelled products of a few brands, and a predictor that was fitted to those outside the test part."""

import pytest
import torch

from prodemb.aliases.canonicalise import canonicalise
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.counts import count_supplied
from prodemb.aliases.table import AliasTable
from prodemb.brand.fit import CrossFit, FuseConfig, Recipe, cross_fit
from prodemb.brand.labels import BrandLabels, brand_labels
from prodemb.brand.predict import BrandPredictor, Fuser
from prodemb.core.progress import no_progress
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.head import TrainedHead
from prodemb.heads.network import HeadConfig
from prodemb.heads.train import Labelled, TrainConfig, load_labelled
from prodemb.shards.reader import ShardSet
from tests.shard_sets import write_branded_set

CONFIG = TrainConfig(epochs=8)


@pytest.fixture(scope="session")
def shard_set(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return write_branded_set(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="session")
def aliases(shard_set: ShardSet) -> AliasTable:
    names = {"raw_brand": "brand", "raw_title": "title"}
    counted = count_supplied([shard_set.frame(list(names)).rename(names).to_arrow()], examples=8)
    return canonicalise(counted, config=BrandsConfig())


@pytest.fixture(scope="session")
def data(shard_set: ShardSet, aliases: AliasTable) -> Labelled[BrandLabels]:
    labels = brand_labels(shard_set, canonical_of=aliases.canonical_of)
    return load_labelled(shard_set, labels=labels, config=CONFIG, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def recipe(aliases: AliasTable) -> Recipe:
    head = HeadConfig(hidden_layer_sizes=(16,))
    return Recipe(train=CONFIG, aggregate=AggregateConfig(), head=head, fuse=FuseConfig(), aliases=aliases)


@pytest.fixture(scope="session")
def fitted(data: Labelled[BrandLabels], recipe: Recipe) -> CrossFit:
    return cross_fit(data, recipe=recipe, progress=no_progress)


@pytest.fixture(scope="session")
def predictor(data: Labelled[BrandLabels], recipe: Recipe, fitted: CrossFit) -> BrandPredictor:
    own = recipe.fit(data, data.outside_test, gold=fitted.gold, title="", progress=no_progress)
    return fitted.weighing(own)


@pytest.fixture(scope="session")
def head(predictor: BrandPredictor) -> TrainedHead:
    return predictor.head


@pytest.fixture(scope="session")
def fuser(predictor: BrandPredictor) -> Fuser:
    return predictor.fuser
