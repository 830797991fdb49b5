"""Judging: the fused brand beside the head alone and the baselines, by condition and by kind of product."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz.fuzz import partial_ratio

from prodemb.baselines import brand_lookups
from prodemb.brands.aliases import AliasTable
from prodemb.brands.normalise import normalise_brand
from prodemb.compare import fit_rivals, judged_products, known_only
from prodemb.features import supplied_column
from prodemb.fuse.conditions import AS_SUPPLIED, conditions, true_names
from prodemb.fuse.fit import FuseConfig
from prodemb.fuse.fuse import Fuser
from prodemb.fuse.names import NO_NAME, Ids
from prodemb.heads import TrainedHead
from prodemb.metrics import Condition, Indices, evaluate
from prodemb.product_set import ProductSet
from prodemb.split import TEST
from prodemb.train import Labelled, TrainConfig

_NOISY = 75.0
"""The least likeness, of 100, at which a supplied brand is called the true one in another spelling."""


def compare_brands(
    data: Labelled, *, head: TrainedHead, fuser: Fuser, train: TrainConfig, config: FuseConfig
) -> dict[str, Any]:
    """The fused answer beside the head alone and the baselines, as entries of the head's card.

    On test products whose true brand is known, whether the head has it or not: as they were supplied, by what is
    supplied and by how many examples a brand has; then without their supplied brand, and with a wrong one. In the last
    two, spellings that only test products send are unknown, for a brand that is not sent cannot be learned from there.
    """
    if not len(data.judged):
        return {}
    products, rows = judged_products(data, config=train)
    names = true_names(data, rows=rows)
    rivals = fit_rivals(data, config=train) if train.baselines.run else None
    blind = fuser.knowing(without_test_strings(data, aliases=fuser.names.aliases))
    found: list[Condition] = []
    entries: dict[str, Any] = {}
    true_ids = fuser.names.ids_of(names)
    for name, some in conditions(products, chosen=true_ids, fuser=fuser, seed=config.seed):
        judge = fuser if name == AS_SUPPLIED else blind
        truth = _truth(names, fuser=judge)
        answers: dict[str, Indices] = {}
        if rivals is not None:
            rivals = rivals.with_lookups(brand_lookups(judge.names.names, canonical=judge.canonical_of))
            answers = rivals.answers(some)
        answered = judge.answer(some, head=head, k=5)
        answers |= {"head alone": head.answer(some.vectors, present=some.present), "prodemb": answered.top[:, 0]}
        found.append(_condition(name, truth=truth, answers=answers))
        if name == AS_SUPPLIED:
            confidences = answered.probabilities[:, 0].astype(np.float64)
            entries["fused"] = evaluate(truth, top=answered.top, confidences=confidences)
            kinds = _kinds(data, some, names=names, truth=truth, num_classes=len(head.card.labels))
            found += [
                _condition(kind, truth=truth[where], answers=_taken(answers, where), group=group)
                for group, parts in kinds.items()
                for kind, where in parts.items()
                if where.any()
            ]
            if rivals is not None and len(data.test):
                entries["baselines"] = known_only(rivals, data=data, products=products, rows=rows)
    return entries | {"conditions": tuple(found)}


def _truth(names: pl.Series, *, fuser: Fuser) -> Ids:
    """The numbers of the true brands, (n,); one that no answer equals where nothing knows of the brand."""
    named = fuser.names.ids_of(names)
    return np.where(named == NO_NAME, len(fuser.names.names) + len(names), named)


def without_test_strings(data: Labelled, *, aliases: AliasTable) -> AliasTable:
    """The alias table without the strings that only products of the test part send."""
    supplied = data.shard_set.frame([supplied_column("brand")]).to_series()
    tested = set(supplied.filter(pl.Series(data.parts == TEST)).drop_nulls().to_list())
    others = set(supplied.filter(pl.Series(data.parts != TEST)).drop_nulls().to_list())
    return AliasTable(row for row in aliases.rows if row.supplied not in tested or row.supplied in others)


def _kinds(
    data: Labelled, products: ProductSet, *, names: pl.Series, truth: Ids, num_classes: int
) -> Mapping[str, Mapping[str, npt.NDArray[np.bool_]]]:
    """Products by what is supplied, and by how many training products carry their brand (Liu et al., CVPR 2019)."""
    brands = products.supplied[supplied_column("brand")]
    alike = np.array([_likeness(text or "", name=name) for text, name in zip(brands, names, strict=True)])
    labels = data.labels.index[data.rows[data.train]]
    examples = np.append(np.bincount(labels, minlength=num_classes), 0)
    count = examples[np.minimum(truth, num_classes)]
    absent = (brands.is_null() | (brands.str.strip_chars() == "")).to_numpy()
    return {
        "supplied": {
            "letter by letter": ~absent & (alike == 100),
            "spelled otherwise": ~absent & (alike < 100) & (alike >= _NOISY),
            "another name": ~absent & (alike < _NOISY),
            "nothing": absent,
        },
        "examples": {
            "over 100": count > 100,
            "20 to 100": (count >= 20) & (count <= 100),
            "under 20": (count > 0) & (count < 20),
            "none": count == 0,
        },
    }


def _likeness(supplied: str, *, name: str) -> float:
    """How like its true brand a supplied one is written: 100 for the same but for case, 99 at most for the rest."""
    if supplied.strip().lower() == name.lower():
        return 100.0
    return min(99.0, partial_ratio(normalise_brand(supplied), normalise_brand(name)))


def _condition(name: str, *, truth: Ids, answers: Mapping[str, Indices], group: str | None = None) -> Condition:
    right = {method: float((answer == truth).mean()) for method, answer in answers.items()}
    return Condition(group=group, name=name, num_products=len(truth), top1=right)


def _taken(answers: Mapping[str, Indices], where: npt.NDArray[np.bool_]) -> dict[str, Indices]:
    return {method: answer[where] for method, answer in answers.items()}
