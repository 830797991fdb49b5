"""Fitting what predicts brands: a head, counts of names, and weights of the evidence from out-of-fold candidates."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import Field

from prodemb.aliases.table import AliasTable
from prodemb.brand.candidates import PRIOR_WEIGHTS
from prodemb.brand.conditions import (
    AS_SUPPLIED,
    UNSEEN,
    WITHHELD,
    WRONG,
    brand_conditions,
    rare_brands,
    true_names,
    without_strings_of,
)
from prodemb.brand.labels import BrandLabels
from prodemb.brand.predict import BrandPredictor, Fuser
from prodemb.confidence.answers import Answers
from prodemb.confidence.choices import Choices, leave_one_out
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.arrays import Floats, Indices, sample_rows
from prodemb.core.config import Config
from prodemb.core.errors import FewLabelsError
from prodemb.core.features import raw_column
from prodemb.core.progress import Progress
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.labels import BrandLabel
from prodemb.heads.neighbours import Neighbours
from prodemb.heads.network import HeadConfig
from prodemb.heads.train import Labelled, TrainConfig, train_head
from prodemb.shards.product_set import read_products, supplied_values

logger = logging.getLogger(__name__)

_BRAND, _TITLE = raw_column("brand"), raw_column("title")

_MIN_GOLD = 50
"""Gold labels outside the test part from which on only gold labels are used."""


class FuseConfig(Config):
    """`[fuse]`: how supplied brand, title, head and neighbours are weighed against each other.

    The weights are learned from out-of-fold products in several conditions. `unseen` to `unknown` are the weights of
    the other conditions relative to the products as supplied: what the next partner is expected to send.
    """

    unseen: float = Field(default=0.25, ge=0)
    """Weight of the products with spellings that nobody has seen before."""
    withheld: float = Field(default=0.5, ge=0)
    """Weight of the products without their supplied brand."""
    wrong: float = Field(default=0.05, ge=0)
    """Weight of the products with the supplied brand of another product."""
    unknown: float = Field(default=0.25, ge=0)
    """Weight of the products judged as if nobody knew their brand: without a brand, or of one that no label, alias or
    title names. There the right answer is none."""
    l2: float = Field(default=1.0, gt=0)
    """How strongly the weights are drawn to the built-in ones; more for few products."""
    max_products: int = Field(default=20_000, ge=1)
    """Labelled products that names are counted on, and out-of-fold products that weights and thresholds are learned
    from, at most; a random sample each."""
    new_partners: int = Field(default=3, ge=0)
    """Partners that are left out of training, one at a time, to measure how well those of the next one are judged: the
    largest ones; each takes one training."""
    max_neighbours: int = Field(default=50_000, ge=1)
    """Labelled products to compare with at most, a random sample."""
    seed: int = 0
    """Seed of all random choices."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that training a brand predictor depends on but the products."""

    train: TrainConfig
    aggregate: AggregateConfig
    head: HeadConfig
    fuse: FuseConfig
    aliases: AliasTable

    def fit(
        self, data: Labelled[BrandLabels], learned: Indices, *, gold: bool, title: str, progress: Progress
    ) -> BrandPredictor:
        """Train a head, and count on the same products how often names are correct; the weights are the built-in ones.

        Args:
            learned: (l,) indices of labelled products.
            gold: whether to count on gold labels alone.
            title: what is shown while it runs.
        """
        with progress(title) as on_progress:
            head = train_head(
                data, learned, config=self.train, aggregate=self.aggregate, head=self.head, on_progress=on_progress
            )
        rare = rare_brands(data, learned, head=head)
        classes = [label.name for label in head.card.classes if isinstance(label, BrandLabel)]
        rows = data.rows[_sample(data, learned, gold=gold, at_most=self.fuse.max_products, seed=self.fuse.seed)]
        texts = supplied_values(data.shard_set, [_BRAND, _TITLE], rows=rows)
        fuser = Fuser.untrained(classes, aliases=self.aliases, rare=rare).fit_names(
            texts[_BRAND], titles=texts[_TITLE], labels=true_names(data, rows=rows), gold=gold
        )
        neighbours = self._neighbours(data, learned, gold=gold)
        fuser = replace(fuser, neighbours=neighbours, label_names=tuple(data.labels.names))
        return BrandPredictor(head=head, fuser=fuser)

    def _neighbours(self, data: Labelled[BrandLabels], learned: Indices, *, gold: bool) -> Neighbours | None:
        """Products to compare with by everything but the supplied brand; None where there is nothing to compare."""
        near = _sample(data, learned, gold=gold, at_most=self.fuse.max_neighbours, seed=self.fuse.seed)
        # A text vector that says the supplied brand is one with it.
        supplied = ("brand", "text") if "brand" in data.shard_set.schema.joined else ("brand",)
        features = tuple(feature for feature in data.features if feature not in supplied)
        if not len(near) or not features:
            return None
        products = read_products(data.shard_set, features=features, rows=data.rows[near])
        return Neighbours.fit(products, labels=data.index_of(near), rows=data.rows[near], seed=self.fuse.seed)


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """What out-of-fold products teach."""

    model: ConditionalLogit
    by_fold: tuple[ConditionalLogit, ...]
    """For each fold the weights that the others teach."""
    rows: Indices
    """(n,) the rows of these products in the shard set."""
    confidences: Floats
    """(n,) of their most probable brand, as supplied, by predictors that have not seen them."""
    correct: npt.NDArray[np.bool_]
    """(n,) whether it is the true one."""
    gold: bool
    """Whether all of this is from gold labels alone."""

    def weighing(self, predictor: BrandPredictor) -> BrandPredictor:
        """The same predictor with the learned weights."""
        return replace(predictor, fuser=replace(predictor.fuser, model=self.model))

    def answers(self, data: Labelled[BrandLabels]) -> Answers:
        """The out-of-fold answers, to promise a precision by."""
        return Answers(
            probabilities=self.confidences[:, None], correct=self.correct[:, None], groups=data.groups[self.rows]
        )


def cross_fit(data: Labelled[BrandLabels], *, recipe: Recipe, progress: Progress) -> CrossFit:
    """Learn the weights from products outside the test part, those of each fold judged by a head of the others.

    From gold labels alone where there are enough of them, otherwise also from labels that come from supplied brands.
    These cannot show how often a supplied brand is wrong, so products whose title names another brand are left out.

    Raises:
        FewLabelsError: the products outside a fold are of fewer than two brands.
    """
    return _weigh_evidence(data, _fold_predictors(data, recipe=recipe, progress=progress), recipe=recipe)


def out_of_fold(
    data: Labelled[BrandLabels], *, recipe: Recipe, progress: Progress
) -> Iterator[tuple[Indices, BrandPredictor]]:
    """All labelled products, fold by fold and the test part last, each with a predictor that has seen none of them.

    Neither its head nor its counts, neighbours and weights have, so the predictors of all folds are held until the
    last of them is there.

    Yields:
        (m,) indices of labelled products, at least one, and their predictor.

    Raises:
        FewLabelsError: as `cross_fit`.
    """
    folds = [*_fold_predictors(data, recipe=recipe, progress=progress)]
    fitted = _weigh_evidence(data, folds, recipe=recipe)
    for (inside, predictor), model in zip(folds, fitted.by_fold, strict=True):
        yield inside, replace(predictor, fuser=replace(predictor.fuser, model=model))
    test = np.setdiff1d(data.everything, data.outside_test)
    if len(test):
        title = "Training the brand head without the test part"
        own = recipe.fit(data, data.outside_test, gold=fitted.gold, title=title, progress=progress)
        yield test, fitted.weighing(own)


def _fold_predictors(
    data: Labelled[BrandLabels], *, recipe: Recipe, progress: Progress
) -> Iterator[tuple[Indices, BrandPredictor]]:
    """The products of each fold, (m,) indices, and a predictor that learned from the other folds."""
    gold = _has_gold(data)
    for fold in range(data.num_folds):
        inside = data.inside(fold)
        if len(inside):
            title = f"Training the brand head, fold {fold + 1} of {data.num_folds}"
            with suppress(FewLabelsError):  # the others can do without this fold
                yield inside, recipe.fit(data, data.outside(fold), gold=gold, title=title, progress=progress)


def _weigh_evidence(
    data: Labelled[BrandLabels], fold_predictors: Iterable[tuple[Indices, BrandPredictor]], *, recipe: Recipe
) -> CrossFit:
    """What a sample of the products of each fold teaches; see `_fold_predictors`."""
    gold = _has_gold(data)
    seen = _sample(data, data.in_folds, gold=gold, at_most=recipe.fuse.max_products, seed=recipe.fuse.seed)
    logger.info("weighing evidence on %d products, %s", len(seen), "gold labels" if gold else "supplied brands")
    folds: list[list[Choices]] = []
    rows: list[Indices] = []
    for inside, predictor in fold_predictors:
        judged = np.intersect1d(inside, seen)
        folds.append([*_judge(data, judged, predictor=predictor, recipe=recipe, gold=gold)] if len(judged) else [])
        rows.append(data.rows[judged])
    prior, l2 = np.array([*PRIOR_WEIGHTS.values()]), recipe.fuse.l2
    if not any(folds):
        none = np.zeros(0, dtype=np.int64)
        prior_model = ConditionalLogit(weights=prior[None])
        return CrossFit(
            model=prior_model,
            by_fold=(prior_model,) * len(folds),
            rows=none,
            confidences=none.astype(np.float32),
            correct=none.astype(np.bool_),
            gold=gold,
        )
    models = leave_one_out(folds, prior=prior, l2=l2)
    answered = [_answers(own[0], model=model) for own, model in zip(folds, models, strict=True) if own]
    return CrossFit(
        model=Choices.concat(choices for own in folds for choices in own).fit(prior=prior, l2=l2),
        by_fold=tuple(models),
        rows=np.concatenate(rows),
        confidences=np.concatenate([confidences for confidences, _ in answered]),
        correct=np.concatenate([correct for _, correct in answered]),
        gold=gold,
    )


def _answers(choices: Choices, *, model: ConditionalLogit) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The probability of the most probable brand of each product, and whether it is the true one."""
    proba = choices.candidates.predict_proba(model)[:, :-1]
    return proba.max(axis=1).astype(np.float32), proba.argmax(axis=1) == choices.chosen


def _judge(
    data: Labelled[BrandLabels], judged: Indices, *, predictor: BrandPredictor, recipe: Recipe, gold: bool
) -> Iterator[Choices]:
    """A fold's products in each condition, as supplied first, and which candidate is true.

    Args:
        judged: (j,) indices of labelled products, ascending, at least one.
    """
    fuser, head, config, rows = predictor.fuser, predictor.head, recipe.fuse, data.rows[judged]
    # A brand whose spelling is unknown here must be learned as "none of the candidates".
    test = np.setdiff1d(data.everything, data.outside_test)
    strings = without_strings_of(data, np.union1d(judged, test), aliases=recipe.aliases)
    blind = fuser.with_aliases(strings, rare=fuser.names.rare)
    products, names = read_products(data.shard_set, features=data.features, rows=rows), true_names(data, rows=rows)
    weights = {AS_SUPPLIED: 1.0, UNSEEN: config.unseen, WITHHELD: config.withheld, WRONG: config.wrong}
    for name, some in brand_conditions(products, truth=fuser.names.ids_of(names), fuser=fuser, seed=config.seed):
        if weights[name] > 0:
            seeing = fuser if name == AS_SUPPLIED else blind
            candidates, mentions = seeing.candidates(some, head=head)
            chosen = candidates.index_of(seeing.names.ids_with_new(names, new_names=mentions.new_names))
            doubtful = mentions.is_contradicted() if not gold and name in (AS_SUPPLIED, UNSEEN) else np.zeros(len(rows))
            counts = np.where(doubtful, 0.0, weights[name]).astype(np.float32)
            yield Choices(candidates=candidates, chosen=chosen, weights=counts)
    if config.unknown > 0:
        candidates, _ = blind.candidates(products.without("brand"), head=head, hidden=blind.names.ids_of(names))
        none = np.full(len(rows), candidates.ids.shape[1] - 1)
        yield Choices(candidates=candidates, chosen=none, weights=np.full(len(rows), config.unknown, np.float32))


def _has_gold(data: Labelled[BrandLabels]) -> bool:
    """Whether there are enough gold labels outside the test part, or hardly any others."""
    gold = data.labels.gold[data.rows[data.outside_test]]
    return int(gold.sum()) >= _MIN_GOLD or 2 * int(gold.sum()) > len(gold)


def _sample(data: Labelled[BrandLabels], indices: Indices, *, gold: bool, at_most: int, seed: int) -> Indices:
    """Some of these labelled products, ascending; with `gold` of those with a gold label."""
    own = indices[data.labels.gold[data.rows[indices]]] if gold else indices
    return own[sample_rows(len(own), at_most=at_most, seed=seed)]
