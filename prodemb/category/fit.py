"""Fitting what predicts categories: all voices, and from their out-of-fold answers the weights of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from prodemb.category.candidates import CONTEXTS, NUM_CONTEXTS, PRIOR_WEIGHTS, is_labelled
from prodemb.category.conditions import ALL, WRONG, CategoryCondition, category_conditions
from prodemb.category.config import VoicesConfig
from prodemb.category.labels import CategoryLabels
from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.category.voices.every import Voices
from prodemb.category.voices.names import Names
from prodemb.category.voices.tower import TowerVoice
from prodemb.category.weigh import context_numbers, known_proba, weigh
from prodemb.confidence.answers import Answers
from prodemb.confidence.candidates import Candidates
from prodemb.confidence.choices import Answered, Choices, answered_in, leave_one_out
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.arrays import Indices, sample_rows
from prodemb.core.errors import FewLabelsError
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
    tower: TowerVoice | None

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
class CrossFit:
    """What out-of-fold products teach."""

    model: ConditionalLogit
    by_fold: tuple[ConditionalLogit, ...]
    """For each fold the weights that the others teach."""
    least_known: tuple[float, ...]
    """The least probability of being in a labelled category, of a product that counts as known, by
    `context_numbers`."""
    rows: Indices
    """(n,) the rows of these products in the shard set."""
    truth: npt.NDArray[np.int64]
    """(n,) the nodes they are labelled with."""
    prediction: NodePrediction
    """For them, as supplied, by voices and weights that have not seen them."""
    by_condition: Mapping[str, Answered]
    """Their most probable nodes by condition, in the same order with all features, of a sample of them in the others;
    none where no product can be judged."""

    @classmethod
    def untaught(cls, *, nodes: Nodes) -> "CrossFit":
        """The built-in weights, where no product can be judged."""
        prior, depth = np.array([*PRIOR_WEIGHTS.values()]), nodes.tree.lineage.shape[1]
        none = np.zeros((0, depth), dtype=np.int64)
        return cls(
            model=ConditionalLogit(weights=np.stack([prior, *(np.zeros_like(prior) for _ in CONTEXTS)])),
            by_fold=(),
            least_known=(0.0,) * NUM_CONTEXTS,
            rows=none[:, 0],
            truth=none[:, 0],
            prediction=NodePrediction(
                nodes=none[:, :1],
                probabilities=none[:, :1].astype(np.float32),
                lineage=none,
                lineage_probabilities=none.astype(np.float32),
            ),
            by_condition={},
        )

    def predictor(self, voices: Voices) -> CategoryPredictor:
        """Weigh these voices by it."""
        return CategoryPredictor(voices=voices, model=self.model, least_known=self.least_known)

    def answers(self, data: Labelled[CategoryLabels], *, nodes: Nodes) -> Answers:
        """The out-of-fold answers, to promise a precision by."""
        lineage = self.prediction.lineage
        correct = nodes.tree.is_above(lineage.ravel(), np.repeat(self.truth, lineage.shape[1])).reshape(lineage.shape)
        return Answers(
            probabilities=self.prediction.lineage_probabilities, correct=correct, groups=data.groups[self.rows]
        )


def cross_fit(data: Labelled[CategoryLabels], *, recipe: Recipe, progress: Progress) -> CrossFit:
    """Learn the weights of the voices from products outside the test part.

    The products of each fold are judged by voices that learned from the other folds, so the weights are those of
    voices that meet new products. The answers are by weights from the other folds too.

    Raises:
        FewLabelsError: the products outside a fold are of fewer than two categories.
    """
    return _weigh_voices(data, _fold_voices(data, recipe=recipe, progress=progress), recipe=recipe)


def out_of_fold(
    data: Labelled[CategoryLabels], *, recipe: Recipe, progress: Progress
) -> Iterator[tuple[Indices, CategoryPredictor]]:
    """All labelled products in folds, then the test part, each with a predictor that has seen none of them.

    Neither its voices nor their weights have, so the voices of all folds are held until the last of them is there.

    Yields:
        (m,) indices of labelled products, at least one, and their predictor.

    Raises:
        FewLabelsError: as `cross_fit`.
    """
    folds = [*_fold_voices(data, recipe=recipe, progress=progress)]
    fitted = _weigh_voices(data, folds, recipe=recipe)
    for (inside, voices), model in zip(folds, fitted.by_fold, strict=True):
        yield inside, replace(fitted.predictor(voices), model=model)
    test = np.setdiff1d(data.everything, data.outside_test)
    if len(test):
        title = "Training the category head without the test part"
        yield test, fitted.predictor(recipe.fit_voices(data, data.outside_test, title=title, progress=progress))


def _fold_voices(
    data: Labelled[CategoryLabels], *, recipe: Recipe, progress: Progress
) -> Iterator[tuple[Indices, Voices]]:
    """The products of each fold, (m,) indices, and voices that learned from the other folds."""
    for fold in range(data.num_folds):
        inside = data.inside(fold)
        if len(inside):
            title = f"Training the category head, fold {fold + 1} of {data.num_folds}"
            with suppress(FewLabelsError):  # the others can do without this fold
                yield inside, recipe.fit_voices(data, data.outside(fold), title=title, progress=progress)


def _weigh_voices(
    data: Labelled[CategoryLabels], fold_voices: Iterable[tuple[Indices, Voices]], *, recipe: Recipe
) -> CrossFit:
    """What a sample of the products of each fold teaches; see `_fold_voices`."""
    folds: list[_Fold] = []
    total = len(data.in_folds)
    for inside, voices in fold_voices:
        at_most = max(1, recipe.voices.max_answers * len(inside) // total)
        judged = inside[sample_rows(len(inside), at_most=at_most, seed=recipe.voices.seed)]
        folds.append(_judge(data, judged, voices=voices, config=recipe.voices))
    prior, l2 = np.array([*PRIOR_WEIGHTS.values()]), recipe.voices.l2
    if not folds:
        return CrossFit.untaught(nodes=recipe.nodes)
    choices = [fold.choices for fold in folds]
    models = leave_one_out(choices, prior=prior, l2=l2)
    predictions = [
        weigh(fold.as_supplied.candidates, model=model, nodes=recipe.nodes, k=5)
        for fold, model in zip(folds, models, strict=True)
    ]
    return CrossFit(
        model=Choices.concat(each for own in choices for each in own).fit(prior=prior, l2=l2),
        by_fold=tuple(models),
        least_known=_least_known(folds, models=models),
        rows=np.concatenate([fold.rows for fold in folds]),
        truth=np.concatenate([fold.truth for fold in folds]),
        prediction=NodePrediction.concat(predictions),
        by_condition=answered_in([{ALL: fold.as_supplied, **fold.in_conditions} for fold in folds], models=models),
    )


@dataclass(frozen=True, kw_only=True)
class _Fold:
    """The products of a fold, judged by voices of the others."""

    rows: Indices
    """(n,) their rows in the shard set."""
    truth: npt.NDArray[np.int64]
    """(n,) the nodes they are labelled with."""
    as_supplied: Choices
    """(n,)."""
    in_conditions: Mapping[str, Choices]
    """Some of them in the other conditions."""
    foreign: Choices
    """Some of them as if nothing of their top-level branch were labelled."""

    @property
    def choices(self) -> list[Choices]:
        return [self.as_supplied, *self.in_conditions.values(), self.foreign]


def _least_known(folds: Sequence[_Fold], *, models: Sequence[ConditionalLogit]) -> tuple[float, ...]:
    """The probability of a labelled category that all but some products of such a category reach, by context."""
    likely, numbers = [np.zeros(0)], [np.zeros(0, np.int64)]
    for fold, model in zip(folds, models, strict=True):
        for choices in (fold.as_supplied, *fold.in_conditions.values()):
            candidates, rows = choices.candidates, np.arange(len(choices.chosen))
            is_known = is_labelled(candidates)[rows, choices.chosen]
            likely.append(known_proba(candidates, proba=candidates.predict_proba(model))[is_known])
            numbers.append(context_numbers(candidates.contexts)[is_known])
    some, number_of = np.concatenate(likely), np.concatenate(numbers)
    seen = {
        int(number): float(np.quantile(some[number_of == number], _UNKNOWN_SHARE)) for number in np.unique(number_of)
    }
    return tuple(_most_similar(seen, number=number) for number in range(NUM_CONTEXTS))


def _most_similar(seen: Mapping[int, float], *, number: int) -> float:
    """The least value of the contexts that share most with these; 0 where none was seen."""
    distances = {other: (other ^ number).bit_count() for other in seen}
    return min((seen[other] for other in seen if distances[other] == min(distances.values())), default=0.0)


def _judge(data: Labelled[CategoryLabels], judged: Indices, *, voices: Voices, config: VoicesConfig) -> _Fold:
    """Judge the products of a fold in all conditions.

    Args:
        judged: (j,) indices of labelled products, ascending, at least one.
    """
    truth = voices.nodes.of(data.labels.classes)[data.index_of(judged)]
    products = read_products(data.shard_set, features=data.features, rows=data.rows[judged])
    at_most = max(_FEWEST_IN_CONDITIONS // data.num_folds, int(_IN_CONDITIONS * len(judged)))
    some = sample_rows(len(judged), at_most=at_most, seed=config.seed)
    few, few_truth = products.take(some), truth[some]
    weights, scale = _weights(config), len(judged) / len(some)
    return _Fold(
        rows=data.rows[judged],
        truth=truth,
        as_supplied=_choices(voices.candidates(products), truth=truth, weight=1.0),
        in_conditions={
            name: _choices(voices.candidates(changed), truth=few_truth, weight=scale * weights[name])
            for name, changed in category_conditions(few, truth=few_truth, seed=config.seed)
            if name != ALL
        },
        foreign=_choices(voices.candidates(few, foreign_to=few_truth), truth=few_truth, weight=scale * config.foreign),
    )


def _weights(config: VoicesConfig) -> Mapping[CategoryCondition, float]:
    return {
        "no cat1-3": config.no_categories,
        WRONG: config.wrong_categories,
        "no picture": config.no_picture,
        "title + description": config.alone,
        "title only": config.alone,
        "picture only": config.alone,
    }


def _choices(parts: Iterator[Candidates], *, truth: Indices, weight: float) -> Choices:
    candidates = Candidates.concat([*parts])
    weights = np.full(len(candidates), weight, dtype=np.float32)
    return Choices(candidates=candidates, chosen=candidates.index_of(truth), weights=weights)
