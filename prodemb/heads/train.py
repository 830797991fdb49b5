"""Training a head: from a shard set and labels to a head and its metrics."""

import time
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from prodemb.core.arrays import Indices
from prodemb.core.errors import HeadError
from prodemb.core.features import ALL_FEATURES, Feature, raw_column
from prodemb.core.progress import ProgressCallback
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.baselines import BaselineConfig
from prodemb.heads.examples import Examples, WindowedExamples, load_examples
from prodemb.heads.fit import FitConfig, fit
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.heads.labels import Labels
from prodemb.heads.loss import ROWS_AT_A_TIME
from prodemb.heads.metrics import Metrics, evaluate
from prodemb.heads.network import HeadConfig, Network
from prodemb.heads.split import TEST, TRAIN, VALIDATION, Split, split_of
from prodemb.shards.reader import ShardSet

LabelsT = TypeVar("LabelsT", bound=Labels)


class TrainConfig(FitConfig):
    """`[train]`: what a head learns from, and how long."""

    out: str | None = None
    """The head's folder; `heads/<target>` where none is given."""
    shards: str | None = None
    """The shard set to train on; the pipeline's own where none is given."""
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
    """Classes with fewer training products are left out, or rolled up."""
    roll_up: bool = True
    """Whether products of a category with too few of them count as the nearest node above that has enough with them."""
    baselines: BaselineConfig = BaselineConfig()
    """What is evaluated beside the head."""


@dataclass(frozen=True, kw_only=True)
class Labelled(Generic[LabelsT]):
    """The labelled products of a shard set: their vectors, and which part of the split each belongs to."""

    shard_set: ShardSet
    features: tuple[Feature, ...]
    all_labels: LabelsT
    """Of all products of the shard set."""
    labels: LabelsT
    """The same without the classes that have too few training products."""
    split: Split
    """The part of each product of the shard set."""
    rows: Indices
    """(m,) rows of the shard set whose products have a class, ascending."""
    train: Indices
    """Indices into `rows`, as the next two."""
    validation: Indices
    test: Indices
    test_rows: Indices
    """(t,) rows of the shard set: all test products whose truth is known, whether the head has their class or not."""
    gold: bool
    """Whether `test` and `test_rows` hold gold labels alone."""
    examples: Examples | WindowedExamples
    """(m,) their vectors."""

    @property
    def coverage(self) -> float | None:
        """Share of the test products whose class the head has; None where there are no test products."""
        return len(self.test) / len(self.test_rows) if len(self.test_rows) else None


def load_labelled(
    shard_set: ShardSet, *, labels: LabelsT, config: TrainConfig, device: torch.device
) -> Labelled[LabelsT]:
    """Split the products, leave out rare classes, and load the vectors of the labelled products.

    Test products are those with a gold label, or where no product of the test part has one, those with any label.

    Args:
        labels: of all products of `shard_set`.

    Raises:
        HeadError: a feature named in `[train] features` is not in the shard set.
        FewLabelsError: fewer than two classes have enough products.
    """
    features = choose_features(shard_set, usual=labels.features, wanted=config.features)
    split = split_of_shards(shard_set)
    in_test = (labels.index >= 0) & (split == TEST)
    gold = bool((in_test & labels.gold).any())
    in_test &= labels.gold | (not gold)
    kept = labels.frequent(split, min_count=config.min_examples, roll_up=config.roll_up)
    rows = _indices(kept.index >= 0)
    return Labelled(
        shard_set=shard_set,
        features=features,
        all_labels=labels,
        labels=kept,
        split=split,
        rows=rows,
        train=_indices(split[rows] == TRAIN),
        validation=_indices(split[rows] == VALIDATION),
        test=_indices(in_test[rows]),
        test_rows=_indices(in_test),
        gold=gold,
        examples=load_examples(
            shard_set,
            features=features,
            rows=rows,
            labels=kept.index[rows],
            device=device,
            memory_gb=config.memory_gb,
        ),
    )


def _indices(where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The indices that are true, ascending, in half the memory of int64."""
    return np.flatnonzero(where).astype(np.int32)


def train_head(
    data: Labelled[LabelsT],
    *,
    config: TrainConfig,
    aggregate: AggregateConfig,
    head: HeadConfig,
    on_progress: ProgressCallback | None = None,
) -> TrainedHead:
    """Train a head on the training part and measure it on the test part.

    Test products whose class has too few training products cannot be predicted and are left out of the metrics; the
    card's `coverage` says what share remains.

    Args:
        on_progress: called with the epochs done and their largest number, after each.
    """
    schema, labels, device = data.shard_set.schema, data.labels, data.examples.device
    dims = tuple(schema.dim_of(feature) for feature in data.features)
    start = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        num_classes = len(labels.classes)
        network = Network(data.features, dims=dims, num_classes=num_classes, aggregate=aggregate, head=head)
        epochs = fit(
            network.to(device),
            data.examples,
            train=data.train,
            validation=data.validation,
            alone=config.feature_dropout.alone if labels.learns_single_features else 0.0,
            config=config,
            on_progress=on_progress,
        )
    seconds = round(time.perf_counter() - start, 2)
    card = HeadCard(
        target=labels.target,
        fingerprint=schema.fingerprint,
        model=schema.model,
        features=data.features,
        dims=dims,
        lexical=schema.lexical if "lexical" in data.features else None,
        aggregate=aggregate,
        head=head,
        num_train=len(data.train),
        num_validation=len(data.validation),
        epochs=epochs,
        seconds=seconds,
        coverage=data.coverage,
        gold=data.gold,
        metrics=_measure(network, data) if len(data.test) else None,
        classes=labels.classes,
        ancestors=labels.ancestors,
        class_counts=tuple(labels.class_counts(data.split).tolist()),
    )
    return TrainedHead(card=card, network=network)


def _measure(network: Network, data: Labelled[LabelsT]) -> Metrics:
    """The network's metrics on the test part."""
    predictions = [
        network.topk(some.vectors[rows], present=some.present[rows], k=5)
        for some, rows in data.examples.in_order(data.test, batch_size=ROWS_AT_A_TIME)
    ]
    classes = torch.cat([classes for _, classes in predictions]).numpy()
    confidences = torch.cat([probabilities[:, 0] for probabilities, _ in predictions]).double().numpy()
    return evaluate(data.labels.index[data.rows[data.test]], topk=classes, confidences=confidences)


def split_of_shards(shard_set: ShardSet) -> Split:
    """The part of each product of a shard set, (n,) uint8, in its order."""
    frames = (shard.frame([raw_column("title"), "product_id"]) for shard in shard_set.shards())
    return np.concatenate([split_of(*frame.get_columns()) for frame in frames])


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
