"""Fitting what predicts categories: all voices, and from their out-of-fold answers the weights of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from prodemb.category.candidates import PRIOR_WEIGHTS
from prodemb.category.conditions import ALL, WRONG, CategoryCondition, category_conditions
from prodemb.category.config import VoicesConfig
from prodemb.category.labels import CategoryLabels
from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.category.predict import CategoryPredictor, known_proba
from prodemb.category.voices.every import Voices, nodes_of_labels
from prodemb.category.voices.names import Names
from prodemb.category.zero_shot import ZeroShot
from prodemb.confidence.candidates import Candidates
from prodemb.confidence.conditional_logit import ConditionalLogit, Floats
from prodemb.core.arrays import Indices, sample_rows
from prodemb.core.progress import Progress
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.network import HeadConfig
from prodemb.heads.train import Labelled, TrainConfig, train_head
from prodemb.shards.product_set import read_products

_IN_CONDITIONS = 0.2
"""Share of the out-of-fold products that are also judged in the other conditions, where there are many."""
_FEWEST_IN_CONDITIONS = 2_000
_UNKNOWN_SHARE = 0.05
"""Share of the products of labelled categories that may count as unlike any."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that training a category predictor depends on but the products."""

    train: TrainConfig
    aggregate: AggregateConfig
    head: HeadConfig
    voices: VoicesConfig
    nodes: Nodes
    """All nodes of the taxonomy."""
    names: Names
    tower: ZeroShot | None

    def fit_voices(self, data: Labelled[CategoryLabels], learned: Indices, *, title: str, progress: Progress) -> Voices:
        """Train a head and fit the other voices to the same products.

        Args:
            learned: (l,) indices of labelled products.
            title: what is shown while it runs.
        """
        with progress(title) as on_progress:
            head = train_head(
                data, learned, config=self.train, aggregate=self.aggregate, head=self.head, on_progress=on_progress
            )
            return Voices.fit(
                data,
                learned,
                head=head,
                nodes=self.nodes,
                names=self.names,
                tower=self.tower,
                max_products=self.voices.max_products,
                max_cost=self.voices.max_cost,
                seed=self.voices.seed,
            )


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Out-of-fold products in some conditions, and what is true of them."""

    candidates: Candidates
    chosen: npt.NDArray[np.int64]
    """(n,) the index of the true one."""
    weights: Floats
    """(n,) how much each product counts."""

    @classmethod
    def concat(cls, parts: "Sequence[_Judged]") -> "_Judged":
        return cls(
            candidates=Candidates.concat([part.candidates for part in parts]),
            chosen=np.concatenate([part.chosen for part in parts]),
            weights=np.concatenate([part.weights for part in parts]),
        )

    def fit(self, *, l2: float) -> ConditionalLogit:
        """The weights that these products teach."""
        return ConditionalLogit.fit(
            self.candidates.features,
            valid=self.candidates.valid,
            chosen=self.chosen,
            contexts=self.candidates.contexts,
            sample_weight=self.weights,
            prior=np.array([*PRIOR_WEIGHTS.values()]),
            l2=l2,
        )


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """The answers for labelled products by voices and weights that have not seen them."""

    rows: Indices
    """(n,) their rows in the shard set."""
    truth: npt.NDArray[np.int64]
    """(n,) the nodes they are labelled with."""
    prediction: NodePrediction


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """What the out-of-fold answers teach."""

    model: ConditionalLogit
    least_known: float
    answers: OutOfFold

    def predictor(self, voices: Voices) -> CategoryPredictor:
        """Weigh these voices by it."""
        return CategoryPredictor(voices=voices, model=self.model, least_known=self.least_known)


def cross_fit(data: Labelled[CategoryLabels], *, recipe: Recipe, progress: Progress) -> CrossFit:
    """Learn the weights of the voices from products outside the test part.

    The products of each fold are judged by voices that learned from the other folds, so the weights are those of
    voices that meet new products. The answers are by weights from the other folds too.

    Raises:
        FewLabelsError: the products outside a fold are of fewer than two categories.
    """
    as_supplied: list[_Judged] = []
    in_conditions: list[_Judged] = []
    rows: list[Indices] = []
    known: list[npt.NDArray[np.bool_]] = []
    total = len(data.outside_test)
    for fold in range(data.num_folds):
        title = f"Training the category head, fold {fold + 1} of {data.num_folds}"
        voices = recipe.fit_voices(data, data.outside(fold), title=title, progress=progress)
        inside = data.inside(fold)
        at_most = max(1, recipe.voices.max_answers * len(inside) // max(1, total))
        judged = inside[sample_rows(len(inside), at_most=at_most, seed=recipe.voices.seed)]
        if not len(judged):
            continue
        rows.append(data.rows[judged])
        supplied, others = _judge(data, judged, voices=voices, config=recipe.voices)
        as_supplied.append(supplied)
        in_conditions.append(others)
        truth = nodes_of_labels(data.labels, recipe.nodes)[data.index_of(judged)]
        known.append(voices.counts[truth] > 0)
    l2 = recipe.voices.l2
    model = _Judged.concat([*as_supplied, *in_conditions]).fit(l2=l2)
    predictions, likely = [], []
    for fold in range(len(rows)):
        others = [judged for part in (as_supplied, in_conditions) for judged in (*part[:fold], *part[fold + 1 :])]
        own = _Judged.concat(others).fit(l2=l2) if others else model
        predictor = CategoryPredictor(voices=voices, model=own, least_known=0.0)
        predictions.append(predictor.weigh(as_supplied[fold].candidates, k=5))
        proba = as_supplied[fold].candidates.predict_proba(own)
        likely.append(known_proba(as_supplied[fold].candidates, proba=proba)[known[fold]])
    all_rows = np.concatenate(rows)
    labels = nodes_of_labels(data.labels, recipe.nodes)[data.labels.index[all_rows]]
    prediction = NodePrediction.concat(predictions)
    seen = np.concatenate(likely)
    least_known = float(np.quantile(seen, _UNKNOWN_SHARE)) if len(seen) else 0.0
    return CrossFit(
        model=model,
        least_known=least_known,
        answers=OutOfFold(rows=all_rows, truth=labels, prediction=replace(prediction, known=None)),
    )


def _judge(
    data: Labelled[CategoryLabels], judged: Indices, *, voices: Voices, config: VoicesConfig
) -> tuple[_Judged, _Judged]:
    """A fold's products as supplied, and some of them in the other conditions.

    Args:
        judged: (j,) indices of labelled products, ascending, at least one.
    """
    products = read_products(data.shard_set, features=data.features, rows=data.rows[judged])
    truth = nodes_of_labels(data.labels, voices.nodes)[data.index_of(judged)]
    at_most = max(_FEWEST_IN_CONDITIONS // data.num_folds, int(_IN_CONDITIONS * len(judged)))
    some = sample_rows(len(judged), at_most=at_most, seed=config.seed)
    few, few_truth = products.take(some), truth[some]
    weights = _weights(config)
    parts = []
    for name, changed in category_conditions(few, truth=few_truth, seed=config.seed):
        if name != ALL and weights[name] > 0:
            scale = weights[name] * len(judged) / len(some)
            parts += list(_chunks(voices.candidates(changed), truth=few_truth, weight=scale))
    if config.foreign > 0:
        scale = config.foreign * len(judged) / len(some)
        parts += list(_chunks(voices.candidates(few, foreign_to=few_truth), truth=few_truth, weight=scale))
    supplied = _Judged.concat([*_chunks(voices.candidates(products), truth=truth, weight=1.0)])
    return supplied, _Judged.concat(parts) if parts else supplied


def _weights(config: VoicesConfig) -> Mapping[CategoryCondition, float]:
    return {
        "no cat1-3": config.no_categories,
        WRONG: config.wrong_categories,
        "no picture": config.no_picture,
        "title + description": config.alone,
        "title only": config.alone,
        "picture only": config.alone,
    }


def _chunks(candidates: Iterator[Candidates], *, truth: Indices, weight: float) -> Iterator[_Judged]:
    start = 0
    for some in candidates:
        own = truth[start : start + len(some)]
        start += len(some)
        yield _Judged(candidates=some, chosen=some.index_of(own), weights=np.full(len(some), weight, np.float32))
