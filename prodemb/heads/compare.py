"""A head beside its baselines: fitted once on the head's own training products, asked about products as they come."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from prodemb.core.arrays import NO_ANSWER, Indices, sample_rows
from prodemb.core.features import TEXT_FEATURES, raw_column
from prodemb.heads.aggregate import Aggregate, AggregateConfig
from prodemb.heads.baselines import FittedBaseline, Products, category_lookups, fit_baselines, join_texts
from prodemb.heads.head import Baseline
from prodemb.heads.train import Labelled, TrainConfig
from prodemb.shards.product_set import ProductSet, read_products


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """The baselines, and what turns products into what they read."""

    fitted: tuple[FittedBaseline, ...]
    inputs: Callable[[ProductSet, Indices], Products]
    note: str | None
    """What was made smaller for them."""

    def with_lookups(self, lookups: tuple[FittedBaseline, ...]) -> "Rivals":
        """These with other methods that learn nothing, in the place of those before."""
        names = {lookup.name for lookup in lookups}
        return replace(self, fitted=(*lookups, *(rival for rival in self.fitted if rival.name not in names)))

    def measured(self, products: ProductSet, *, labels: Indices) -> tuple[Baseline, ...]:
        """Their figures.

        Args:
            labels: (n,) the true classes, all of which the head has.
        """
        asked = self.inputs(products, labels)
        found = [baseline.measured(asked) for baseline in self.fitted]
        if self.note is None:
            return tuple(found)
        return tuple(b.model_copy(update={"note": f"{b.note}; {self.note}" if b.note else self.note}) for b in found)

    def answers(self, products: ProductSet) -> dict[str, Indices]:
        """The first answer of each method for n products, (n,)."""
        asked = self.inputs(products, np.full(len(products), NO_ANSWER))
        return {baseline.name: baseline.ask(asked).top[:, 0] for baseline in self.fitted if baseline.ask}


def fit_rivals(data: Labelled, *, config: TrainConfig) -> Rivals:
    """Fit the baselines on the head's training products, or on as many of them as they may see.

    For brands, the methods that learn nothing are not among them: see `Rivals.with_lookups`.
    """
    limits = config.baselines
    train = data.train[sample_rows(len(data.train), at_most=limits.max_train, seed=config.seed)]
    dims = [data.shard_set.schema.dim_of(feature) for feature in data.features]
    standardised = Aggregate(data.features, dims=dims, config=AggregateConfig())
    texts = [raw_column(feature) for feature in TEXT_FEATURES if feature in data.features]

    def inputs(products: ProductSet, labels: Indices) -> Products:
        with torch.inference_mode():
            vectors = standardised(torch.from_numpy(products.vectors), torch.from_numpy(products.present))
        return Products(
            labels=labels.astype(np.int64),
            vectors=vectors.numpy(),
            texts=join_texts([products.supplied[column] for column in texts]),
            supplied=products.supplied,
        )

    seen = read_products(data.shard_set, features=data.features, rows=data.rows[train])
    standardised.fit(torch.from_numpy(seen.vectors), present=torch.from_numpy(seen.present))
    learned = inputs(seen, data.labels.index[data.rows[train]])
    lookups = category_lookups(learned) if data.labels.target == "category" else ()
    fitted = (*lookups, *fit_baselines(learned, config=limits))
    fewer = None
    if len(train) < len(data.train):
        fewer = f"learned from {len(train):,} of {len(data.train):,} products"
    return Rivals(fitted=fitted, inputs=inputs, note=fewer)


def known_only(rivals: Rivals, *, data: Labelled, products: ProductSet, rows: Indices) -> tuple[Baseline, ...]:
    """The figures of all baselines on those of the products whose class the head has."""
    labels = data.labels.index[rows]
    known = np.flatnonzero(labels != NO_ANSWER)
    baselines = rivals.measured(products.take(known), labels=labels[known])
    if len(rows) == len(data.judged):
        return baselines
    seen = f"measured on {len(known):,} of {len(data.test):,} test products"
    return tuple(b.model_copy(update={"note": f"{b.note}; {seen}" if b.note else seen}) for b in baselines)


def judged_products(data: Labelled, *, config: TrainConfig) -> tuple[ProductSet, Indices]:
    """Test products to measure on, at most `[train.baselines] max_test` of them, and their places in the shard set."""
    some = sample_rows(len(data.judged), at_most=config.baselines.max_test, seed=config.seed)
    rows = data.judged[some]
    return read_products(data.shard_set, features=data.features, rows=rows), rows
