"""Training a head: from a shard set and labels to a head and its figures."""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from prodemb.core.arrays import Indices
from prodemb.core.errors import HeadError
from prodemb.core.features import ALL_FEATURES, BRAND_FEATURES, FEATURES, Feature, raw_column
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.baselines import BaselineConfig
from prodemb.heads.examples import Examples, WindowedExamples, load_examples
from prodemb.heads.fit import FitConfig, Progress, fit
from prodemb.heads.head import HeadCard, HeadConfig, TrainedHead
from prodemb.heads.labels import Labels, Target
from prodemb.heads.loss import ROWS_AT_A_TIME
from prodemb.heads.metrics import Metrics, evaluate
from prodemb.heads.split import TEST, TRAIN, VALIDATION, Parts, split_of
from prodemb.shards.reader import ShardSet


class TrainConfig(FitConfig):
    """`[train]`: what a head learns from, and how long."""

    out: str | None = None
    """The head's folder; `heads/<target>` where none is given."""
    shards: str | None = None
    """The shard set to train on; the pipeline's own where none is given."""
    taxonomy: str | None = None
    """A `taxonomy-with-ids` file; the part that prodemb carries where none is given."""
    label_taxonomy: str | None = None
    """The `taxonomy-with-ids` file of the version or locale that the gold labels are written in, where that is another
    one: paths are then looked up there, and ids that are gone count as the nearest node above that is left."""
    features: tuple[Feature, ...] | None = None
    """The features to read; where none are given, those of the target that the shard set has."""
    min_examples: int = Field(default=2, ge=1)
    """Classes with fewer training products are left out, or rolled up."""
    roll_up: bool = True
    """Whether products of a category with too few of them count as the nearest node above that has enough with them."""
    baselines: BaselineConfig = BaselineConfig()
    """What runs beside the head."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The labelled products of a shard set: their vectors, and which part each belongs to."""

    shard_set: ShardSet
    features: tuple[Feature, ...]
    all_labels: Labels
    """Of all products of the shard set."""
    labels: Labels
    """The same without the classes that have too few training products."""
    parts: Parts
    """The part of each product of the shard set."""
    rows: Indices
    """(m,) places in the shard set of the products that have a class, ascending."""
    train: Indices
    """Places in `rows`, as the next two."""
    validation: Indices
    test: Indices
    judged: Indices
    """(j,) places in the shard set of all test products whose truth is known, of a class that the head has or not."""
    gold: bool
    """Whether `test` and `judged` hold gold labels alone."""
    examples: Examples | WindowedExamples
    """(m,) their vectors."""

    @property
    def coverage(self) -> float | None:
        """Share of the judged products whose class the head has; None where none is judged."""
        return len(self.test) / len(self.judged) if len(self.judged) else None


def load_labelled(shard_set: ShardSet, *, labels: Labels, config: TrainConfig, device: torch.device) -> Labelled:
    """Split the products, leave out rare classes, and load the vectors of the labelled products.

    Test products are those with a gold label, or where no product of the test part has one, those with any label.

    Args:
        labels: of all products of `shard_set`, from `prodemb.heads.labels`.

    Raises:
        HeadError: a wanted feature is not in the shard set, or fewer than two classes have enough products.
    """
    features = choose_features(shard_set, target=labels.target, wanted=config.features)
    parts = split_of_shards(shard_set)
    judged = (labels.index >= 0) & (parts == TEST)
    gold = bool((judged & labels.gold).any())
    judged &= labels.gold | (not gold)
    rolled_up = config.roll_up and labels.target == "category"
    kept = labels.with_examples(parts, at_least=config.min_examples, rolled_up=rolled_up)
    rows = _places(kept.index >= 0)
    return Labelled(
        shard_set=shard_set,
        features=features,
        all_labels=labels,
        labels=kept,
        parts=parts,
        rows=rows,
        train=_places(parts[rows] == TRAIN),
        validation=_places(parts[rows] == VALIDATION),
        test=_places(judged[rows]),
        judged=_places(judged),
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


def _places(where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The places that are true, ascending, in half the memory."""
    return np.flatnonzero(where).astype(np.int32)


def train_head(
    data: Labelled,
    *,
    config: TrainConfig,
    aggregate: AggregateConfig,
    head: HeadConfig,
    progress: Progress | None = None,
) -> TrainedHead:
    """Train a head on the training part and measure it on the test part.

    A test product whose class has too few training products cannot be answered and is left out of the metrics; the
    card's `coverage` says what share remains.

    Args:
        progress: called after each epoch.
    """
    schema, device = data.shard_set.schema, data.examples.device
    card = HeadCard(
        target=data.labels.target,
        fingerprint=schema.fingerprint,
        model=schema.model,
        features=data.features,
        dims=tuple(schema.dim_of(feature) for feature in data.features),
        lexical=schema.lexical if "lexical" in data.features else None,
        aggregate=aggregate,
        head=head,
        num_train=len(data.train),
        num_validation=len(data.validation),
        coverage=data.coverage,
        gold=data.gold,
        labels=data.labels.classes,
        ancestors=data.labels.ancestors,
        examples=_examples(data) if data.labels.target == "category" else (),
    )
    start = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        trained = TrainedHead.untrained(card).to(device)
        epochs = fit(
            trained, data.examples, train=data.train, validation=data.validation, config=config, progress=progress
        )
    seconds = round(time.perf_counter() - start, 2)
    metrics = _measure(trained, data) if len(data.test) else None
    return trained.with_card(epochs=epochs, seconds=seconds, metrics=metrics)


def _examples(data: Labelled) -> tuple[int, ...]:
    """Training products of each class."""
    counts = np.bincount(data.labels.index[data.rows[data.train]], minlength=len(data.labels.classes))
    return tuple(counts.tolist())


def _measure(trained: TrainedHead, data: Labelled) -> Metrics:
    """The head's figures on the test part."""
    said = [
        trained.top(some.vectors[rows], present=some.present[rows], k=5)
        for some, rows in data.examples.in_order(data.test, batch_size=ROWS_AT_A_TIME)
    ]
    top, confidences = torch.cat([top for _, top in said]), torch.cat([sure[:, 0] for sure, _ in said])
    return evaluate(data.labels.index[data.rows[data.test]], top=top.numpy(), confidences=confidences.double().numpy())


def split_of_shards(shard_set: ShardSet) -> Parts:
    """The part of each product of a shard set, (n,) uint8, in its order."""
    frames = (shard.frame([raw_column("title"), "product_id"]) for shard in shard_set.shards())
    return np.concatenate([split_of(*frame.get_columns()) for frame in frames])


def choose_features(shard_set: ShardSet, *, target: Target, wanted: tuple[Feature, ...] | None) -> tuple[Feature, ...]:
    """The features a head reads, in the fixed order: those wanted, or those of its path that the shard set has.

    Raises:
        HeadError: a wanted one is not in the shard set, or none is left.
    """
    has = shard_set.schema.features
    usual = (*(BRAND_FEATURES if target == "brand" else FEATURES), "lexical")
    chosen = tuple(f for f in ALL_FEATURES if (f in usual and f in has if wanted is None else f in wanted))
    missing = [feature for feature in chosen if feature not in has]
    if missing or not chosen:
        raise HeadError(
            f"[train] features: found {', '.join(missing or usual)}, which {shard_set.folder} has no vectors of; "
            f"wanted some of {', '.join(has)}"
        )
    return chosen
