"""A head of a few brands, its labelled products and its fuser."""

import pytest
import torch

from prodemb.aliases.canonicalise import canonicalise
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.counts import count_supplied
from prodemb.aliases.table import AliasTable
from prodemb.brand.fit import FuseConfig, fit_fuser
from prodemb.brand.labels import BrandLabels, brand_labels
from prodemb.brand.predict import Fuser
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.head import TrainedHead
from prodemb.heads.network import HeadConfig
from prodemb.heads.train import Labelled, TrainConfig, load_labelled, train_head
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
def head(data: Labelled[BrandLabels]) -> TrainedHead:
    return train_head(data, config=CONFIG, aggregate=AggregateConfig(), head=HeadConfig(hidden_layer_sizes=(16,)))


@pytest.fixture(scope="session")
def fuser(data: Labelled[BrandLabels], head: TrainedHead, aliases: AliasTable) -> Fuser:
    return fit_fuser(data, head=head, aliases=aliases, config=FuseConfig())
