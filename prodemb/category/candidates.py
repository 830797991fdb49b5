"""The candidates for a product's category, and a feature matrix of what the voices say of each of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.category.voices.opinion import Opinion
from prodemb.confidence.candidates import Candidates, first_of_each
from prodemb.confidence.conditional_logit import Contexts
from prodemb.core.arrays import NO_ANSWER, Floats, Indices
from prodemb.core.features import TEXT_FEATURES, raw_column
from prodemb.heads.neighbours import Nearest
from prodemb.shards.product_set import ProductSet

PRIOR_WEIGHTS: dict[str, float] = {
    "head_log_proba": 0.4,
    "head_log_proba_without_categories": 0.2,
    "words": 0.5,
    "words_without_categories": 0.5,
    "words_gap": 0.3,
    "neighbours_cosine": 3.0,
    "neighbours_gap": 2.0,
    "neighbours_share": 1.0,
    "supplied_log_share": 0.2,
    "supplied_seen": 0.5,
    "names_title": 2.0,
    "names_title_best": 0.2,
    "names_categories": 2.0,
    "names_categories_best": 0.2,
    "names_tower": 2.0,
    "labelled": 1.0,
    "labelled_log_count": 0.1,
    "unlabelled_names_title": 0.5,
    "unlabelled_names_categories": 0.5,
    "unlabelled_neighbours": -2.0,
    "unlabelled_words": -0.5,
    "unlabelled_head": -0.5,
    "none": 1.0,
    "none_neighbours": -2.0,
    "none_words": -0.5,
    "none_head": -0.5,
    "none_names": -0.5,
}
"""The features of a candidate, and their weights before anything is learned.

`head*`, `words*`, `neighbours*`, `supplied*` and `names*` are what each voice says of the candidate. `labelled*` are 0
but for nodes that labelled products have, `unlabelled*` but for the others, of which only the names know: there the
features are how well the best labelled node fits, which speaks against them. `none*` are 0 but for the last candidate,
which stands for a category that is not among the others.
"""

SOURCES = ("head", "words", "neighbours", "supplied", "names")
"""The voices, as the features begin."""

CONTEXTS = ("no cat1-3", "no title and description", "no picture", "no description")
"""In which features may weigh differently: a title alone is less than a title beside a picture."""
ROWS_AT_A_TIME = 512
"""Products that the voices are asked about together, which bounds memory whatever the number of nodes."""
NUM_CONTEXTS = 2 ** len(CONTEXTS)
"""How many combinations of these there are."""

_WORST_LOG_PROBA = -6.0
_WORST_MARGIN = -2.0
"""Of a node that the head, or the words, say nothing of."""
_UNSEEN_LOG_SHARE = -4.0
"""Of a node that no product with these supplied categories has, where some are known."""


@dataclass(frozen=True, kw_only=True)
class Opinions:
    """What all voices say of n products."""

    head: Opinion
    head_without: Opinion
    """Without cat1-3, as `words_without`."""
    words: Opinion
    words_without: Opinion
    nearest: Nearest
    supplied: Opinion
    title: Opinion
    """The names, against the title."""
    categories: Opinion
    """The names, against cat1-3."""
    tower: Opinion
    """The names' vectors, against those of the product; nothing where there are none."""

    @classmethod
    def without_labels(cls, *, title: Opinion, categories: Opinion, tower: Opinion) -> "Opinions":
        """Those of the names alone, where nothing is labelled."""
        nothing = Opinion.nothing(len(title.scores), num_nodes=len(title.options))
        return cls(
            head=nothing,
            head_without=nothing,
            words=nothing,
            words_without=nothing,
            nearest=Nearest.nobody(len(title.scores)),
            supplied=nothing,
            title=title,
            categories=categories,
            tower=tower,
        )


def list_candidates(
    opinions: Opinions, *, counts: npt.NDArray[np.int64], hidden: npt.NDArray[np.bool_] | None, contexts: Contexts
) -> Candidates:
    """The candidates of n products and their features.

    Args:
        counts: (num_nodes,) labelled products of each node.
        hidden: (n, num_nodes) nodes that count as labelled by none for a product; none where it is not given.
        contexts: (n, C).
    """
    nodes = np.concatenate(
        [
            opinions.head.top(5),
            opinions.head_without.top(5),
            opinions.words.top(5),
            opinions.words_without.top(5),
            opinions.nearest.top(5),
            opinions.supplied.top(3),
            opinions.title.top(5),
            opinions.categories.top(5),
            opinions.tower.top(3),
            np.full((len(contexts), 1), NO_ANSWER),
        ],
        axis=1,
    )
    valid = first_of_each(nodes)
    known = counts[nodes] > 0
    if hidden is not None:
        known &= ~np.take_along_axis(hidden, np.maximum(nodes, 0), axis=1)
    known &= nodes != NO_ANSWER
    columns = (
        _labelled_features(opinions, nodes=nodes, known=known, counts=counts)
        | _names_features(opinions, nodes=nodes)
        | _unlabelled_features(opinions, nodes=nodes, known=known)
        | _none_features(opinions, shape=nodes.shape)
    )
    assert columns.keys() == PRIOR_WEIGHTS.keys()
    features = np.stack(
        [np.broadcast_to(columns[name], nodes.shape) for name in PRIOR_WEIGHTS], axis=2, dtype=np.float32
    )
    return Candidates(ids=nodes, valid=valid, features=features, contexts=contexts)


def is_labelled(candidates: Candidates) -> npt.NDArray[np.bool_]:
    """Which candidates (n, K) are nodes that labelled products have."""
    return np.asarray(candidates.features[..., list(PRIOR_WEIGHTS).index("labelled")] > 0)


Columns = dict[str, npt.NDArray[np.generic]]
"""By feature: (n, K)."""


def _labelled_features(
    opinions: Opinions, *, nodes: Indices, known: npt.NDArray[np.bool_], counts: npt.NDArray[np.int64]
) -> Columns:
    words, nearest = opinions.words.at(nodes, otherwise=_WORST_MARGIN), opinions.nearest.at(nodes)
    supplied = opinions.supplied.at(nodes, otherwise=_UNSEEN_LOG_SHARE)
    has_supplied = np.isfinite(opinions.supplied.scores).any(axis=1, keepdims=True)
    return {
        "head_log_proba": known * opinions.head.at(nodes, otherwise=_WORST_LOG_PROBA),
        "head_log_proba_without_categories": known * opinions.head_without.at(nodes, otherwise=_WORST_LOG_PROBA),
        "words": known * words,
        "words_without_categories": known * opinions.words_without.at(nodes, otherwise=_WORST_MARGIN),
        "words_gap": known * (words - opinions.words.best(otherwise=_WORST_MARGIN)),
        "neighbours_cosine": known * nearest,
        "neighbours_gap": known * (nearest - opinions.nearest.best()),
        "neighbours_share": known * opinions.nearest.share(nodes),
        "supplied_log_share": known * has_supplied * supplied,
        "supplied_seen": known * has_supplied * (supplied > _UNSEEN_LOG_SHARE),
        "labelled": known,
        "labelled_log_count": known * np.log(np.maximum(counts[nodes], 1)),
    }


def _names_features(opinions: Opinions, *, nodes: Indices) -> Columns:
    title, categories = _similarity(opinions.title, nodes), _similarity(opinions.categories, nodes)
    tower = opinions.tower.at(nodes, otherwise=-1.0) - opinions.tower.best(otherwise=-1.0)
    there = nodes != NO_ANSWER
    return {
        "names_title": title,
        "names_title_best": there & (title > 0) & (title >= _best_similarity(opinions.title)),
        "names_categories": categories,
        "names_categories_best": there & (categories > 0) & (categories >= _best_similarity(opinions.categories)),
        "names_tower": there * tower,
    }


def _similarity(names: Opinion, nodes: Indices) -> Floats:
    """log(1 + 2 x) of the similarity of each node's name, (n, K): that title and categories both agree a little says
    more than that one of them agrees much."""
    return np.log1p(2 * names.at(nodes, otherwise=0.0))


def _best_similarity(names: Opinion) -> Floats:
    """The same of the most similar name, (n, 1)."""
    return np.log1p(2 * names.best(otherwise=0.0))


def _unlabelled_features(opinions: Opinions, *, nodes: Indices, known: npt.NDArray[np.bool_]) -> Columns:
    new = ~known & (nodes != NO_ANSWER)
    best = _Best.of(opinions)
    return {
        "unlabelled_names_title": new * _similarity(opinions.title, nodes),
        "unlabelled_names_categories": new * _similarity(opinions.categories, nodes),
        "unlabelled_neighbours": new * best.cosine,
        "unlabelled_words": new * best.margin,
        "unlabelled_head": new * best.proba,
    }


def _none_features(opinions: Opinions, *, shape: tuple[int, ...]) -> Columns:
    none = np.zeros(shape, dtype=np.bool_)
    none[:, -1] = True
    best = _Best.of(opinions)
    names = np.maximum(_best_similarity(opinions.title), _best_similarity(opinions.categories))
    return {
        "none": none,
        "none_neighbours": none * best.cosine,
        "none_words": none * best.margin,
        "none_head": none * best.proba,
        "none_names": none * names,
    }


@dataclass(frozen=True, kw_only=True)
class _Best:
    """How well the best labelled node fits each product, (n, 1)."""

    cosine: Floats
    margin: Floats
    proba: Floats

    @classmethod
    def of(cls, opinions: Opinions) -> "_Best":
        return cls(
            cosine=opinions.nearest.best(),
            margin=opinions.words.best(otherwise=_WORST_MARGIN),
            proba=np.exp(opinions.head.best(otherwise=_WORST_LOG_PROBA)),
        )


def contexts_of(products: ProductSet) -> Contexts:
    """(n, C) which of `CONTEXTS` each product is in."""
    there = {
        feature: (products.supplied[raw_column(feature)].fill_null("").str.len_bytes() > 0).to_numpy()
        for feature in TEXT_FEATURES
    }
    no_categories = ~(there["cat1"] | there["cat2"] | there["cat3"])
    no_picture = np.zeros(len(products), dtype=np.bool_)
    if "image" in products.features:
        no_picture = ~products.present[:, products.features.index("image")]
    no_texts = ~(there["title"] | there["description"])
    return np.stack([no_categories, no_texts, no_picture, ~there["description"]], axis=1)
