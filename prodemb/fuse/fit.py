"""Fitting the fuser: which names can be trusted from the training part, what each voice counts from the validation."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field
from rapidfuzz.fuzz import partial_ratio

from prodemb.baselines import sample_rows
from prodemb.brands.aliases import AliasTable
from prodemb.brands.normalise import normalise_brand
from prodemb.compare import fit_rivals, judged_products, known_only
from prodemb.config import Config
from prodemb.features import supplied_column
from prodemb.fuse.candidates import Candidates
from prodemb.fuse.fuse import Fuser
from prodemb.fuse.names import Ids
from prodemb.heads import TrainedHead
from prodemb.labels import BrandLabel
from prodemb.metrics import NO_ANSWER, Condition, Indices, Metrics, evaluate
from prodemb.product_set import ProductSet, read_products, supplied_values
from prodemb.split import TRAIN, VALIDATION
from prodemb.train import Labelled, TrainConfig

AS_SUPPLIED, WITHHELD, WRONG = "as supplied", "brand withheld", "wrong brand supplied"

_NOISY = 75.0
"""The least likeness, of 100, at which a supplied brand is called the true one in another spelling."""

_BRAND, _TITLE = supplied_column("brand"), supplied_column("title")


class FuseConfig(Config):
    """`[fuse]`: how supplied brand, title and head are weighed against each other.

    The weights are learned on the validation part as it was supplied, and once more with every supplied brand withheld
    and once more with that of another product in its place. These say how much the second and third count beside
    the first: how often the next partner is expected to send nothing, or something wrong.
    """

    withheld: float = Field(default=0.5, ge=0)
    """Weight of the products without their supplied brand."""
    wrong: float = Field(default=0.1, ge=0)
    """Weight of the products with a wrong one."""
    firmness: float = Field(default=1.0, gt=0)
    """How firmly the weights are held to those that nothing was learned for; more for few products."""
    max_products: int = Field(default=50_000, ge=1)
    """Products of the training and of the validation part that are looked at, at most, taken at random."""
    seed: int = 0
    """Of what is taken at random."""


def fit_fuser(data: Labelled, *, head: TrainedHead, aliases: AliasTable, config: FuseConfig) -> Fuser:
    """Learn to weigh the supplied brand, the title and a head's answers against each other.

    From gold labels alone where the training part has them, else from those that supplied brands give.

    Args:
        data: what `head` was trained on.
    """
    gold = bool((data.all_labels.gold & (data.parts == TRAIN)).any())
    untrained = Fuser.untrained([label.name for label in _brands(data.labels.classes)], aliases=aliases)
    rows = _rows(data, part=TRAIN, gold=gold, config=config)
    texts = supplied_values(data.shard_set, [_BRAND, _TITLE], rows=rows)
    fuser = untrained.with_trust(texts[_BRAND], titles=texts[_TITLE], labels=true_names(data, rows=rows), gold=gold)
    rows = _rows(data, part=VALIDATION, gold=gold, config=config)
    if not len(rows):
        return fuser
    products = read_products(data.shard_set, features=data.features, rows=rows)
    chosen = fuser.names.ids_of(true_names(data, rows=rows))
    importance = {AS_SUPPLIED: 1.0, WITHHELD: config.withheld, WRONG: config.wrong}
    listed = {
        name: fuser.candidates(some, head=head)[0]
        for name, some in conditions(products, chosen=chosen, fuser=fuser, seed=config.seed)
        if importance[name] > 0
    }
    return fuser.with_weights(
        Candidates.joined(list(listed.values())),
        chosen=np.tile(chosen, len(listed)),
        importance=np.repeat(np.array([importance[name] for name in listed], np.float32), len(rows)),
        strength=config.firmness,
    )


def conditions(products: ProductSet, *, chosen: Ids, fuser: Fuser, seed: int) -> Iterator[tuple[str, ProductSet]]:
    """The same products as they were supplied, without their supplied brand, and with one that is wrong.

    Args:
        chosen: (n,) their true brands, so that the wrong one is another.
    """
    yield AS_SUPPLIED, products
    yield WITHHELD, products.without("brand")
    meant = fuser.names.said(supplied=products.supplied[_BRAND], titles=products.supplied[_TITLE]).supplied
    senders = np.flatnonzero(meant != NO_ANSWER)
    if len(set(meant[senders].tolist())) > 1:
        yield WRONG, products.with_those_of(_donors(meant, chosen=chosen, senders=senders, seed=seed), feature="brand")


def _donors(meant: Ids, *, chosen: Ids, senders: Indices, seed: int) -> Indices:
    """For each product another one that is supplied with a brand which is not the product's, (n,)."""
    random = np.random.default_rng(seed)
    donors = random.choice(senders, len(chosen))
    for _ in range(100):
        same = np.flatnonzero(meant[donors] == chosen)
        if not len(same):
            break
        donors[same] = random.choice(senders, len(same))
    return np.asarray(donors)


def compare_brands(
    data: Labelled, *, head: TrainedHead, fuser: Fuser, train: TrainConfig, config: FuseConfig
) -> dict[str, Any]:
    """The fused answer beside the head alone and the baselines, as entries of the head's card.

    On test products whose true brand is known, whether the head has it or not: as they were supplied, without their
    supplied brand, with a wrong one, by what is supplied, and by how many examples a brand has.
    """
    if not len(data.judged):
        return {}
    products, rows = judged_products(data, config=train)
    rivals = None
    if train.baselines.run:
        rivals = fit_rivals(data, brands=fuser.names.names, canonical=fuser.canonical_of, config=train)
    names = true_names(data, rows=rows)
    named = fuser.names.ids_of(names)
    # A brand that nothing knows of cannot be answered; no answer equals it.
    truth = np.where(named == NO_ANSWER, len(fuser.names.names) + len(rows), named)
    found: list[Condition] = []
    fused: Metrics | None = None
    for name, some in conditions(products, chosen=truth, fuser=fuser, seed=config.seed):
        answers = rivals.answers(some) if rivals else {}
        answered = fuser.answer(some, head=head, k=5)
        answers |= {
            "head alone": head.answer(some.vectors, present=some.present),
            "prodemb": answered.top[:, 0],
        }
        found.append(_condition(name, truth=truth, answers=answers))
        if name == AS_SUPPLIED:
            fused = evaluate(truth, top=answered.top, confidences=answered.probabilities[:, 0].astype(np.float64))
            for kind, where in _kinds(data, some, names=names, truth=truth, num_classes=len(head.card.labels)).items():
                if where.any():
                    found.append(_condition(kind, truth=truth[where], answers=_taken(answers, where)))
    baselines = known_only(rivals, data=data, products=products, rows=rows) if rivals and len(data.test) else ()
    return {"conditions": tuple(found), "fused": fused, "baselines": baselines}


def _kinds(
    data: Labelled, products: ProductSet, *, names: pl.Series, truth: Ids, num_classes: int
) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Products by what is supplied, and by how many training products carry their brand (Liu et al., CVPR 2019)."""
    brands = products.supplied[_BRAND]
    alike = np.array([_likeness(text or "", name=name) for text, name in zip(brands, names, strict=True)])
    labels = data.labels.index[data.rows[data.train]]
    examples = np.append(np.bincount(labels, minlength=num_classes), 0)
    count = examples[np.minimum(truth, num_classes)]
    absent = (brands.is_null() | (brands.str.strip_chars() == "")).to_numpy()
    return {
        "  letter by letter": ~absent & (alike == 100),
        "  spelled otherwise": ~absent & (alike < 100) & (alike >= _NOISY),
        "  another name": ~absent & (alike < _NOISY),
        "  no supplied brand": absent,
        "  over 100 examples": count > 100,
        "  20 to 100 examples": (count >= 20) & (count <= 100),
        "  under 20 examples": (count > 0) & (count < 20),
        "  no example": count == 0,
    }


def _likeness(supplied: str, *, name: str) -> float:
    """How like its true brand a supplied one is written: 100 for the same but for case, 99 at most for the rest."""
    if supplied.strip().lower() == name.lower():
        return 100.0
    return min(99.0, partial_ratio(normalise_brand(supplied), normalise_brand(name)))


def _condition(name: str, *, truth: Ids, answers: Mapping[str, Indices]) -> Condition:
    right = {method: float((answer == truth).mean()) for method, answer in answers.items()}
    return Condition(name=name, num_products=len(truth), top1=right)


def _taken(answers: Mapping[str, Indices], where: npt.NDArray[np.bool_]) -> dict[str, Indices]:
    return {method: answer[where] for method, answer in answers.items()}


def true_names(data: Labelled, *, rows: Indices) -> pl.Series:
    """The true brands of labelled products, (m,) string.

    Args:
        rows: (m,) places in the shard set.
    """
    names = [label.name for label in _brands(data.all_labels.classes)]
    return pl.Series("brand", [names[index] for index in data.all_labels.index[rows]], dtype=pl.String)


def _rows(data: Labelled, *, part: int, gold: bool, config: FuseConfig) -> Indices:
    """Labelled products of a part, (m,) places in the shard set, ascending."""
    labels = data.all_labels
    rows = np.flatnonzero((labels.index >= 0) & (data.parts == part) & (labels.gold | (not gold)))
    return rows[sample_rows(len(rows), at_most=config.max_products, seed=config.seed)]


def _brands(labels: tuple[object, ...]) -> list[BrandLabel]:
    return [label for label in labels if isinstance(label, BrandLabel)]
