"""Evaluation: every condition beside every baseline, against the nodes that products are labelled with."""

from pathlib import Path

import pytest
import torch

from prodemb.category.conditions import FEATURES_LEFT
from prodemb.category.evaluate import HEAD, TAUS, evaluate_categories
from prodemb.category.labels import CategoryLabels, category_labels
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.head import TrainedHead
from prodemb.heads.network import HeadConfig
from prodemb.heads.train import Labelled, TrainConfig, load_labelled, train_head
from prodemb.taxonomy.taxonomy import Taxonomy
from tests.shard_sets import write_clustered_set

TAXONOMY = Taxonomy(
    paths={1: "Things"} | {i: f"Things > Kind {i}" for i in range(2, 6)} | {6: "Other", 7: "Other > Kind 7"}
)
CONFIG = TrainConfig(epochs=6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Labelled[CategoryLabels], TrainedHead]:
    shard_set = write_clustered_set(tmp_path_factory.mktemp("shards"))
    labels = category_labels(shard_set, taxonomy=TAXONOMY, taxonomy_name="the test taxonomy")
    data = load_labelled(shard_set, labels=labels, config=CONFIG, device=torch.device("cpu"))
    return data, train_head(data, config=CONFIG, aggregate=AggregateConfig(), head=HeadConfig(hidden_layer_sizes=(32,)))


def test_each_condition_has_every_method(trained: tuple[Labelled[CategoryLabels], TrainedHead]) -> None:
    data, head = trained
    found = evaluate_categories(data, head=head, train=CONFIG, tau=0.0)
    conditions = found.conditions
    assert [c.name for c in conditions if c.group is None] == list(FEATURES_LEFT)
    methods = ["supplied value", "most frequent class", "TF-IDF + linear SVM", "kNN", "logistic regression", HEAD]
    for condition in conditions:
        assert list(condition.top1) == list(condition.macro_f1) == list(condition.tree_f1) == methods
    everything, *bands = (c for c in conditions if c.name == "all features" or c.group is not None)
    assert everything.num_products == len(data.test_rows) == sum(band.num_products for band in bands)
    assert everything.tree_f1[HEAD] >= everything.top1[HEAD] > 0.8
    by_name = {c.name: c for c in conditions}
    assert by_name["picture only"].top1[HEAD] < everything.top1[HEAD]
    assert by_name["title only"].top1["supplied value"] == everything.top1["most frequent class"]

    assert found.nodes is not None
    assert found.nodes.tree is not None
    assert found.nodes.top1 == everything.top1[HEAD]
    assert found.nodes.tree.top1_by_level[-1] <= found.nodes.tree.top1_by_level[0]
    assert [point.tau for point in found.by_tau] == list(TAUS)
    assert found.by_tau[0].top1 == everything.top1[HEAD]
    assert len(found.back_off) == len(found.back_off_test)
    assert head.with_evaluation(found).card.evaluation == found
    assert found.tau == 0.0


def test_products_of_a_rolled_up_category_are_right_for_their_own_node_alone(tmp_path: Path) -> None:
    shard_set = write_clustered_set(tmp_path)
    labels = category_labels(shard_set, taxonomy=TAXONOMY, taxonomy_name="the test taxonomy")
    config = TrainConfig(epochs=3, min_examples=150)
    data = load_labelled(shard_set, labels=labels, config=config, device=torch.device("cpu"))
    assert sorted(label.path for label in data.labels.nodes) == ["Other", "Things"]
    head = train_head(data, config=config, aggregate=AggregateConfig(), head=HeadConfig(hidden_layer_sizes=(8,)))
    found = evaluate_categories(data, head=head, train=config, tau=0.0)
    assert head.card.metrics is not None
    assert found.nodes is not None
    assert found.nodes.tree is not None
    assert head.card.metrics.top1 > 0.8 > found.nodes.top1
    assert found.nodes.tree.precision > 0.8
