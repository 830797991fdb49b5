"""Evaluation of the fused brand: beside the head alone and the baselines, by condition and by group of products."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz.fuzz import partial_ratio

from prodemb.aliases.normalise import normalise_brand
from prodemb.brand.conditions import AS_SUPPLIED, UNKNOWN_BRAND, brand_conditions, true_names, without_strings_of
from prodemb.brand.fit import CrossFit, FuseConfig
from prodemb.brand.labels import BrandLabels
from prodemb.brand.lookups import brand_lookups
from prodemb.brand.names import NO_NAME, NameIds
from prodemb.brand.predict import BrandPrediction, BrandPredictor, Fuser
from prodemb.confidence.choices import Answered
from prodemb.confidence.promise import Promise, promise
from prodemb.confidence.reliability import Calibration, Reliability
from prodemb.core.arrays import Floats, Indices
from prodemb.core.features import raw_column
from prodemb.heads.compare import fit_baselines, out_of_fold_figures, read_test_products
from prodemb.heads.evaluation import (
    CERTAINTY,
    FUSED,
    HEAD,
    PROMISED,
    BaselineResult,
    BrandEvaluation,
    Condition,
    Promised,
)
from prodemb.heads.head import TrainedHead
from prodemb.heads.metrics import by_class_count, evaluate
from prodemb.heads.train import Labelled, TrainConfig
from prodemb.shards.product_set import ProductSet

_MIN_SIMILARITY = 75.0
"""The least similarity, of 100, at which a supplied brand counts as another spelling of the true one."""


def evaluate_brands(
    data: Labelled[BrandLabels],
    *,
    predictor: BrandPredictor,
    fitted: CrossFit,
    train: TrainConfig,
    config: FuseConfig,
    min_confidence: float,
) -> BrandEvaluation:
    """Evaluate a predictor that has not seen the test part beside the head alone and the baselines.

    On test products whose true brand is known, whether the head has it or not, in each of `brand_conditions`; as
    supplied also by what is supplied and by how many products of a brand were learned from; and as if nobody knew their
    brand, where the right answer is none.

    Args:
        fitted: the out-of-fold answers that precision is promised by.
        min_confidence: the least confidence at which scoring answers a brand.
    """
    answers = fitted.answers(data).above(min_confidence)
    promises = [promise(answers, precision=precision, certainty=CERTAINTY) for precision in PROMISED]
    own = out_of_fold_figures(data, rows=fitted.rows, by_condition=fitted.by_condition)
    if not len(data.test):
        return BrandEvaluation(**own, promised=tuple(Promised(promise=each) for each in promises))
    fuser, head = predictor.fuser, predictor.head
    products, rows = read_test_products(data, config=train)
    names = true_names(data, rows=rows)
    baselines = fit_baselines(data, config=train) if train.baselines.run else None
    known = without_strings_of(data, data.test, aliases=fuser.names.aliases)
    blind = fuser.with_aliases(known, rare=fuser.names.rare)
    evaluation = BrandEvaluation(**own)
    conditions: list[Condition] = []
    for name, some in brand_conditions(products, truth=fuser.names.ids_of(names), fuser=fuser, seed=config.seed):
        seeing = fuser if name == AS_SUPPLIED else blind
        started = time.perf_counter()
        fused = seeing.predict(some, head=head, k=5)
        between = time.perf_counter()
        alone = head.predict(some.vectors, present=some.present)
        seconds = (time.perf_counter() - between, between - started)
        truth = _truth(names, fuser=seeing, fused=fused)
        predicted: dict[str, Indices] = {}
        if baselines is not None:
            ids = np.append(seeing.names.ids_of(pl.Series(data.labels.names, dtype=pl.String)), NO_NAME)
            learned = {method: ids[classes] for method, classes in baselines.predict(some).items()}
            lookups = brand_lookups(seeing.names.names, canonical_ids=seeing.canonical_ids)
            looked_up = baselines.only(lookups)
            predicted = looked_up.predict(some) | learned
        predicted |= {HEAD: alone, FUSED: fused.brands[:, 0]}
        predictions = _Predictions(
            truth=truth,
            predicted=predicted,
            confidences=fused.probabilities[:, 0],
            min_confidence=min_confidence,
        )
        conditions.append(predictions.condition(name))
        if name == AS_SUPPLIED:
            groups = _groups(data, some, names=names, truth=truth)
            conditions += [
                predictions.condition(part, group=group, where=where)
                for group, parts in groups.items()
                for part, where in parts.items()
                if where.any()
            ]
            methods: tuple[BaselineResult, ...] = ()
            if baselines is not None:
                methods = (
                    *looked_up.evaluate(some, labels=truth),
                    *baselines.evaluate(some, labels=data.labels.index[rows]),
                )
            confidences, correct = fused.probabilities[:, 0], fused.brands[:, 0] == truth
            evaluation = BrandEvaluation(
                **own,
                methods=methods + _own_methods(fused, alone=alone, truth=truth, seconds=seconds),
                reliability=Reliability.of(confidences, correct=correct),
                promised=tuple(_kept(each, confidences=confidences, correct=correct) for each in promises),
            )
    conditions.append(_unknown(products, names=names, fuser=blind, head=head, min_confidence=min_confidence))
    return evaluation.model_copy(update={"conditions": tuple(conditions)})


def _own_methods(
    fused: BrandPrediction, *, alone: Indices, truth: NameIds, seconds: tuple[float, float]
) -> tuple[BaselineResult, ...]:
    """The head alone and everything together, as the baselines are reported."""
    confidences = fused.probabilities[:, 0].astype(np.float64)
    metrics = (evaluate(truth, topk=alone[:, None]), evaluate(truth, topk=fused.brands, confidences=confidences))
    return tuple(
        BaselineResult(name=name, metrics=each, seconds=round(took, 2))
        for name, each, took in zip((HEAD, FUSED), metrics, seconds, strict=True)
    )


def _kept(given: Promise, *, confidences: Floats, correct: npt.NDArray[np.bool_]) -> Promised:
    """What came of a promise on products whose truth is known."""
    if given.threshold is None:
        return Promised(promise=given)
    answered = confidences >= given.threshold
    kept = float(correct[answered].mean()) if answered.any() else None
    return Promised(promise=given, coverage=float(answered.mean()), kept=kept)


def condition_of(
    name: str, products: ProductSet, *, names: pl.Series, fuser: Fuser, head: TrainedHead, min_confidence: float
) -> Condition:
    """The figures of the head alone and of everything together on n products.

    Args:
        names: (n,) string, their true brands.
        min_confidence: the least confidence at which scoring answers a brand.
    """
    fused = fuser.predict(products, head=head, k=1)
    return _Predictions(
        truth=_truth(names, fuser=fuser, fused=fused),
        predicted={HEAD: head.predict(products.vectors, present=products.present), FUSED: fused.brands[:, 0]},
        confidences=fused.probabilities[:, 0],
        min_confidence=min_confidence,
    ).condition(name)


def _unknown(
    products: ProductSet, *, names: pl.Series, fuser: Fuser, head: TrainedHead, min_confidence: float
) -> Condition:
    """Products judged as if nobody knew their brand: right is none, or too little confidence for an answer."""
    candidates, mentions = fuser.candidates(products.without("brand"), head=head, hidden=fuser.names.ids_of(names))
    fused = fuser.weigh(candidates, mentions, k=1)
    silent = (fused.brands[:, 0] == NO_NAME) | (fused.probabilities[:, 0] < min_confidence)
    return Condition(
        name=UNKNOWN_BRAND,
        num_products=len(products),
        top1={FUSED: float(silent.mean())},
        coverage=float((~silent).mean()),
        precision=0.0 if not silent.all() else None,
    )


def _truth(names: pl.Series, *, fuser: Fuser, fused: BrandPrediction) -> NameIds:
    """The ids of the true brands, (n,); one that no prediction equals where nothing names the brand."""
    num_names = len(fuser.names.names)
    ids = fuser.names.ids_with_new(names, new_names=fused.names[num_names:])
    return np.where(ids == NO_NAME, len(fused.names), ids)


@dataclass(frozen=True, kw_only=True)
class _Predictions:
    """The predictions of all methods for n products in one condition."""

    truth: NameIds
    predicted: Mapping[str, Indices]
    """By method: (n,)."""
    confidences: Floats
    """(n,) of the fused prediction."""
    min_confidence: float

    def condition(
        self, name: str, *, group: str | None = None, where: npt.NDArray[np.bool_] | None = None
    ) -> Condition:
        """The figures, of some of the products where `where` (n,) is given."""
        some = np.ones(len(self.truth), dtype=np.bool_) if where is None else where
        truth, confidences = self.truth[some], self.confidences[some].astype(np.float64)
        correct = {method: brands[some] == truth for method, brands in self.predicted.items()}
        answered = (confidences >= self.min_confidence) & (self.predicted[FUSED][some] != NO_NAME)
        return Condition(
            group=group,
            name=name,
            num_products=len(truth),
            top1={method: float(is_correct.mean()) for method, is_correct in correct.items()},
            coverage=float(answered.mean()),
            precision=float(correct[FUSED][answered].mean()) if answered.any() else None,
            calibration=Calibration.of(
                Answered(confidences=self.confidences[some], correct=correct[FUSED]),
            ),
        )


def _groups(
    data: Labelled[BrandLabels], products: ProductSet, *, names: pl.Series, truth: NameIds
) -> Mapping[str, Mapping[str, npt.NDArray[np.bool_]]]:
    """Products by what is supplied, and by how many products of their brand were learned from."""
    brands = products.supplied[raw_column("brand")]
    similarity = np.array([_similarity(text or "", name=name) for text, name in zip(brands, names, strict=True)])
    counts = data.labels.class_counts(data.learned(data.outside_test))
    labels = {name: number for number, name in enumerate(data.labels.names)}
    own = np.array([labels[name] for name in names])
    absent = (brands.is_null() | (brands.str.strip_chars() == "")).to_numpy()
    return {
        "supplied": {
            "letter by letter": ~absent & (similarity == 100),
            "spelled otherwise": ~absent & (similarity < 100) & (similarity >= _MIN_SIMILARITY),
            "another name": ~absent & (similarity < _MIN_SIMILARITY),
            "nothing": absent,
        },
        "examples": by_class_count(counts[own]),
    }


def _similarity(supplied: str, *, name: str) -> float:
    """The similarity of a supplied brand to the true one: 100 if they differ in case at most, otherwise up to 99."""
    if supplied.strip().lower() == name.lower():
        return 100.0
    return min(99.0, partial_ratio(normalise_brand(supplied), normalise_brand(name)))
