"""The candidates for a product's brand, and a feature matrix of the evidence for each of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.brand.head_output import HeadOutput
from prodemb.brand.names import NO_NAME, Mentions, NameIds
from prodemb.confidence.candidates import Candidates, first_of_each
from prodemb.core.arrays import Floats
from prodemb.heads.neighbours import Nearest

PRIOR_WEIGHTS: dict[str, float] = {
    "head_log_proba": 0.5,
    "head_log_proba_without_supplied": 0.5,
    "head_top1": 0.0,
    "head_has_class": 1.0,
    "head_log_proba_if_no_title_brand": 0.2,
    "supplied": 2.0,
    "supplied_log_odds": 0.5,
    "supplied_is_new": -0.5,
    "supplied_without_class": 0.0,
    "supplied_in_title": 2.0,
    "supplied_if_no_title": 0.5,
    "supplied_other_head_proba": -0.5,
    "supplied_other_title_log_odds": -0.2,
    "title": 1.0,
    "title_log_odds": 1.0,
    "title_start": 1.0,
    "title_without_class": 0.0,
    "title_prefix": -4.0,
    "title_prefix_without_class": 2.0,
    "title_if_no_supplied": 0.0,
    "neighbours_cosine": 0.5,
    "neighbours_share": 0.5,
    "none": -1.0,
    "none_if_no_supplied": 0.5,
    "none_if_no_title_brand": 1.0,
    "none_head_proba": -1.0,
    "none_neighbours": -0.5,
}
"""The features of a candidate, and their weights before anything is learned.

`head_*` come from the head and `neighbours_*` from the nearest labelled products; `supplied*` are 0 but for the
supplied brand, `title*` but for brands in the title, and `none*` but for the last candidate, which stands for no brand.
A `class` is one of the head; a `prefix` begins a longer name in the title ("Lee" in "Lee Cooper"); `other` is the best
other brand by the head or the title.
"""

_MIN_LOG_ODDS = -4.0
"""Log odds of a title's name that there is no evidence for."""

FeatureColumns = dict[str, npt.NDArray[np.generic]]
"""By feature: (n, K)."""


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """The names of all candidates, and what several features need to know of them."""

    names: NameIds
    """(n, K)."""
    has_class: npt.NDArray[np.bool_]
    """(n, K)."""
    is_supplied: npt.NDArray[np.bool_]
    """(n, K)."""
    in_title: npt.NDArray[np.bool_]
    """(n, K, T) which of the title's names each one is."""


def list_candidates(
    mentions: Mentions,
    *,
    head: HeadOutput,
    nearest: Nearest,
    num_classes: int,
    supplied_log_odds: Floats,
    title_log_odds: Floats,
) -> Candidates:
    """The candidates of every product and their features.

    Args:
        mentions: what supplied brands and titles name.
        head: the head's output, for the classes `mentioned_classes(mentions)`.
        nearest: the nearest labelled products, by the ids of their brands.
        supplied_log_odds: (m + 1,) log odds that a supplied name is correct; the last is of names never seen.
        title_log_odds: the same for names in titles.
    """
    supplied, titled = mentions.supplied[:, None], mentions.titles.names
    names = np.concatenate([supplied, titled, head.topk, np.full_like(supplied, NO_NAME)], axis=1)
    valid = first_of_each(names)
    listed = _Listed(
        names=names,
        has_class=(names >= 0) & (names < num_classes),
        is_supplied=(names == supplied) & (names >= 0),
        in_title=(names[:, :, None] == titled[:, None, :]) & (names >= 0)[..., None],
    )
    log_odds = title_log_odds[np.where(titled >= 0, np.minimum(titled, len(title_log_odds) - 1), -1)]
    columns = (
        _head_features(listed, mentions=mentions, head=head)
        | _supplied_features(listed, mentions=mentions, head=head, log_odds=supplied_log_odds, title_log_odds=log_odds)
        | _title_features(listed, mentions=mentions, num_classes=num_classes, log_odds=log_odds)
        | _neighbour_features(listed, nearest=nearest)
        | _none_features(listed, mentions=mentions, head=head, nearest=nearest)
    )
    assert columns.keys() == PRIOR_WEIGHTS.keys()
    features = np.stack(
        [np.broadcast_to(columns[name], names.shape) for name in PRIOR_WEIGHTS], axis=2, dtype=np.float32
    )
    contexts = np.zeros((len(names), 0), dtype=np.bool_)
    return Candidates(ids=names, valid=valid, features=features, contexts=contexts)


def _head_features(listed: _Listed, *, mentions: Mentions, head: HeadOutput) -> FeatureColumns:
    log_proba = np.concatenate([head.class_log_proba, head.topk_log_proba], axis=1)
    log_proba = np.concatenate([log_proba, np.zeros_like(log_proba[:, :1])], axis=1)
    return {
        "head_log_proba": log_proba[..., 0],
        "head_log_proba_without_supplied": log_proba[..., 1],
        "head_top1": (listed.names == head.top1[:, None]) & (listed.names >= 0),
        "head_has_class": listed.has_class,
        "head_log_proba_if_no_title_brand": log_proba[..., 1] * ~_title_names_any(mentions),
    }


def _supplied_features(
    listed: _Listed, *, mentions: Mentions, head: HeadOutput, log_odds: Floats, title_log_odds: Floats
) -> FeatureColumns:
    own = log_odds[np.where(mentions.supplied >= 0, np.minimum(mentions.supplied, len(log_odds) - 1), -1)]
    excluded = listed.in_title | (mentions.titles.standalone() < 0)[:, None, :]
    other = np.where(excluded, _MIN_LOG_ODDS, title_log_odds[:, None, :]).max(axis=2, initial=_MIN_LOG_ODDS)
    other_head_proba = np.where(listed.names == head.top1[:, None], 0.0, head.top1_proba[:, None])
    here = listed.is_supplied
    return {
        "supplied": here,
        "supplied_log_odds": here * own[:, None],
        "supplied_is_new": here & ~mentions.is_known[:, None],
        "supplied_without_class": here & ~listed.has_class,
        "supplied_in_title": here & mentions.in_title[:, None],
        "supplied_if_no_title": here & ~mentions.has_title[:, None],
        "supplied_other_head_proba": here * other_head_proba,
        "supplied_other_title_log_odds": here * (other - _MIN_LOG_ODDS),
    }


def _title_features(listed: _Listed, *, mentions: Mentions, num_classes: int, log_odds: Floats) -> FeatureColumns:
    titles = mentions.titles
    here = listed.in_title.any(axis=2)
    prefix = listed.in_title & (titles.longer >= 0)[:, None, :]
    best = np.where(listed.in_title, log_odds[:, None, :], -np.inf).max(axis=2, initial=-np.inf)
    return {
        "title": here,
        "title_log_odds": np.where(here, best, 0.0),
        "title_start": (listed.in_title & (titles.offsets == 0)[:, None, :]).any(axis=2),
        "title_without_class": here & ~listed.has_class,
        "title_prefix": prefix.any(axis=2),
        "title_prefix_without_class": (prefix & (titles.longer >= num_classes)[:, None, :]).any(axis=2),
        "title_if_no_supplied": here & (mentions.supplied < 0)[:, None],
    }


def _neighbour_features(listed: _Listed, *, nearest: Nearest) -> FeatureColumns:
    is_near = nearest.at(listed.names)
    return {
        "neighbours_cosine": np.where(is_near > -1, is_near, 0.0),
        "neighbours_share": nearest.share(listed.names),
    }


def _none_features(listed: _Listed, *, mentions: Mentions, head: HeadOutput, nearest: Nearest) -> FeatureColumns:
    none = np.zeros(listed.names.shape, dtype=np.bool_)
    none[:, -1] = True
    return {
        "none": none,
        "none_if_no_supplied": none & (mentions.supplied < 0)[:, None],
        "none_if_no_title_brand": none & ~_title_names_any(mentions),
        "none_head_proba": none * head.top1_proba[:, None],
        "none_neighbours": none * nearest.best(),
    }


def _title_names_any(mentions: Mentions) -> npt.NDArray[np.bool_]:
    """(n, 1) whether the title names any brand."""
    return np.asarray((mentions.titles.names >= 0).any(axis=1, keepdims=True))


def mentioned_classes(mentions: Mentions, *, num_classes: int) -> NameIds:
    """The classes among what supplied brands and titles name, (n, A); -1 for other names."""
    named = np.concatenate([mentions.supplied[:, None], mentions.titles.names], axis=1)
    return np.where(named < num_classes, named, NO_NAME)
