"""Training a head: from a shard set and labels to a head, its figures and those of the baselines beside it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field

from prodemb.aggregate import Aggregate, AggregateConfig
from prodemb.baselines import BaselineConfig, Products, join_texts, run_baselines, sample_rows
from prodemb.errors import HeadError
from prodemb.features import BRAND_FEATURES, FEATURES, TEXT_FEATURES, Feature, supplied_column
from prodemb.fit import Examples, FitConfig, Progress, fit
from prodemb.heads import Baseline, HeadCard, HeadConfig, TrainedHead
from prodemb.labels import Labels, Target
from prodemb.metrics import Indices, Metrics, evaluate
from prodemb.shards.reader import ShardSet
from prodemb.split import TEST, TRAIN, VALIDATION, Parts, split_of

_ROWS_AT_A_TIME = 2048
"""Vectors a thread copies at a time; where they are not neighbours they are gathered in the processor's cache first."""


class TrainConfig(FitConfig):
    """`[train]`: what a head learns from, and how long."""

    out: str | None = None
    """The head's folder; `heads/<target>` where none is given."""
    shards: str | None = None
    """The shard set to train on; the pipeline's own where none is given."""
    taxonomy: str | None = None
    """A `taxonomy-with-ids` file; the part that prodemb carries where none is given."""
    features: tuple[Feature, ...] | None = None
    """The features to read; where none are given, those of the target that the shard set has."""
    min_examples: int = Field(default=2, ge=1)
    """Classes with fewer training products are left out."""
    baselines: BaselineConfig = BaselineConfig()
    """What runs beside the head."""


@dataclass(frozen=True, kw_only=True)
class _Data:
    """The labelled products of a shard set and their split."""

    shard_set: ShardSet
    features: tuple[Feature, ...]
    labels: Labels
    rows: Indices
    """(m,) their places in the shard set, ascending."""
    train: Indices
    """Places in `rows`, as the next two."""
    validation: Indices
    test: Indices
    coverage: float | None
    gold: bool
    """Whether `test` holds gold labels alone."""
    examples: Examples
    """(m,) their vectors."""


def train_head(
    shard_set: ShardSet,
    *,
    labels: Labels,
    config: TrainConfig,
    aggregate: AggregateConfig,
    head: HeadConfig,
    device: torch.device,
    progress: Progress | None = None,
) -> TrainedHead:
    """Train a head on the shard set's training part and measure it on its test part.

    The metrics, the head's as well as the baselines', are over the test products with a gold label, or where no product
    of the test part has one, with any label. A product whose class has too few training products cannot be answered and
    is left out; the card's `coverage` says what share remains.

    Args:
        labels: of all products of `shard_set`, from `prodemb.labels`.
        progress: called after each epoch.

    Raises:
        HeadError: a wanted feature is not in the shard set, or fewer than two classes have enough products.
    """
    data = _load(shard_set, labels=labels, config=config, device=device)
    card = HeadCard(
        target=labels.target,
        fingerprint=shard_set.schema.fingerprint,
        model=shard_set.schema.model,
        dim=shard_set.schema.dim,
        features=data.features,
        aggregate=aggregate,
        head=head,
        num_train=len(data.train),
        num_validation=len(data.validation),
        coverage=data.coverage,
        gold=data.gold,
        labels=data.labels.classes,
    )
    start = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        trained = TrainedHead.untrained(card).to(device)
        epochs = fit(
            trained, data.examples, train=data.train, validation=data.validation, config=config, progress=progress
        )
    seconds = round(time.perf_counter() - start, 2)
    return trained.with_results(
        epochs=epochs,
        seconds=seconds,
        metrics=_measure(trained, data) if len(data.test) else None,
        baselines=_baselines(data, config=config) if len(data.test) and config.baselines.run else (),
    )


def _load(shard_set: ShardSet, *, labels: Labels, config: TrainConfig, device: torch.device) -> _Data:
    """Split the products, leave out rare classes, and load the vectors of the labelled products onto the device."""
    features = choose_features(shard_set, target=labels.target, wanted=config.features)
    parts = split_of_shards(shard_set)
    judged = (labels.index >= 0) & (parts == TEST)
    gold = bool((judged & labels.gold).any())
    judged &= labels.gold | (not gold)
    labels = labels.with_examples(parts, at_least=config.min_examples)
    rows = np.flatnonzero(labels.index >= 0)
    test = np.flatnonzero(judged[rows])
    vectors, present = load_vectors(shard_set, features=features, rows=rows)
    return _Data(
        shard_set=shard_set,
        features=features,
        labels=labels,
        rows=rows,
        train=np.flatnonzero(parts[rows] == TRAIN),
        validation=np.flatnonzero(parts[rows] == VALIDATION),
        test=test,
        coverage=len(test) / np.count_nonzero(judged) if judged.any() else None,
        gold=gold,
        examples=Examples(
            vectors=torch.from_numpy(vectors).to(device),
            present=torch.from_numpy(present).to(device),
            labels=torch.from_numpy(labels.index[rows]).to(device),
        ),
    )


def split_of_shards(shard_set: ShardSet) -> Parts:
    """The part of each product of a shard set, (n,) uint8, in its order."""
    frames = (shard.frame([supplied_column("title"), "product_id"]) for shard in shard_set.shards())
    return np.concatenate([split_of(*frame.get_columns()) for frame in frames])


def choose_features(shard_set: ShardSet, *, target: Target, wanted: tuple[Feature, ...] | None) -> tuple[Feature, ...]:
    """The features a head reads, in the fixed order: those wanted, or those of its path that the shard set has.

    Raises:
        HeadError: a wanted one is not in the shard set, or none is left.
    """
    has = shard_set.schema.features
    usual = BRAND_FEATURES if target == "brand" else FEATURES
    chosen = tuple(f for f in FEATURES if (f in usual and f in has if wanted is None else f in wanted))
    missing = [feature for feature in chosen if feature not in has]
    if missing or not chosen:
        raise HeadError(
            f"[train] features: found {', '.join(missing or usual)}, which {shard_set.folder} has no vectors of; "
            f"wanted some of {', '.join(has)}"
        )
    return chosen


def load_vectors(
    shard_set: ShardSet, *, features: tuple[Feature, ...], rows: Indices
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
    """Some products' vectors, (m, F, dim) float16, and presence, (m, F) bool, shard by shard, on all cores.

    Args:
        rows: (m,) places in the shard set, ascending.
    """
    vectors = np.empty((len(rows), len(features), shard_set.schema.dim), dtype=np.float16)
    present = np.empty((len(rows), len(features)), dtype=np.bool_)
    start = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for shard in shard_set.shards():
            low, high = np.searchsorted(rows, [start, start + shard.num_products])
            places = rows[low:high] - start
            copies = []
            for column, feature in enumerate(features):
                view = shard.vectors(feature)
                for first in range(0, len(places), _ROWS_AT_A_TIME):
                    some = slice(first, first + _ROWS_AT_A_TIME)
                    copies.append(pool.submit(_copy_rows, view, places[some], vectors[low:high, column][some]))
            for column, feature in enumerate(features):
                present[low:high, column] = shard.present(feature)[places]
            for copy in copies:
                copy.result()
            start += shard.num_products
    return vectors, present


def _copy_rows(view: npt.NDArray[np.float16], places: Indices, out: npt.NDArray[np.float16]) -> None:
    """Copy the vectors at ascending `places` of `view` (n, dim) to `out` (m, dim), numpy having let go of the GIL."""
    if places[-1] - places[0] == len(places) - 1:
        out[:] = view[places[0] : places[-1] + 1]
    else:
        out[:] = view[places]


def supplied_values(shard_set: ShardSet, *, rows: Indices) -> pl.DataFrame:
    """What the partners sent for some products: m rows, one column a text feature.

    Args:
        rows: (m,) places in the shard set, ascending.
    """
    columns = [supplied_column(feature) for feature in TEXT_FEATURES]
    frames = []
    start = 0
    for shard in shard_set.shards():
        low, high = np.searchsorted(rows, [start, start + shard.num_products])
        frames.append(shard.frame(columns)[rows[low:high] - start])
        start += shard.num_products
    return pl.concat(frames)


def _measure(trained: TrainedHead, data: _Data) -> Metrics:
    """The head's figures on the test part."""
    vectors, present = data.examples.vectors[data.test], data.examples.present[data.test]
    probabilities, top = trained.top(vectors, present=present, k=5)
    confidences = probabilities[:, 0].double().numpy()
    return evaluate(data.labels.index[data.rows[data.test]], top=top.numpy(), confidences=confidences)


def _baselines(data: _Data, *, config: TrainConfig) -> tuple[Baseline, ...]:
    """The baselines' figures on the head's own training and test products, or on as many of them as they may see."""
    limits = config.baselines
    train = data.train[sample_rows(len(data.train), at_most=limits.max_train, seed=config.seed)]
    test = data.test[sample_rows(len(data.test), at_most=limits.max_test, seed=config.seed)]
    texts = [supplied_column(feature) for feature in TEXT_FEATURES if feature in data.features]
    standardised = Aggregate(data.features, dim=data.shard_set.schema.dim, config=AggregateConfig())
    standardised.to(data.examples.vectors.device)
    rows = torch.from_numpy(train).to(data.examples.vectors.device)
    standardised.fit(data.examples.vectors, present=data.examples.present, rows=rows)

    def products(places: Indices) -> Products:
        seen = supplied_values(data.shard_set, rows=data.rows[places])
        return Products(
            labels=data.labels.index[data.rows[places]],
            vectors=standardised(data.examples.vectors[places], data.examples.present[places]).cpu().numpy(),
            texts=join_texts([seen[column] for column in texts]),
            supplied=seen.select(supplied_column(feature) for feature in ("cat1", "cat2", "cat3")),
        )

    supplied = None if data.labels.supplied is None else data.labels.supplied[data.rows[test]]
    baselines = run_baselines(products(train), products(test), supplied_class=supplied, config=limits)
    if len(train) == len(data.train) and len(test) == len(data.test):
        return baselines
    seen = (
        f"learned from {len(train):,} of {len(data.train):,} products, measured on {len(test):,} of {len(data.test):,}"
    )
    return tuple(b.model_copy(update={"note": f"{b.note}; {seen}" if b.note else seen}) for b in baselines)
