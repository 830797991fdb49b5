"""Gold labels of the products that are scored: the category and the brand that a person gave them."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.junk import UNBRANDED, find_junk
from prodemb.brand.names import BrandNames
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.labels import CategoryLabel
from prodemb.taxonomy.taxonomy import Taxonomy

GOLD = "gold"
"""The source of an answer that is the product's own gold label."""


class GoldNodes:
    """Finds gold categories, ids or paths, among the nodes that a predictor answers with."""

    def __init__(self, nodes: Sequence[CategoryLabel], *, known: Mapping[str, int] | None = None) -> None:
        """Take the nodes; the parent of each must be one of them by the time that a label is looked up.

        Args:
            known: labels that were resolved in training, by another version, locale or mapping too; ids of nodes.
        """
        self._nodes = tuple(nodes)
        self._known = known or {}

    def nodes_of(self, labels: pl.Series) -> npt.NDArray[np.int64]:
        """The node of each label as an index, (n,); -1 where there is no label or no such node.

        A node that is not among them is no answer, though one above it may be: it would be less than the label says.

        Args:
            labels: (n,) string, the column `google_category_id`.
        """
        distinct = labels.unique().drop_nulls()
        if distinct.is_empty():
            return np.full(len(labels), NO_ANSWER, dtype=np.int64)
        indices = [self._index_of(label) for label in distinct]
        numbers = pl.Series(indices, dtype=pl.Int64)
        return labels.replace_strict(distinct, numbers, default=NO_ANSWER, return_dtype=pl.Int64).to_numpy()

    def _index_of(self, label: str) -> int:
        known = self._known.get(label)
        if known is not None:
            return self._indices[known]
        trace = self._taxonomy.trace(label)
        return NO_ANSWER if trace.node is None or trace.found == "removed" else self._indices[trace.node]

    @cached_property
    def _taxonomy(self) -> Taxonomy:
        return Taxonomy(paths={node.id: node.path for node in self._nodes}, source="the head's nodes")

    @cached_property
    def _indices(self) -> dict[int, int]:
        return {node.id: index for index, node in enumerate(self._nodes)}


class GoldBrands:
    """Spells gold brands as a predictor does."""

    def __init__(self, names: BrandNames) -> None:
        """Take the names that the predictor knows."""
        self._names = names

    def names_of(self, labels: pl.Series) -> pl.Series:
        """The brand of each label, (n,) string; null where it is none or a placeholder, UNBRANDED where it says so.

        Args:
            labels: (n,) string, the column `brand_label`.
        """
        distinct = labels.unique().drop_nulls()
        names = pl.Series([self._name_of(label.strip()) for label in distinct], dtype=pl.String)
        return labels.replace_strict(distinct, names, default=None, return_dtype=pl.String)

    def _name_of(self, label: str) -> str | None:
        corrected = self._names.aliases.corrected(pl.Series([label], dtype=pl.String))[0]
        if corrected is None:
            return None
        label = corrected
        junk = find_junk(label)
        if not label or (junk is not None and junk.rule == "placeholder"):
            return None
        if junk is not None and junk.rule == "unbranded":
            return UNBRANDED
        known = self._names.id_of(label)
        return label if known == NO_ANSWER else self._names.names[known]


def num_labelled(labels: pl.Series) -> int:
    """How many products have a gold label, whether it is found or not."""
    return int((labels.fill_null("").str.strip_chars() != "").sum())
