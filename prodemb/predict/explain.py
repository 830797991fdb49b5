"""Why a product is answered as it is: the likeliest answers, who speaks for each, and the nearest labelled products."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.brand.candidates import mentioned_classes
from prodemb.brand.head_output import predict_log_proba
from prodemb.brand.predict import BrandPredictor
from prodemb.category.predict import CategoryPredictor
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.features import raw_column
from prodemb.heads.labels import Target
from prodemb.heads.neighbours import Nearest, Neighbours
from prodemb.score.gold import GoldBrands, GoldNodes
from prodemb.shards.product_set import ProductSet, supplied_values
from prodemb.shards.reader import ShardSet

NUM_ANSWERS, NUM_NEIGHBOURS = 5, 5

LabelsOf = Callable[[pl.DataFrame], Sequence[str | None]]
"""The labels of n products by their columns."""


@dataclass(frozen=True, kw_only=True)
class RankedAnswer:
    """A possible answer."""

    name: str
    """A category's path, or a brand."""
    probability: float
    voices: tuple[str, ...]
    """Those whose own first choice it is."""


@dataclass(frozen=True, kw_only=True)
class LabelledProduct:
    """A labelled product that is near."""

    label: str
    cosine: float
    title: str | None
    """None where the shards that it comes from are not there."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One target's answers for one product."""

    target: Target
    answers: tuple[RankedAnswer, ...]
    """The likeliest first."""
    neighbours: tuple[LabelledProduct, ...]
    """The nearest first."""


def explain_category(predictor: CategoryPredictor, product: ProductSet, *, shards: Sequence[ShardSet]) -> Explanation:
    """The likeliest categories of one product.

    Args:
        product: with the vectors of the features of the head's card.
        shards: where the titles of labelled products may be found.
    """
    opinions, labels = predictor.voices.opinions(product), predictor.nodes.labels
    nearest = predictor.voices.neighbours.nearest(product, k=NUM_NEIGHBOURS)
    first = {
        "head": opinions.head.top(1),
        "words": opinions.words.top(1),
        "neighbours": nearest.top(1),
        "supplied": opinions.supplied.top(1),
        "names": np.concatenate([opinions.title.top(1), opinions.categories.top(1)], axis=1),
    }
    prediction = predictor.predict(product, k=NUM_ANSWERS)
    names = [label.path for label in labels]
    nodes = GoldNodes(labels)
    return Explanation(
        target="category",
        answers=_answers(prediction.nodes[0], prediction.probabilities[0], names=names, first=first),
        neighbours=_neighbours(
            nearest,
            among=predictor.voices.neighbours,
            names=names,
            shards=_shards_of(predictor, shards),
            labels_of=lambda frame: [names[n] if n >= 0 else None for n in nodes.nodes_of(frame["google_category_id"])],
        ),
    )


def explain_brand(predictor: BrandPredictor, product: ProductSet, *, shards: Sequence[ShardSet]) -> Explanation:
    """The likeliest brands of one product; arguments as in `explain_category`."""
    fuser, prediction = predictor.fuser, predictor.predict(product, k=NUM_ANSWERS)
    _, mentions = fuser.candidates(product, head=predictor.head)
    classes = mentioned_classes(mentions, num_classes=fuser.names.num_classes)
    nearest, among = Nearest.nobody(1), fuser.neighbours
    if among is not None:
        nearest = among.nearest(product.of(among.features), k=NUM_NEIGHBOURS)
    labels = pl.Series(
        [fuser.label_names[label] if label >= 0 else None for label in nearest.labels[0]], dtype=pl.String
    )
    first = {
        "supplied": mentions.supplied[:, None],
        "title": mentions.titles.names,
        "head": predict_log_proba(predictor.head, product, classes=classes).topk[:, :1],
        "neighbours": fuser.names.ids_of(labels)[None, :1],
    }
    gold = GoldBrands(fuser.names)

    def labels_of(frame: pl.DataFrame) -> list[str | None]:
        supplied = fuser.canonical_ids(frame[raw_column("brand")])
        own = gold.names_of(frame["brand_label"]).to_list()
        names = fuser.names.names
        return [brand or (names[n] if n >= 0 else None) for brand, n in zip(own, supplied, strict=True)]

    found = (
        ()
        if among is None
        else _neighbours(
            nearest,
            among=among,
            names=fuser.label_names,
            shards=_shards_of(predictor, shards),
            labels_of=labels_of,
        )
    )
    return Explanation(
        target="brand",
        answers=_answers(prediction.brands[0], prediction.probabilities[0], names=prediction.names, first=first),
        neighbours=found,
    )


def _answers(
    ids: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    *,
    names: Sequence[str],
    first: Mapping[str, npt.NDArray[np.int64]],
) -> tuple[RankedAnswer, ...]:
    """
    Args:
        ids: (k,) the answers, best first; -1 where there are fewer.
        probabilities: (k,).
        names: what the ids stand for.
        first: by voice, (1, m) the answers that it puts first.
    """
    return tuple(
        RankedAnswer(
            name=names[answer],
            probability=float(probability),
            voices=tuple(voice for voice, own in first.items() if answer in own[0]),
        )
        for answer, probability in zip(ids.tolist(), probabilities.tolist(), strict=True)
        if answer != NO_ANSWER
    )


def _shards_of(predictor: CategoryPredictor | BrandPredictor, shards: Iterable[ShardSet]) -> ShardSet | None:
    return next((each for each in shards if each.schema.fingerprint == predictor.card.fingerprint), None)


def _neighbours(
    nearest: Nearest,
    *,
    among: Neighbours,
    names: Sequence[str],
    shards: ShardSet | None,
    labels_of: LabelsOf,
) -> tuple[LabelledProduct, ...]:
    """The nearest labelled products, with the titles of those that still stand in their rows of the shards.

    Args:
        among: what they were found among.
        names: of their labels.
        labels_of: the labels of products by the shards' columns, None where they have none.
    """
    there = nearest.products[0] != NO_ANSWER
    rows, labels = among.rows[nearest.products[0][there]], [names[label] for label in nearest.labels[0][there].tolist()]
    titles: list[str | None] = [None] * len(rows)
    if shards is not None and len(rows) and rows.max() < shards.num_products:
        distinct, place = np.unique(rows, return_inverse=True)
        columns = [raw_column("title"), raw_column("brand"), "google_category_id", "brand_label"]
        frame = supplied_values(shards, columns, rows=distinct)[place]
        found = zip(frame[raw_column("title")], labels_of(frame), labels, strict=True)
        titles = [title if own == label else None for title, own, label in found]
    return tuple(
        LabelledProduct(label=label, cosine=float(cosine), title=title)
        for label, cosine, title in zip(labels, nearest.cosines[0][there], titles, strict=True)
    )
