"""Training a head: from a shard set and labels to the products of each fold, and from some of these to a head."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.errors import HeadError
from prodemb.core.features import ALL_FEATURES, SPLIT, Feature, raw_column
from prodemb.core.progress import ProgressCallback
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.baselines import BaselineConfig
from prodemb.heads.examples import Examples, WindowedExamples, load_examples
from prodemb.heads.fit import FitConfig, fit
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.heads.labels import Labels, Learned
from prodemb.heads.network import HeadConfig, Network
from prodemb.heads.split import TEST, VALIDATION, Groups, Split, folds_of, groups_of, held_out_by, num_folds, split_of
from prodemb.shards.product_set import load_presence
from prodemb.shards.reader import ShardSet

LabelsT = TypeVar("LabelsT", bound=Labels)


class TrainConfig(FitConfig):
    """`[train]`: what a head learns from, and how long."""

    out: str | None = None
    """The head's folder; `heads/<target>` where none is given."""
    shards: str | None = None
    """The shard set to train on; the pipeline's own where none is given."""
    labels: str | None = None
    """A file of labels, as `prodemb label` writes it, filled in; they stand in place of the catalog's own."""
    taxonomy: str | None = None
    """A `taxonomy-with-ids` file; the part that ships with prodemb where none is given."""
    label_taxonomy: str | None = None
    """The `taxonomy-with-ids` file of the version or locale that the gold labels are written in, where that is another
    one: paths are then looked up there, and ids that were removed count as the nearest node above that is left."""
    mapping: str | None = None
    """Shopify's published mapping to Google's taxonomy, JSON or text, where `google_category_id` holds ids or paths of
    Shopify's own categories."""
    features: tuple[Feature, ...] | None = None
    """The features to read; where none are given, those of the target that the shard set has."""
    min_examples: int = Field(default=2, ge=1)
    """Classes with fewer labelled products are left out of the head, or rolled up."""
    roll_up: bool = True
    """Whether products of a category with too few of them count as the nearest node above that has enough with them."""
    baselines: BaselineConfig = BaselineConfig()
    """What is evaluated beside the head."""


TEST_FOLD = -1
"""The fold of the test part, which no fold's head learns from."""
NO_FOLD = -2
"""The fold of products that are learned from and never judged, because the model that made their vectors has learned
their labels: the training part of a fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class Labelled(Generic[LabelsT]):
    """The labelled products of a shard set: their vectors, and the part and fold that each belongs to."""

    shard_set: ShardSet
    features: tuple[Feature, ...]
    labels: LabelsT
    """Of all products of the shard set, rare classes included."""
    groups: Groups
    """(n,) the group of each product of the shard set."""
    rows: Indices
    """(m,) rows of the shard set whose products have a label, ascending."""
    parts: Split
    """(m,) the part of each."""
    own_split: bool
    """Whether the catalog itself says which products are held out."""
    folds: npt.NDArray[np.int8]
    """(m,) the fold of each; `TEST_FOLD` for the test part, `NO_FOLD` for products that are never judged."""
    num_folds: int
    test: Indices
    """Indices into `rows`: the test products that figures are measured on."""
    gold: bool
    """Whether `test` holds gold labels alone."""
    examples: Examples | WindowedExamples
    """(m,) their vectors, each with the index of its class in `labels`."""

    @property
    def everything(self) -> Indices:
        """Indices of all labelled products."""
        return np.arange(len(self.rows), dtype=np.int32)

    @property
    def outside_test(self) -> Indices:
        """Indices of those that are not in the test part."""
        return _indices(self.folds != TEST_FOLD)

    @property
    def in_folds(self) -> Indices:
        """Indices of those that can be judged out of fold."""
        return _indices(self.folds >= 0)

    def inside(self, fold: int) -> Indices:
        """Indices of a fold's products."""
        return _indices(self.folds == fold)

    def outside(self, fold: int) -> Indices:
        """Indices of those in no part that is held out: neither the fold nor the test part."""
        return _indices((self.folds != fold) & (self.folds != TEST_FOLD))

    @property
    def num_variants(self) -> int:
        """How many products of the test part are variants of one that is learned from."""
        groups = self.groups[self.rows]
        return int(np.isin(groups[self.folds == TEST_FOLD], groups[self.outside_test]).sum())

    def learned(self, indices: Indices) -> Learned:
        """(n,) which products of the shard set these indices are."""
        learned = np.zeros(len(self.labels.index), dtype=np.bool_)
        learned[self.rows[indices]] = True
        return learned

    def index_of(self, indices: Indices) -> Indices:
        """The class of each of these in `labels`."""
        return self.labels.index[self.rows[indices]]


def load_labelled(
    shard_set: ShardSet, *, labels: LabelsT, config: TrainConfig, device: torch.device
) -> Labelled[LabelsT]:
    """Split the labelled products into test part and folds, and load their vectors.

    The catalog says which products are the test part, or else `split_of` does. Where the model of the shards was
    fine-tuned, only products that it was not fine-tuned on are in folds: answers for the others would be better than
    those for new products.

    Test products are those with a gold label, or where no product of the test part has one, those with any label.

    Args:
        labels: of all products of `shard_set`.

    Raises:
        HeadError: a feature named in `[train] features` is not in the shard set.
        FewLabelsError: fewer than two classes have enough products outside the test part.
    """
    features = choose_features(shard_set, usual=labels.features, wanted=config.features)
    groups = shard_groups(shard_set)
    rows = _indices(labels.index != NO_ANSWER)
    held_out = _held_out(shard_set)
    parts = split_of(groups[rows], held_out=None if held_out is None else held_out[rows])
    judged = parts == VALIDATION if shard_set.schema.fine_tuned else parts != TEST
    count = num_folds(int(judged.sum()))
    folds = np.where(judged, folds_of(groups[rows], num_folds=count), np.int8(NO_FOLD))
    folds[parts == TEST] = TEST_FOLD
    gold = bool(((folds == TEST_FOLD) & labels.gold[rows]).any())
    data = Labelled(
        shard_set=shard_set,
        features=features,
        labels=labels,
        groups=groups,
        rows=rows,
        parts=parts,
        own_split=held_out is not None,
        folds=folds,
        num_folds=count,
        test=_indices((folds == TEST_FOLD) & (labels.gold[rows] | (not gold))),
        gold=gold,
        examples=load_examples(
            shard_set,
            features=features,
            rows=rows,
            labels=labels.index[rows],
            device=device,
            memory_gb=config.memory_gb,
        ),
    )
    frequent(data, data.outside_test, config=config)
    return data


def _held_out(shard_set: ShardSet) -> npt.NDArray[np.bool_] | None:
    """Which products of a shard set the catalog itself holds out, (n,); None where it does not say."""
    parts = [held_out_by(shard.frame([SPLIT]).to_series()) for shard in shard_set.shards()]
    said = [part for part in parts if part is not None]
    return np.concatenate(said) if said and len(said) == len(parts) else None


def frequent(data: Labelled[LabelsT], learned: Indices, *, config: TrainConfig) -> LabelsT:
    """The labels of a head that learns from these products: without rare classes, or with these rolled up.

    Raises:
        FewLabelsError: fewer than two classes have enough of them.
    """
    return data.labels.frequent(data.learned(learned), min_count=config.min_examples, roll_up=config.roll_up)


def _indices(where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The indices that are true, ascending, in half the memory of int64."""
    return np.flatnonzero(where).astype(np.int32)


def train_head(
    data: Labelled[LabelsT],
    learned: Indices,
    *,
    config: TrainConfig,
    aggregate: AggregateConfig,
    head: HeadConfig,
    on_progress: ProgressCallback | None = None,
) -> TrainedHead:
    """Train a head.

    Args:
        learned: (l,) indices of the labelled products to learn from, ascending; those in rare classes count as a class
            above, or not at all.
        on_progress: called with the epochs done and their number, after each.

    Raises:
        FewLabelsError: fewer than two classes have enough of these products.
    """
    labels = frequent(data, learned, config=config)
    index = labels.index[data.rows]
    examples = data.examples.with_labels(index)
    learned = learned[index[learned] != NO_ANSWER]
    schema, device = data.shard_set.schema, examples.device
    dims = tuple(schema.dim_of(feature) for feature in data.features)
    start = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        num_classes = len(labels.classes)
        network = Network(data.features, dims=dims, num_classes=num_classes, aggregate=aggregate, head=head)
        epochs = fit(
            network.to(device),
            examples,
            learned=learned,
            alone=config.feature_dropout.alone if labels.learns_single_features else 0.0,
            config=config,
            on_progress=on_progress,
        )
    card = HeadCard(
        target=labels.target,
        fingerprint=schema.fingerprint,
        model=schema.model,
        features=data.features,
        dims=dims,
        lexical=schema.lexical if "lexical" in data.features else None,
        text=schema.text if "text" in data.features else None,
        aggregate=aggregate,
        head=head,
        num_train=len(learned),
        present_counts=tuple(
            load_presence(data.shard_set, features=data.features, rows=data.rows[learned]).sum(axis=0).tolist()
        ),
        epochs=epochs,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        seconds=round(time.perf_counter() - start, 2),
        gold=data.gold,
        classes=labels.classes,
        ancestors=labels.ancestors,
        class_counts=tuple(labels.class_counts(data.learned(learned)).tolist()),
    )
    return TrainedHead(card=card, network=network)


def shard_groups(shard_set: ShardSet) -> Groups:
    """The group of each product of a shard set, (n,) uint64, in its order."""
    frames = (shard.frame([raw_column("title"), "product_id"]) for shard in shard_set.shards())
    return np.concatenate([groups_of(*frame.get_columns()) for frame in frames])


def choose_features(
    shard_set: ShardSet, *, usual: tuple[Feature, ...], wanted: tuple[Feature, ...] | None
) -> tuple[Feature, ...]:
    """The features a head reads, in the fixed order.

    Args:
        usual: those of the target; the ones that the shard set has are taken where `wanted` is None.
        wanted: those named in `[train] features`.

    Raises:
        HeadError: one that is named is not in the shard set, or none is left.
    """
    has = shard_set.schema.features
    chosen = tuple(f for f in ALL_FEATURES if (f in usual and f in has if wanted is None else f in wanted))
    missing = [feature for feature in chosen if feature not in has]
    if missing or not chosen:
        raise HeadError(
            f"[train] features: found {', '.join(missing or usual)}, which {shard_set.folder} has no vectors of; "
            f"wanted some of {', '.join(has)}"
        )
    return chosen
