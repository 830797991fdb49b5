"""Labelled products of a few categories, what cross-fitting learns of them, and a predictor that was fitted to them."""

import pytest
import torch

from prodemb.category.config import VoicesConfig
from prodemb.category.fit import CrossFit, Recipe, cross_fit
from prodemb.category.labels import CategoryLabels, category_labels
from prodemb.category.nodes import Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.category.voices.names import Names
from prodemb.core.progress import no_progress
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.network import HeadConfig
from prodemb.heads.train import Labelled, TrainConfig, load_labelled
from prodemb.shards.reader import ShardSet
from prodemb.taxonomy.taxonomy import Taxonomy
from tests.shard_sets import write_clustered_set

KINDS = {2: "Things > Mugs", 3: "Things > Shoes", 4: "Things > Lamps", 5: "Things > Chairs"}
TAXONOMY = Taxonomy(paths={1: "Things", **KINDS, 6: "Other", 7: "Other > Sofas", 8: "Other > Sofas > Beds", 9: "Arts"})
"""Products are labelled with 2 to 7, in six clusters."""
CONFIG = TrainConfig(epochs=4)


@pytest.fixture(scope="session")
def shard_set(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return write_clustered_set(tmp_path_factory.mktemp("shards"), noise=1.2)


@pytest.fixture(scope="session")
def data(shard_set: ShardSet) -> Labelled[CategoryLabels]:
    labels = category_labels(shard_set, taxonomy=TAXONOMY, taxonomy_name="the test taxonomy")
    return load_labelled(shard_set, labels=labels, config=CONFIG, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def nodes() -> Nodes:
    return Nodes([CategoryLabel(id=node, path=path) for node, path in TAXONOMY.paths.items()])


@pytest.fixture(scope="session")
def recipe(nodes: Nodes) -> Recipe:
    return Recipe(
        train=CONFIG,
        aggregate=AggregateConfig(),
        head=HeadConfig(hidden_layer_sizes=(32,)),
        voices=VoicesConfig(),
        nodes=nodes,
        names=Names(paths=tuple(TAXONOMY.paths.values())),
        tower=None,
    )


@pytest.fixture(scope="session")
def fitted(data: Labelled[CategoryLabels], recipe: Recipe) -> CrossFit:
    return cross_fit(data, recipe=recipe, progress=no_progress)


@pytest.fixture(scope="session")
def predictor(data: Labelled[CategoryLabels], recipe: Recipe, fitted: CrossFit) -> CategoryPredictor:
    """It has not seen the test part."""
    return fitted.predictor(recipe.fit_voices(data, data.outside_test, title="", progress=no_progress))
