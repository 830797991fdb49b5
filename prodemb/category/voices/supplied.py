"""The supplied categories: how often the partner's own cat1-3 meant each node among the labelled products."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.category.voices.opinion import Opinion
from prodemb.core.arrays import Floats, Indices
from prodemb.core.features import PARTNER, raw_column

_COLUMNS = [raw_column(feature) for feature in ("cat1", "cat2", "cat3")]
_SEPARATOR = "\x1f"
"""Between what makes a key; no catalog has it in a category."""
_PRIOR = 1.0
"""Products that all nodes together count as, beside those of one key."""


@dataclass(frozen=True, kw_only=True)
class SuppliedCounts:
    """How many labelled products with the same supplied categories have each node.

    A key is all three categories of a product, or the first two, or the first; each also with the partner, since the
    same words may mean one thing to one and another to the next. A product is looked up by the most specific of its
    keys that is known.
    """

    table: pl.DataFrame
    """Columns `key`, `node` and `count`."""

    @classmethod
    def fit(cls, supplied: pl.DataFrame, *, nodes: Indices) -> "SuppliedCounts":
        """Count.

        Args:
            supplied: n rows, a column per text feature and maybe one for the partner.
            nodes: (n,) the nodes of the products.
        """
        counted = [
            pl.DataFrame({"key": keys, "node": pl.Series(nodes, dtype=pl.Int32)})
            .drop_nulls("key")
            .group_by("key", "node")
            .agg(pl.len().cast(pl.Int64).alias("count"))
            for keys in _keys(supplied)
        ]
        # No two kinds of keys share one, so nothing is left to add up.
        return cls(table=pl.concat(counted).sort("key", "node"))

    @cached_property
    def exact(self) -> "SuppliedCounts":
        """The same for whole categories alone, as if products with other words at any level had not been seen."""
        return SuppliedCounts(table=self.table.filter(pl.col("key").str.starts_with(f"{len(_COLUMNS)}")))

    def opinion(self, supplied: pl.DataFrame, *, num_nodes: int, hidden: npt.NDArray[np.bool_] | None) -> Opinion:
        """The log of each node's share among the products with a product's key; nothing where no key is known.

        Args:
            supplied: n rows, as in `fit`.
            hidden: (n, num_nodes) nodes of which a product must not know that they were counted.
        """
        num = len(supplied)
        scores: Floats = np.full((num, len(self._nodes)), -np.inf, dtype=np.float32)
        undecided = np.ones(num, dtype=np.bool_)
        for keys in _keys(supplied):
            asked = pl.DataFrame({"row": np.arange(num), "key": keys}).filter(pl.Series(undecided))
            found = asked.join(self.table, on="key", how="inner")
            rows, nodes, counts = (found[name].to_numpy() for name in ("row", "node", "count"))
            if hidden is not None and len(rows):
                left = ~hidden[rows, nodes]
                rows, nodes, counts = rows[left], nodes[left], counts[left]
            total = np.bincount(rows, weights=counts, minlength=num)
            options = self._options[nodes]
            scores[rows, options] = np.log(counts / (total[rows] + _PRIOR))
            undecided &= total == 0
        return Opinion.of(scores, nodes=self._nodes, num_nodes=num_nodes)

    @cached_property
    def _nodes(self) -> npt.NDArray[np.int32]:
        return np.unique(self.table["node"].to_numpy())

    @cached_property
    def _options(self) -> npt.NDArray[np.int64]:
        options = np.zeros(int(self._nodes.max(initial=-1)) + 1, dtype=np.int64)
        options[self._nodes] = np.arange(len(self._nodes))
        return options


def _keys(supplied: pl.DataFrame) -> Iterator[pl.Series]:
    """The keys of n products, the most specific first; null where a product lacks what they are made of."""
    columns = [pl.col(column).str.strip_chars().str.to_lowercase() for column in _COLUMNS]
    partner = [pl.col(PARTNER)] if PARTNER in supplied.columns else []
    for used in range(len(columns), 0, -1):
        parts = columns[:used]
        # A deeper level may be absent; the first never.
        texts = [parts[0], *(part.fill_null("") for part in parts[1:])]
        for own in (partner, []) if partner else ([],):
            tag = pl.lit(f"{used}{'p' if own else ''}")
            yield supplied.select(pl.concat_str(tag, *own, *texts, separator=_SEPARATOR)).to_series()
