"""Judging: the fused brand beside the head alone and the baselines, by condition and by kind of product."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz.fuzz import partial_ratio

from prodemb.aliases.normalise import normalise_brand
from prodemb.brand.conditions import AS_SUPPLIED, conditions, true_names, without_strings_of
from prodemb.brand.fit import FuseConfig
from prodemb.brand.model import Floats
from prodemb.brand.names import NO_NAME, Ids
from prodemb.brand.predict import FusedAnswers, Fuser
from prodemb.core.arrays import Indices
from prodemb.core.features import raw_column
from prodemb.heads.baselines import brand_lookups
from prodemb.heads.compare import fit_rivals, judged_products, known_only
from prodemb.heads.head import TrainedHead
from prodemb.heads.metrics import Condition, by_examples, calibration_error, evaluate
from prodemb.heads.split import TEST
from prodemb.heads.train import Labelled, TrainConfig
from prodemb.shards.product_set import ProductSet

_NOISY = 75.0
"""The least likeness, of 100, at which a supplied brand is called the true one in another spelling."""


def compare_brands(
    data: Labelled, *, head: TrainedHead, fuser: Fuser, train: TrainConfig, config: FuseConfig, min_confidence: float
) -> dict[str, Any]:
    """The fused answer beside the head alone and the baselines, as entries of the head's card.

    On test products whose true brand is known, whether the head has it or not, in each of `prodemb.brand.conditions`;
    as supplied also by what is supplied and by how many examples a brand has.

    Args:
        min_confidence: from which on a brand is answered.
    """
    if not len(data.judged):
        return {}
    products, rows = judged_products(data, config=train)
    names = true_names(data, rows=rows)
    rivals = fit_rivals(data, config=train) if train.baselines.run else None
    known = without_strings_of(data, aliases=fuser.names.aliases, parts=[TEST])
    blind = fuser.knowing(known, rare=fuser.names.rare)
    found: list[Condition] = []
    entries: dict[str, Any] = {}
    chosen = fuser.names.own_ids(names)
    for name, some in conditions(products, chosen=chosen, fuser=fuser, seed=config.seed):
        judge = fuser if name == AS_SUPPLIED else blind
        fused = judge.answer(some, head=head, k=5)
        truth = _truth(names, fuser=judge, fused=fused)
        answers: dict[str, Indices] = {}
        if rivals is not None:
            rivals = rivals.with_lookups(brand_lookups(judge.names.names, canonical=judge.canonical_of))
            answers = rivals.answers(some)
        answers |= {"head alone": head.answer(some.vectors, present=some.present), "prodemb": fused.top[:, 0]}
        told = _Told(truth=truth, answers=answers, confidences=fused.probabilities[:, 0], least=min_confidence)
        found.append(told.condition(name))
        if name == AS_SUPPLIED:
            kinds = _kinds(data, some, names=names, truth=truth, num_classes=len(head.card.labels))
            found += [
                told.condition(kind, group=group, where=where)
                for group, parts in kinds.items()
                for kind, where in parts.items()
                if where.any()
            ]
            entries = _metrics(fused, truth=truth, num_classes=len(head.card.labels))
            if rivals is not None and len(data.test):
                entries["baselines"] = known_only(rivals, data=data, products=products, rows=rows)
    return entries | {"conditions": tuple(found)}


def _metrics(fused: FusedAnswers, *, truth: Ids, num_classes: int) -> dict[str, Any]:
    """The figures of the fused answer on all products, and on those of a class that the head has."""
    confidences, known = fused.probabilities[:, 0].astype(np.float64), truth < num_classes
    entries = {"fused": evaluate(truth, top=fused.top, confidences=confidences)}
    if known.any():
        entries["fused_known"] = evaluate(truth[known], top=fused.top[known], confidences=confidences[known])
    return entries


def _truth(names: pl.Series, *, fuser: Fuser, fused: FusedAnswers) -> Ids:
    """The numbers of the true brands, (n,); one that no answer equals where nothing names the brand."""
    num_names = len(fuser.names.names)
    ids = fuser.names.ids_with(names, new_names=fused.names[num_names:])
    return np.where(ids == NO_NAME, len(fused.names), ids)


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What all methods said of n products in one condition."""

    truth: Ids
    answers: Mapping[str, Indices]
    confidences: Floats
    """(n,) of the fused answer."""
    least: float

    def condition(
        self, name: str, *, group: str | None = None, where: npt.NDArray[np.bool_] | None = None
    ) -> Condition:
        """The figures, of some of the products where `where` (n,) says so."""
        some = np.ones(len(self.truth), dtype=np.bool_) if where is None else where
        truth, confidences = self.truth[some], self.confidences[some].astype(np.float64)
        right = {method: answer[some] == truth for method, answer in self.answers.items()}
        sure = (confidences >= self.least) & (self.answers["prodemb"][some] != NO_NAME)
        return Condition(
            group=group,
            name=name,
            num_products=len(truth),
            top1={method: float(is_right.mean()) for method, is_right in right.items()},
            answered=float(sure.mean()),
            precision=float(right["prodemb"][sure].mean()) if sure.any() else None,
            ece=calibration_error(confidences, correct=right["prodemb"]),
        )


def _kinds(
    data: Labelled, products: ProductSet, *, names: pl.Series, truth: Ids, num_classes: int
) -> Mapping[str, Mapping[str, npt.NDArray[np.bool_]]]:
    """Products by what is supplied, and by how many training products carry their brand."""
    brands = products.supplied[raw_column("brand")]
    alike = np.array([_likeness(text or "", name=name) for text, name in zip(brands, names, strict=True)])
    labels = data.labels.index[data.rows[data.train]]
    examples = np.append(np.bincount(labels, minlength=num_classes), 0)
    absent = (brands.is_null() | (brands.str.strip_chars() == "")).to_numpy()
    return {
        "supplied": {
            "letter by letter": ~absent & (alike == 100),
            "spelled otherwise": ~absent & (alike < 100) & (alike >= _NOISY),
            "another name": ~absent & (alike < _NOISY),
            "nothing": absent,
        },
        "examples": by_examples(np.minimum(truth, num_classes), examples=examples),
    }


def _likeness(supplied: str, *, name: str) -> float:
    """How like its true brand a supplied one is written: 100 for the same but for case, 99 at most for the rest."""
    if supplied.strip().lower() == name.lower():
        return 100.0
    return min(99.0, partial_ratio(normalise_brand(supplied), normalise_brand(name)))
