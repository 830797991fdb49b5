"""Baselines beside a head: fitted once to the products that it learned from, then applied to test products."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from prodemb.confidence.choices import Answered
from prodemb.confidence.reliability import Calibration
from prodemb.core.arrays import NO_ANSWER, Indices, sample_rows
from prodemb.core.features import TEXT_FEATURES, raw_column
from prodemb.heads.aggregate import Aggregate, AggregateConfig
from prodemb.heads.baselines import BaselineInputs, FittedBaseline, fit_learned, join_texts
from prodemb.heads.evaluation import FUSED, BaselineResult, Condition
from prodemb.heads.metrics import by_class_count
from prodemb.heads.split import VALIDATION
from prodemb.heads.train import Labelled, LabelsT, TrainConfig
from prodemb.shards.product_set import ProductSet, read_products

Lookups = Callable[[BaselineInputs], tuple[FittedBaseline, ...]]
"""From training products to the methods of one target."""


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """The fitted baselines, and what turns products into what they read."""

    fitted: tuple[FittedBaseline, ...]
    inputs: Callable[[ProductSet, Indices], BaselineInputs]
    note: str | None
    """What was made smaller for them."""

    def only(self, methods: tuple[FittedBaseline, ...]) -> "Baselines":
        """Other methods on the same inputs."""
        return replace(self, fitted=methods, note=None)

    def evaluate(self, products: ProductSet, *, labels: Indices) -> tuple[BaselineResult, ...]:
        """Their metrics.

        Args:
            labels: (n,) the true classes.
        """
        inputs = self.inputs(products, labels)
        return _with_note(tuple(baseline.evaluate(inputs) for baseline in self.fitted), note=self.note)

    def predict(self, products: ProductSet) -> dict[str, Indices]:
        """The first prediction of each method for n products, (n,); `NO_ANSWER` where there is none."""
        inputs = self.inputs(products, np.full(len(products), NO_ANSWER))
        return {baseline.name: baseline.predict(inputs).topk[:, 0] for baseline in self.fitted if baseline.predict}


def fit_baselines(data: Labelled[LabelsT], *, config: TrainConfig, lookups: Lookups = lambda _: ()) -> Baselines:
    """Fit the baselines to all labelled products outside the test part, or to `[train.baselines] max_train` of them.

    They learn every class that a product is labelled with, rare ones too.

    Args:
        lookups: fits the methods that only one target has.
    """
    limits = config.baselines
    outside = data.outside_test
    train = outside[sample_rows(len(outside), at_most=limits.max_train, seed=config.seed)]
    dims = [data.shard_set.schema.dim_of(feature) for feature in data.features]
    standardised = Aggregate(data.features, dims=dims, config=AggregateConfig())
    texts = [raw_column(feature) for feature in TEXT_FEATURES if feature in data.features]

    def inputs(products: ProductSet, labels: Indices) -> BaselineInputs:
        with torch.inference_mode():
            vectors = standardised(torch.from_numpy(products.vectors), torch.from_numpy(products.present))
        return BaselineInputs(
            labels=labels.astype(np.int64),
            vectors=vectors.numpy(),
            texts=join_texts([products.supplied[column] for column in texts]),
            supplied=products.supplied,
        )

    seen = read_products(data.shard_set, features=data.features, rows=data.rows[train])
    standardised.fit(torch.from_numpy(seen.vectors), present=torch.from_numpy(seen.present))
    learned = inputs(seen, data.index_of(train))
    fitted = (*lookups(learned), *fit_learned(learned, config=limits))
    note = None
    if len(train) < len(outside):
        note = f"learned from {len(train):,} of {len(outside):,} products"
    return Baselines(fitted=fitted, inputs=inputs, note=note)


def read_test_products(data: Labelled[LabelsT], *, config: TrainConfig) -> tuple[ProductSet, Indices]:
    """Test products to evaluate on, a sample of at most `[train.baselines] max_test`, and their rows."""
    some = sample_rows(len(data.test), at_most=config.baselines.max_test, seed=config.seed)
    rows = data.rows[data.test[some]]
    return read_products(data.shard_set, features=data.features, rows=rows), rows


def _with_note(results: tuple[BaselineResult, ...], *, note: str | None) -> tuple[BaselineResult, ...]:
    """The results with a further note."""
    if note is None:
        return results
    return tuple(
        result.model_copy(update={"note": f"{result.note}; {note}" if result.note else note}) for result in results
    )


def out_of_fold_figures(
    data: Labelled[LabelsT], *, rows: Indices, by_condition: Mapping[str, Answered]
) -> dict[str, Any]:
    """What `Evaluation` says of the split, of how much was learned from, and of the out-of-fold answers.

    Args:
        rows: (n,) rows of the shard set that were judged out of fold.
        by_condition: the answers, first those of the products as they are, (n,).
    """
    as_supplied = next(iter(by_condition.values()), Answered.concat([]))
    unseen = as_supplied.correct[data.parts[np.searchsorted(data.rows, rows)] == VALIDATION]
    bands = by_class_count(_num_learned_of_class(data, rows=rows))
    conditions = [
        *((None, name, answered) for name, answered in by_condition.items()),
        *(("examples", name, as_supplied.take(where)) for name, where in bands.items()),
    ]
    return {
        "own_split": data.own_split,
        "num_variants": data.num_variants,
        "num_learned": len(data.outside_test),
        "out_of_fold": float(unseen.mean()) if len(unseen) else None,
        "num_out_of_fold": len(unseen),
        "out_of_fold_conditions": tuple(
            Condition(
                group=group,
                name=name,
                num_products=len(answered.correct),
                top1={FUSED: float(answered.correct.mean())},
                calibration=Calibration.of(answered),
            )
            for group, name, answered in conditions
            if len(answered.correct)
        ),
    }


def _num_learned_of_class(data: Labelled[LabelsT], *, rows: Indices) -> npt.NDArray[np.int64]:
    """How many products of its class were learned from when each of n products was judged out of fold, (n,)."""
    folds, index = data.folds[np.searchsorted(data.rows, rows)], data.labels.index[rows]
    counts = np.zeros(len(rows), dtype=np.int64)
    for fold in np.unique(folds):
        inside = folds == fold
        counts[inside] = data.labels.class_counts(data.learned(data.outside(int(fold))))[index[inside]]
    return counts
