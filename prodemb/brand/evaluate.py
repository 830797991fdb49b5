"""Evaluation of the fused brand: beside the head alone and the baselines, by condition and by group of products."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz.fuzz import partial_ratio

from prodemb.aliases.normalise import normalise_brand
from prodemb.brand.conditions import AS_SUPPLIED, brand_conditions, true_names, without_strings_of
from prodemb.brand.fit import FuseConfig
from prodemb.brand.labels import BrandLabels
from prodemb.brand.lookups import brand_lookups
from prodemb.brand.names import NO_NAME, NameIds
from prodemb.brand.predict import BrandPrediction, Fuser
from prodemb.core.arrays import Floats, Indices
from prodemb.core.features import raw_column
from prodemb.heads.compare import evaluate_known, fit_baselines, read_test_products
from prodemb.heads.evaluation import BrandEvaluation, Condition
from prodemb.heads.head import TrainedHead
from prodemb.heads.metrics import Metrics, by_class_count, calibration_error, evaluate
from prodemb.heads.split import TEST
from prodemb.heads.train import Labelled, TrainConfig
from prodemb.shards.product_set import ProductSet

FUSED, HEAD = "prodemb", "head alone"

_MIN_SIMILARITY = 75.0
"""The least similarity, of 100, at which a supplied brand counts as another spelling of the true one."""


def evaluate_brands(
    data: Labelled[BrandLabels],
    *,
    head: TrainedHead,
    fuser: Fuser,
    train: TrainConfig,
    config: FuseConfig,
    min_confidence: float,
) -> BrandEvaluation:
    """Evaluate the fused prediction beside the head alone and the baselines.

    On test products whose true brand is known, whether the head has it or not, in each of `brand_conditions`; as
    supplied also by what is supplied and by how many training products a brand has.

    Args:
        min_confidence: the least confidence at which scoring answers a brand.
    """
    if not len(data.test_rows):
        return BrandEvaluation()
    products, rows = read_test_products(data, config=train)
    names = true_names(data, rows=rows)
    baselines = fit_baselines(data, config=train) if train.baselines.run else None
    known = without_strings_of(data, aliases=fuser.names.aliases, parts=[TEST])
    blind = fuser.with_aliases(known, rare=fuser.names.rare)
    conditions: list[Condition] = []
    evaluation = BrandEvaluation()
    for name, some in brand_conditions(products, truth=fuser.names.ids_of(names), fuser=fuser, seed=config.seed):
        seeing = fuser if name == AS_SUPPLIED else blind
        fused = seeing.predict(some, head=head, k=5)
        truth = _truth(names, fuser=seeing, fused=fused)
        predicted: dict[str, Indices] = {}
        if baselines is not None:
            lookups = brand_lookups(seeing.names.names, canonical_ids=seeing.canonical_ids)
            baselines = baselines.with_lookups(lookups)
            predicted = baselines.predict(some)
        predicted |= {HEAD: head.predict(some.vectors, present=some.present), FUSED: fused.brands[:, 0]}
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
            evaluation = BrandEvaluation(
                baselines=()
                if baselines is None
                else evaluate_known(baselines, data=data, products=products, rows=rows),
                fused=_metrics(fused, truth=truth, where=np.ones(len(truth), np.bool_)),
                fused_known=_metrics(fused, truth=truth, where=truth < len(data.labels.classes)),
            )
    return evaluation.model_copy(update={"conditions": tuple(conditions)})


def _metrics(fused: BrandPrediction, *, truth: NameIds, where: npt.NDArray[np.bool_]) -> Metrics | None:
    """The metrics of the fused prediction on some of the products, (n,) bool; None where there are none."""
    if not where.any():
        return None
    confidences = fused.probabilities[where, 0].astype(np.float64)
    return evaluate(truth[where], topk=fused.brands[where], confidences=confidences)


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
            ece=calibration_error(confidences, correct=correct[FUSED]),
        )


def _groups(
    data: Labelled[BrandLabels], products: ProductSet, *, names: pl.Series, truth: NameIds
) -> Mapping[str, Mapping[str, npt.NDArray[np.bool_]]]:
    """Products by what is supplied, and by how many training products have their brand."""
    brands = products.supplied[raw_column("brand")]
    similarity = np.array([_similarity(text or "", name=name) for text, name in zip(brands, names, strict=True)])
    class_counts = np.append(data.labels.class_counts(data.split), 0)
    absent = (brands.is_null() | (brands.str.strip_chars() == "")).to_numpy()
    return {
        "supplied": {
            "letter by letter": ~absent & (similarity == 100),
            "spelled otherwise": ~absent & (similarity < 100) & (similarity >= _MIN_SIMILARITY),
            "another name": ~absent & (similarity < _MIN_SIMILARITY),
            "nothing": absent,
        },
        "examples": by_class_count(np.minimum(truth, len(class_counts) - 1), class_counts=class_counts),
    }


def _similarity(supplied: str, *, name: str) -> float:
    """The similarity of a supplied brand to the true one: 100 if they differ in case at most, otherwise up to 99."""
    if supplied.strip().lower() == name.lower():
        return 100.0
    return min(99.0, partial_ratio(normalise_brand(supplied), normalise_brand(name)))
