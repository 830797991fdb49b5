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
from prodemb.core.arrays import Indices
from prodemb.core.errors import HeadError
from prodemb.core.features import BRAND_FEATURES, FEATURES
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.examples import WindowedExamples
from prodemb.heads.fit import FeatureDropout, hide_features
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import CategoryLabel, Labels
from prodemb.heads.network import HeadConfig
from prodemb.heads.split import TEST, TRAIN, VALIDATION, groups_of, split_of
from prodemb.heads.train import (
    TEST_FOLD,
    Labelled,
    TrainConfig,
    choose_features,
    load_labelled,
    shard_groups,
    train_head,
)
from prodemb.shards.product_set import read_products
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.taxonomy.taxonomy import Taxonomy
from tests.shard_sets import update_shards, write_clustered_set

CPU = torch.device("cpu")
TAXONOMY = Taxonomy(paths={1: "Things"} | {i: f"Things > Kind {i}" for i in range(2, 12)})
QUICK = TrainConfig(epochs=4)


@pytest.fixture(scope="module")
def shard_set(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return write_clustered_set(tmp_path_factory.mktemp("shards"))


def labels_of(shard_set: ShardSet) -> CategoryLabels:
    return category_labels(shard_set, taxonomy=TAXONOMY, taxonomy_name="the test taxonomy")


def load(shard_set: ShardSet, config: TrainConfig = QUICK, *, labels: Labels | None = None) -> Labelled[Labels]:
    return load_labelled(shard_set, labels=labels or labels_of(shard_set), config=config, device=CPU)


def train(
    data: Labelled[Labels], config: TrainConfig = QUICK, *, learned: Indices | None = None, width: int = 32
) -> TrainedHead:
    """A head that learns from the products outside the test part, or from others."""
    learned = data.outside_test if learned is None else learned
    head = HeadConfig(hidden_layer_sizes=(width,))
    return train_head(data, learned, config=config, aggregate=AggregateConfig(), head=head)


def accuracy(head: TrainedHead, data: Labelled[Labels]) -> float:
    """Share of the test products whose own class the head predicts."""
    products = read_products(data.shard_set, features=data.features, rows=data.rows[data.test])
    predicted = [head.card.classes[c] for c in head.predict(products.vectors, present=products.present)]
    return float(
        np.mean([data.labels.classes[c] == p for c, p in zip(data.index_of(data.test), predicted, strict=True)])
    )


def test_a_head_learns(shard_set: ShardSet) -> None:
    data = load(shard_set)
    head = train(data, TrainConfig(epochs=12))
    card = head.card
    assert accuracy(head, data) > 0.95
    assert (card.target, card.fingerprint, card.dims, card.features) == ("category", "f1", (16,) * 7, FEATURES)
    assert (card.num_train + len(data.test), card.epochs, card.gold) == (600, 12, True)
    assert sum(card.class_counts) == card.num_train
    learned = read_products(shard_set, features=FEATURES, rows=data.rows[data.outside_test])
    assert card.present_counts == tuple(learned.present.sum(axis=0))
    assert len(card.classes) == 6


def test_a_head_learns_from_windows_of_the_shards(shard_set: ShardSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodemb.heads.examples._LEAST_WINDOW", 256)
    data = load(shard_set, TrainConfig(memory_gb=1e-6))
    assert isinstance(data.examples, WindowedExamples)
    head, whole = train(data, TrainConfig(epochs=12)), train(load(shard_set), TrainConfig(epochs=1))
    assert accuracy(head, data) > 0.95
    assert head.card.class_counts == whole.card.class_counts


def test_training_in_windows_ends_with_the_set_that_it_began_with(tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"memory_gb": 1e-6})
    shard_set = write_clustered_set(tmp_path / "shards")
    data = load(shard_set, config)
    wanted = train(data, config)

    def update(_done: int, _total: int | None) -> None:
        update_shards(tmp_path / "shards", sizes=[20, 20])

    found = train_head(
        load(shard_set, config),
        data.outside_test,
        config=config,
        aggregate=AggregateConfig(),
        head=HeadConfig(hidden_layer_sizes=(32,)),
        on_progress=update,
    )
    assert open_shard_set(tmp_path / "shards").num_products == 40
    for name, value in wanted.network.head.state_dict().items():
        assert torch.equal(value, found.network.head.state_dict()[name])


def test_brands_are_learned_from_the_brand_features(shard_set: ShardSet) -> None:
    data = load(shard_set, labels=brand_labels(shard_set, canonical_of=lambda column: column))
    head = train(data, TrainConfig(epochs=8))
    assert head.card.features == ("title", "description", "brand", "image")
    assert accuracy(head, data) > 0.8


def test_the_same_seed_gives_the_same_head(shard_set: ShardSet) -> None:
    data, state = load(shard_set), torch.get_rng_state()
    first, second = train(data), train(data)
    other = train(data, QUICK.model_copy(update={"seed": 1}))
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in first.network.head.state_dict().items():
        assert torch.equal(value, second.network.head.state_dict()[name])
    assert not torch.equal(
        first.network.head.state_dict()["layers.0.weight"], other.network.head.state_dict()["layers.0.weight"]
    )


def test_a_head_knows_nothing_of_products_that_it_does_not_learn_from(shard_set: ShardSet) -> None:
    data, random = load(shard_set), np.random.default_rng(0)
    index = data.labels.index.copy()
    index[data.rows[data.inside(0)]] = random.integers(0, 6, len(data.inside(0)))
    other = load(shard_set, labels=replace(labels_of(shard_set), index=index))
    heads = [train(each, QUICK, learned=each.outside(0)) for each in (data, other)]
    for name, value in heads[0].network.state_dict().items():
        assert torch.equal(value, heads[1].network.state_dict()[name])
    assert heads[0].card.class_counts == heads[1].card.class_counts


def test_each_epoch_is_reported_and_none_is_left_out(shard_set: ShardSet) -> None:
    data, seen = load(shard_set), list[tuple[int, int | None]]()
    card = train_head(
        data,
        data.everything,
        config=TrainConfig(epochs=5, learning_rate=1e-9),
        aggregate=AggregateConfig(),
        head=HeadConfig(hidden_layer_sizes=(4,), dropout=0),
        on_progress=lambda done, total: seen.append((done, total)),
    ).card
    assert (card.epochs, card.num_train) == (5, 600)
    assert seen == [(epoch, 5) for epoch in range(1, 6)]


def test_rare_classes_are_left_out_or_rolled_up(shard_set: ShardSet) -> None:
    data = load(shard_set)
    counts = np.bincount(data.index_of(data.outside_test))
    min_count = int(np.sort(counts)[2]) + 1
    card = train(data, QUICK.model_copy(update={"min_examples": min_count, "roll_up": False})).card
    kept = np.flatnonzero(counts >= min_count)
    assert card.classes == tuple(data.labels.classes[c] for c in kept)
    assert card.class_counts == tuple(counts[kept].tolist())
    assert card.num_train == counts[kept].sum()
    rolled_up = train(data, QUICK.model_copy(update={"min_examples": min_count})).card
    assert [label.path for label in rolled_up.classes if isinstance(label, CategoryLabel)][len(kept) :] == ["Things"]
    assert rolled_up.num_train == counts.sum()
    with pytest.raises(HeadError, match=r"found 0 classes with 601 or more products to learn from"):
        load(shard_set, QUICK.model_copy(update={"min_examples": 601, "roll_up": False}))


def test_only_gold_labels_are_tested_on_where_there_are_any(shard_set: ShardSet) -> None:
    labels = labels_of(shard_set)
    test = split_of(shard_groups(shard_set)) == TEST
    half = np.arange(600) % 2 == 0
    for gold, wanted in ((labels.gold, test), (half, test & half), (np.zeros(600, bool), test)):
        data = load(shard_set, labels=replace(labels, gold=gold))
        assert data.gold == gold.any()
        assert data.rows[data.test].tolist() == np.flatnonzero(wanted).tolist()


def test_folds_part_the_products_outside_the_test_part_by_their_groups(shard_set: ShardSet) -> None:
    data = load(shard_set)
    assert data.rows.tolist() == list(range(600))
    assert np.array_equal(data.folds == TEST_FOLD, split_of(data.groups) == TEST)
    assert data.num_folds == 5
    inside = [data.inside(fold) for fold in range(5)]
    assert np.array_equal(np.sort(np.concatenate(inside)), data.outside_test)
    assert all(len(products) > 60 for products in inside)
    for fold in range(5):
        left = data.outside(fold)
        assert np.array_equal(np.sort(np.concatenate([left, inside[fold]])), data.outside_test)
        assert not set(data.groups[data.rows[left]]) & set(data.groups[data.rows[inside[fold]]])
    assert np.flatnonzero(data.learned(data.inside(1))).tolist() == data.rows[data.inside(1)].tolist()


def test_what_a_model_was_fine_tuned_on_is_learned_from_and_never_judged(tmp_path: Path) -> None:
    data = load(write_clustered_set(tmp_path / "tuned", fine_tuned=True))
    plain = load(write_clustered_set(tmp_path / "plain"))
    parts = split_of(data.groups[data.rows])
    assert np.array_equal(data.folds >= 0, parts == VALIDATION)
    assert np.array_equal(data.folds == TEST_FOLD, parts == TEST)
    assert np.array_equal(data.outside_test, plain.outside_test)
    assert np.isin(np.flatnonzero(parts == TRAIN), data.outside(0)).all()
    assert np.array_equal(data.in_folds, np.flatnonzero(parts == VALIDATION))


def test_the_catalog_s_own_split_is_the_test_part_for_heads_and_for_fine_tuned_vectors(tmp_path: Path) -> None:
    own = write_clustered_set(tmp_path / "own", split=["train", "train", "test"])
    data = load(own)
    assert data.own_split
    assert data.rows[data.test].tolist() == list(range(2, 600, 3))
    assert np.array_equal(data.folds == TEST_FOLD, np.arange(600) % 3 == 2)
    # Titles differ by their numbers alone, so no product has a variant; a copy of a test product's title makes one.
    assert data.num_variants == 0
    twins = replace(data, groups=np.where(np.arange(600) == 0, data.groups[2], data.groups))
    assert twins.num_variants == 1
    tuned = load(write_clustered_set(tmp_path / "tuned", split=["train", "train", "test"], fine_tuned=True))
    assert np.array_equal(tuned.folds == TEST_FOLD, data.folds == TEST_FOLD)
    assert np.array_equal(tuned.in_folds, np.flatnonzero(tuned.parts == VALIDATION))
    assert not load(write_clustered_set(tmp_path / "none")).own_split


def test_a_split_that_holds_nothing_out_leaves_no_test_part(tmp_path: Path) -> None:
    data = load(write_clustered_set(tmp_path, split=["train"]))
    assert (len(data.test), len(data.outside_test), data.num_variants) == (0, 600, 0)


def test_few_products_still_train(tmp_path: Path) -> None:
    """No test part is left where there are a handful of products."""
    shard_set = write_clustered_set(tmp_path, num=8, num_classes=2)
    data = load(shard_set, TrainConfig(min_examples=1))
    card = train(data, TrainConfig(epochs=2, min_examples=1), learned=data.everything).card
    assert (card.epochs, card.num_train) == (2, 8)


@pytest.mark.parametrize("mode", ["mean", "weighted", "gated"])
def test_every_aggregate_trains(shard_set: ShardSet, mode: str) -> None:
    data = load(shard_set)
    head = train_head(
        data,
        data.outside_test,
        config=TrainConfig(epochs=15),
        aggregate=AggregateConfig.parse({"mode": mode}, source="test"),
        head=HeadConfig(hidden_layer_sizes=(16,), normalise_logits=True),
    )
    assert accuracy(head, data) > 0.5


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


def test_the_groups_are_those_of_titles_and_ids(shard_set: ShardSet) -> None:
    frame = shard_set.frame(["product_id", "raw_title"])
    assert np.array_equal(shard_groups(shard_set), groups_of(frame["raw_title"], frame["product_id"]))


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
        if name.partition(".")[0] in ("transformers", "tokenizers", "peft", "ray") or name.startswith("prodemb.towers"):
            raise ImportError(f"{name} is out of reach in stage two")
sys.meta_path.insert(0, Blocker())
import warnings
warnings.simplefilter("error")
from pathlib import Path
import torch
from prodemb.heads.aggregate import AggregateConfig
from prodemb.aliases.table import AliasTable
from prodemb.brand.evaluate import evaluate_brands
from prodemb.brand.fit import FuseConfig, Recipe, cross_fit
from prodemb.brand.labels import brand_labels
from prodemb.brand.store import save_fuser
from prodemb.core.progress import no_progress
from prodemb.heads.head import save_head
from prodemb.heads.network import HeadConfig
from prodemb.score.predictor import load_predictor
from prodemb.score.config import ScoreConfig
from prodemb.score.score import score
from prodemb.shards.reader import find_shard_sets, open_shard_set
from prodemb.heads.train import TrainConfig, load_labelled
shards, folder = map(Path, sys.argv[1:])
shard_set = open_shard_set(shards)
labels, config, brand = brand_labels(shard_set, canonical_of=lambda column: column), TrainConfig(epochs=1), folder / "b"
data = load_labelled(shard_set, labels=labels, config=config, device=torch.device("cpu"))
recipe = Recipe(
    train=config, aggregate=AggregateConfig(), head=HeadConfig(), fuse=FuseConfig(), aliases=AliasTable([])
)
fitted = cross_fit(data, recipe=recipe, progress=no_progress)
predictor = recipe.fit(data, data.outside_test, gold=fitted.gold, title="", progress=no_progress)
found = evaluate_brands(
    data, predictor=fitted.weighing(predictor), fitted=fitted, train=config, config=FuseConfig(), min_confidence=0.5
)
brand.mkdir()
save_head(brand, predictor.head.with_evaluation(found), fuser_sha256=save_fuser(brand, predictor.fuser))
report = score(
    find_shard_sets(shards), folder / "out.parquet", predictors=[load_predictor(brand)], config=ScoreConfig(),
    device="cpu",
)
assert "transformers" not in sys.modules
print(report.num_products)
"""


def test_training_and_scoring_run_without_transformers(tmp_path: Path) -> None:
    shards = write_clustered_set(tmp_path / "shards", num=120, num_classes=2)
    command = [sys.executable, "-c", WITHOUT_TRANSFORMERS, str(shards.folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "120"
