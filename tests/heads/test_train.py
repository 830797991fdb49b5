"""Training: learns what can be learned, the same each time, in little time, and without CLIP."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prodemb.brand.labels import brand_labels
from prodemb.category.labels import CategoryLabels, category_labels
from prodemb.core.errors import HeadError
from prodemb.core.features import BRAND_FEATURES, FEATURES
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.baselines import BaselineConfig
from prodemb.heads.examples import WindowedExamples
from prodemb.heads.fit import FeatureDropout, hide_features
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import CategoryLabel, Labels
from prodemb.heads.network import HeadConfig
from prodemb.heads.split import TEST, TRAIN, split_of
from prodemb.heads.train import (
    Labelled,
    TrainConfig,
    choose_features,
    load_labelled,
    split_of_shards,
    train_head,
)
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.taxonomy.taxonomy import Taxonomy
from tests.shard_sets import update_shards, write_clustered_set

CPU = torch.device("cpu")
TAXONOMY = Taxonomy(paths={1: "Things"} | {i: f"Things > Kind {i}" for i in range(2, 12)})
QUICK = TrainConfig(epochs=4, baselines=BaselineConfig(run=False))


@pytest.fixture(scope="module")
def shard_set(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return write_clustered_set(tmp_path_factory.mktemp("shards"))


def labels_of(shard_set: ShardSet) -> CategoryLabels:
    return category_labels(shard_set, taxonomy=TAXONOMY, taxonomy_name="the test taxonomy")


def load(shard_set: ShardSet, config: TrainConfig = QUICK, *, labels: Labels | None = None) -> Labelled[Labels]:
    return load_labelled(shard_set, labels=labels or labels_of(shard_set), config=config, device=CPU)


def train(shard_set: ShardSet, config: TrainConfig = QUICK, *, labels: Labels | None = None) -> TrainedHead:
    data = load(shard_set, config, labels=labels)
    return train_head(data, config=config, aggregate=AggregateConfig(), head=HeadConfig(hidden_layer_sizes=(32,)))


def test_a_head_learns(shard_set: ShardSet) -> None:
    card = train(shard_set, TrainConfig(epochs=12)).card
    assert card.metrics is not None
    assert card.metrics.top1 > 0.95
    assert card.metrics.top5 is not None
    assert card.metrics.ece is not None
    assert (card.target, card.fingerprint, card.dims, card.features) == ("category", "f1", (16,) * 7, FEATURES)
    assert (card.num_train + card.num_validation + card.metrics.num_products, card.coverage) == (600, 1.0)
    assert len(card.classes) == 6


def test_a_head_learns_from_windows_of_the_shards(shard_set: ShardSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodemb.heads.examples._LEAST_WINDOW", 256)
    config = TrainConfig(epochs=12, memory_gb=1e-6)
    assert isinstance(load(shard_set, config).examples, WindowedExamples)
    card, whole = train(shard_set, config).card, train(shard_set, TrainConfig(epochs=12)).card
    assert card.metrics is not None
    assert card.metrics.top1 > 0.95
    assert whole.metrics is not None
    assert card.metrics.num_products == whole.metrics.num_products
    assert card.class_counts == whole.class_counts


def test_training_in_windows_ends_with_the_set_that_it_began_with(tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"memory_gb": 1e-6})
    shard_set = write_clustered_set(tmp_path / "shards")
    wanted = train(shard_set, config)
    data = load(shard_set, config)

    def update(_done: int, _total: int | None) -> None:
        update_shards(tmp_path / "shards", sizes=[20, 20])

    found = train_head(
        data, config=config, aggregate=AggregateConfig(), head=HeadConfig(hidden_layer_sizes=(32,)), on_progress=update
    )
    assert open_shard_set(tmp_path / "shards").num_products == 40
    for name, value in wanted.network.head.state_dict().items():
        assert torch.equal(value, found.network.head.state_dict()[name])


def test_brands_are_learned_from_the_brand_features(shard_set: ShardSet) -> None:
    labels = brand_labels(shard_set, canonical_of=lambda column: column)
    card = train(shard_set, TrainConfig(epochs=8), labels=labels).card
    assert card.features == ("title", "description", "brand", "image")
    assert card.metrics is not None
    assert card.metrics.top1 > 0.8


def test_the_same_seed_gives_the_same_head(shard_set: ShardSet) -> None:
    state = torch.get_rng_state()
    first, second = train(shard_set), train(shard_set)
    other = train(shard_set, QUICK.model_copy(update={"seed": 1}))
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in first.network.head.state_dict().items():
        assert torch.equal(value, second.network.head.state_dict()[name])
    assert not torch.equal(
        first.network.head.state_dict()["layers.0.weight"], other.network.head.state_dict()["layers.0.weight"]
    )


def test_training_reports_epochs_and_stops_early(tmp_path: Path) -> None:
    shard_set = write_clustered_set(tmp_path, noise=0.01)
    seen: list[tuple[int, int | None]] = []
    config = TrainConfig(epochs=40, patience=1, learning_rate=1e-9, baselines=BaselineConfig(run=False))
    card = train_head(
        load(shard_set, config),
        config=config,
        aggregate=AggregateConfig(),
        head=HeadConfig(hidden_layer_sizes=(4,), dropout=0),
        on_progress=lambda done, total: seen.append((done, total)),
    ).card
    assert card.epochs == len(seen) < 40
    assert seen == [(epoch, 40) for epoch in range(1, len(seen) + 1)]


def test_rare_classes_lower_the_coverage(shard_set: ShardSet) -> None:
    split, index = split_of_shards(shard_set), labels_of(shard_set).index
    counts = np.bincount(index[split == TRAIN])
    min_count = int(np.sort(counts)[2]) + 1
    card = train(shard_set, QUICK.model_copy(update={"min_examples": min_count, "roll_up": False})).card
    kept = np.flatnonzero(counts >= min_count)
    assert 2 <= len(kept) == len(card.classes) < 6
    assert card.coverage == pytest.approx(np.isin(index[split == TEST], kept).mean())
    assert card.metrics is not None
    assert card.metrics.num_products == np.isin(index[split == TEST], kept).sum()
    rolled_up = train(shard_set, QUICK.model_copy(update={"min_examples": min_count})).card
    assert [label.path for label in rolled_up.classes if isinstance(label, CategoryLabel)][len(kept) :] == ["Things"]
    assert rolled_up.coverage == 1.0


def test_only_gold_labels_are_tested_on_where_there_are_any(shard_set: ShardSet) -> None:
    labels = labels_of(shard_set)
    test = split_of_shards(shard_set) == TEST
    half = replace(labels, gold=np.arange(600) % 2 == 0)
    for changed, gold, count in (
        (labels, True, test.sum()),
        (half, True, test[::2].sum()),
        (replace(labels, gold=np.zeros(600, bool)), False, test.sum()),
    ):
        card = train(shard_set, QUICK.model_copy(update={"epochs": 1}), labels=changed).card
        assert card.metrics is not None
        assert (card.gold, card.metrics.num_products, card.coverage) == (gold, count, 1.0)


def test_few_products_still_train(tmp_path: Path) -> None:
    """No test or validation part is left where there are a handful of products."""
    shard_set = write_clustered_set(tmp_path, num=8, num_classes=2)
    card = train(shard_set, TrainConfig(epochs=2, min_examples=1)).card
    assert card.epochs == 2
    assert card.num_train + card.num_validation <= 8


@pytest.mark.parametrize("mode", ["mean", "weighted", "gated"])
def test_every_aggregate_trains(shard_set: ShardSet, mode: str) -> None:
    head = train_head(
        load(shard_set),
        config=QUICK.model_copy(update={"epochs": 15}),
        aggregate=AggregateConfig.parse({"mode": mode}, source="test"),
        head=HeadConfig(hidden_layer_sizes=(16,), normalise_logits=True),
    )
    assert head.card.metrics is not None
    assert head.card.metrics.top1 > 0.5


def test_features_are_those_of_the_target_that_are_there(tmp_path: Path) -> None:
    shard_set = write_clustered_set(tmp_path, num=20, features=("title", "cat1", "image"))
    brand, category = (*BRAND_FEATURES, "lexical"), (*FEATURES, "lexical")
    assert choose_features(shard_set, usual=brand, wanted=None) == ("title", "image")
    assert choose_features(shard_set, usual=category, wanted=None) == ("title", "cat1", "image")
    assert choose_features(shard_set, usual=brand, wanted=("image", "cat1")) == ("cat1", "image")
    with pytest.raises(
        HeadError, match=r"found description, which .* no vectors of; wanted some of title, cat1, image"
    ):
        choose_features(shard_set, usual=category, wanted=("title", "description"))


def test_the_split_is_that_of_titles_and_ids(shard_set: ShardSet) -> None:
    frame = shard_set.frame(["product_id", "raw_title"])
    assert np.array_equal(split_of_shards(shard_set), split_of(frame["raw_title"], frame["product_id"]))


def test_hidden_features_are_whole_and_never_all() -> None:
    torch.manual_seed(0)
    present = torch.rand(5000, 7) < 0.6
    rates = FeatureDropout(title=0.0, brand=0.9).rates(FEATURES)
    left = hide_features(present, rates=rates, alone=0.0)
    assert not (left & ~present).any()
    assert torch.equal(left.any(1), present.any(1))
    assert torch.equal(left[:, 0], present[:, 0])
    assert left[:, 2].sum() < 0.2 * present[:, 2].sum()


def test_some_products_show_one_feature_alone() -> None:
    torch.manual_seed(0)
    present = torch.rand(5000, 7) < 0.6
    left = hide_features(present, rates=torch.zeros(7), alone=0.5)
    assert not (left & ~present).any()
    assert torch.equal(left.any(1), present.any(1))
    alone = left.sum(1) == 1
    many = present.sum(1) > 1
    assert 0.45 < alone[many].float().mean() < 0.55
    assert torch.equal(left[~alone], present[~alone])
    shares = left[alone & many].float().mean(0)
    assert ((shares > 0.1) & (shares < 0.19)).all()


WITHOUT_TRANSFORMERS = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("transformers", "tokenizers", "peft") or name.startswith("prodemb.towers"):
            raise ImportError(f"{name} is out of reach in stage two")
sys.meta_path.insert(0, Blocker())
import warnings
warnings.simplefilter("error")
from pathlib import Path
import torch
from prodemb.heads.aggregate import AggregateConfig
from prodemb.aliases.table import AliasTable
from prodemb.brand.evaluate import evaluate_brands
from prodemb.brand.fit import FuseConfig, fit_fuser
from prodemb.brand.labels import brand_labels
from prodemb.brand.store import save_fuser
from prodemb.heads.head import save_head
from prodemb.heads.network import HeadConfig
from prodemb.score.predictor import load_predictor
from prodemb.score.score import ScoreConfig, score
from prodemb.shards.reader import find_shard_sets, open_shard_set
from prodemb.heads.split import TEST, TRAIN, split_of
from prodemb.heads.train import TrainConfig, load_labelled, train_head
shards, folder = map(Path, sys.argv[1:])
shard_set = open_shard_set(shards)
labels, config, brand = brand_labels(shard_set, canonical_of=lambda column: column), TrainConfig(epochs=1), folder / "b"
data = load_labelled(shard_set, labels=labels, config=config, device=torch.device("cpu"))
head = train_head(data, config=config, aggregate=AggregateConfig(), head=HeadConfig())
fuser = fit_fuser(data, head=head, aliases=AliasTable([]), config=FuseConfig())
found = evaluate_brands(
    data, head=head, fuser=fuser, train=config, config=FuseConfig(), min_confidence=0.5
)
save_head(brand, head.with_evaluation(found), fuser_sha256=save_fuser(brand, fuser))
report = score(
    find_shard_sets(shards), folder / "out.parquet", predictors=[load_predictor(brand)], config=ScoreConfig(),
    device=torch.device("cpu"),
)
assert "transformers" not in sys.modules
print(report.num_products)
"""


def test_training_and_scoring_run_without_transformers(shard_set: ShardSet, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TRANSFORMERS, str(shard_set.folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "600"
