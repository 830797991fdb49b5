"""What supplied categories mean: the taxonomy node that a partner's own words stand for."""

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.category.candidates import ROWS_AT_A_TIME
from prodemb.category.voices.every import Voices
from prodemb.category.voices.opinion import Opinion
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.features import PARTNER, raw_column
from prodemb.taxonomy.nodes import TaxonomyTree

CATEGORIES = tuple(raw_column(feature) for feature in ("cat1", "cat2", "cat3"))

_MIN_SHARE = 0.79
"""Share of the labelled products with the same words that must be at a node or below it; it takes four of them."""


def supplied_meanings(supplied: pl.DataFrame, *, voices: Voices) -> npt.NDArray[np.int64]:
    """The node that the supplied categories of n products mean, (n,); -1 where there are none, or none for certain.

    It is the deepest node at or below which most labelled products with the same words at all levels are, of the same
    partner where there are any; for words that no labelled product has, the node of which the last level is
    the name.

    Args:
        supplied: n rows, a column per text feature and one for the partner.
    """
    columns = [*CATEGORIES, PARTNER]
    distinct = supplied.select(columns).unique(maintain_order=True)
    numbered = distinct.with_columns(number=np.arange(len(distinct)))
    numbers = supplied.join(numbered, on=columns, how="left", nulls_equal=True, maintain_order="left")["number"]
    parts = [_of_distinct(some, voices=voices) for some in distinct.iter_slices(ROWS_AT_A_TIME)]
    return np.asarray(np.concatenate([np.zeros(0, np.int64), *parts])[numbers.to_numpy()])


def supplied_shares(supplied: pl.DataFrame, *, nodes: Indices, voices: Voices) -> npt.NDArray[np.float64]:
    """The share of labelled products with the same words that are at a node, above or below it, (n,).

    Words such as "Topwear" mean shirts, and jackets too.

    Args:
        supplied: n rows, as in `supplied_meanings`.
        nodes: (n,).
    """
    tree, exact = voices.nodes.tree, voices.supplied.exact
    parts: list[npt.NDArray[np.float64]] = [np.zeros(0)]
    for start in range(0, len(nodes), ROWS_AT_A_TIME):
        own = nodes[start : start + ROWS_AT_A_TIME]
        counted = exact.opinion(supplied[start : start + ROWS_AT_A_TIME], num_nodes=len(tree), hidden=None)
        rows, options = np.nonzero(np.isfinite(counted.scores))
        found = counted.nodes[options]
        on_line = tree.is_above(found, own[rows]) | tree.is_above(own[rows], found)
        shares = np.exp(counted.scores[rows, options]) * on_line
        parts.append(np.bincount(rows, weights=shares, minlength=len(own)).astype(np.float64))
    return np.concatenate(parts)


def _of_distinct(supplied: pl.DataFrame, *, voices: Voices) -> npt.NDArray[np.int64]:
    num_nodes = len(voices.nodes)
    counted = voices.supplied.exact.opinion(supplied, num_nodes=num_nodes, hidden=None)
    nodes = _shared(counted, tree=voices.nodes.tree)
    new = np.flatnonzero(~np.isfinite(counted.scores).any(axis=1))
    if len(new):
        nodes[new] = voices.names.nodes_named(supplied[new].select(pl.coalesce(reversed(CATEGORIES))).to_series())
    return nodes


def _shared(counted: Opinion, *, tree: TaxonomyTree) -> npt.NDArray[np.int64]:
    """The deepest node that has most of each row's share with all below it, (n,); -1 where none has."""
    rows, options = np.nonzero(np.isfinite(counted.scores))
    lines = tree.lineage[counted.nodes[options]]
    shares = np.exp(counted.scores[rows, options])
    entry, level = np.nonzero(lines != NO_ANSWER)
    pairs, index = np.unique(rows[entry] * len(tree) + lines[entry, level], return_inverse=True)
    enough = np.bincount(index, weights=shares[entry], minlength=len(pairs)) > _MIN_SHARE
    found, nodes = np.divmod(pairs[enough], max(1, len(tree)))
    order = np.argsort(tree.depth[nodes], kind="stable")
    deepest = np.full(len(counted.scores), NO_ANSWER, dtype=np.int64)
    deepest[found[order]] = nodes[order]
    return deepest
