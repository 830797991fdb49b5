"""All voices together: fitted to labelled products, and asked about others."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.category.candidates import ROWS_AT_A_TIME, Opinions, contexts_of, list_candidates
from prodemb.category.labels import CategoryLabels
from prodemb.category.nodes import Nodes
from prodemb.category.voices.head import HeadVoice
from prodemb.category.voices.names import Names
from prodemb.category.voices.opinion import Opinion
from prodemb.category.voices.supplied import SuppliedCounts
from prodemb.category.voices.tower import TowerVoice
from prodemb.category.voices.words import ALL_WORDS, OWN_WORDS, WordModel, words_of
from prodemb.confidence.candidates import Candidates
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.device import few_threads
from prodemb.core.features import PARTNER, Feature, raw_column
from prodemb.heads.head import TrainedHead
from prodemb.heads.neighbours import Nearest, Neighbours
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import ProductSet, read_products, supplied_values

_MOST_THREADS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Each holds what the voices say of some hundred products."""
_CATEGORIES: tuple[Feature, ...] = ("cat1", "cat2", "cat3")


@dataclass(frozen=True, kw_only=True)
class Voices:
    """The voices of one set of labelled products."""

    nodes: Nodes
    """All nodes of the taxonomy."""
    counts: npt.NDArray[np.int64]
    """(num_nodes,) labelled products of each."""
    head: HeadVoice
    words: WordModel
    words_without: WordModel
    """Without cat1-3."""
    neighbours: Neighbours
    supplied: SuppliedCounts
    names: Names
    tower: TowerVoice | None
    """The vectors of the names; None where there are none."""

    @classmethod
    def fit(
        cls,
        data: Labelled[CategoryLabels],
        learned: Indices,
        *,
        head: TrainedHead,
        nodes: Nodes,
        names: Names,
        tower: TowerVoice | None,
        max_products: int,
        max_cost: float,
        seed: int,
    ) -> Self:
        """Fit all voices but the head, which was trained on the same products.

        Args:
            learned: (l,) indices of labelled products.
            nodes: all nodes of the taxonomy; `names` and `tower` hold the same ones.
            max_products: how many products neighbours and words learn from at most, of each node about as many.
            max_cost: classes times words in all texts that the words learn from at most.
            seed: of the choice of these.
        """
        own = nodes.of(data.labels.classes)[data.index_of(learned)]
        some = even_sample(own, at_most=max_products, seed=seed)
        rows = data.rows[learned]
        products = read_products(data.shard_set, features=data.features, rows=rows[some])
        few = even_sample(
            own[some], at_most=_num_affordable(products.supplied, nodes=own[some], max_cost=max_cost), seed=seed
        )
        texts = products.supplied[few]
        columns = [*(raw_column(feature) for feature in _CATEGORIES), PARTNER]
        return cls(
            nodes=nodes,
            counts=np.bincount(own, minlength=len(nodes)),
            head=HeadVoice(head=head, nodes=nodes.of(head.card.classes).astype(np.int32)),
            words=WordModel.fit(words_of(texts, features=ALL_WORDS), nodes=own[some][few]),
            words_without=WordModel.fit(words_of(texts, features=OWN_WORDS), nodes=own[some][few]),
            neighbours=Neighbours.fit(products, labels=own[some], rows=rows[some], seed=seed),
            supplied=SuppliedCounts.fit(supplied_values(data.shard_set, columns, rows=rows), nodes=own),
            names=names,
            tower=tower,
        )

    @property
    def num_learned(self) -> dict[str, int]:
        """From how many products the words and the neighbours learned, where these are a sample."""
        return {"words": self.words.num_learned, "neighbours": len(self.neighbours.labels)}

    def candidates(self, products: ProductSet, *, foreign_to: Indices | None = None) -> Iterator[Candidates]:
        """The candidates of n products, at least one, and their features, some hundred products at a time.

        Args:
            foreign_to: (n,) nodes; each product is judged as if no labelled product were of that node's top-level
                branch, as one of another department is.
        """

        def judge(start: int) -> Candidates:
            rows = np.arange(start, min(start + ROWS_AT_A_TIME, len(products)))
            hidden = None if foreign_to is None else self._same_branch(foreign_to[rows])
            some = products.take(rows)
            opinions = self.opinions(some, hidden=hidden)
            return list_candidates(opinions, counts=self.counts, hidden=hidden, contexts=contexts_of(some))

        # One thread each, since none of the steps is large.
        starts = range(0, max(1, len(products)), ROWS_AT_A_TIME)
        with few_threads(0), ThreadPoolExecutor(_MOST_THREADS) as pool:
            for first in range(0, len(starts), _MOST_THREADS):
                yield from pool.map(judge, starts[first : first + _MOST_THREADS])

    def opinions(self, products: ProductSet, *, hidden: npt.NDArray[np.bool_] | None = None) -> Opinions:
        """What all voices say of a few products, n.

        Args:
            hidden: (n, num_nodes) nodes that count as labelled by none for a product.
        """
        num_nodes, texts = len(self.nodes), products.supplied
        head, head_without = self.head.opinions(products, num_nodes=num_nodes, hidden=hidden)
        words = self.words.opinion(words_of(texts, features=ALL_WORDS), num_nodes=num_nodes)
        words_without = self.words_without.opinion(words_of(texts, features=OWN_WORDS), num_nodes=num_nodes)
        nearest = self._nearest(products, hidden=hidden)
        if hidden is not None:
            words = words.without(hidden[:, words.nodes])
            words_without = words_without.without(hidden[:, words_without.nodes])
        return Opinions(
            head=head,
            head_without=head_without,
            words=words,
            words_without=words_without,
            nearest=nearest,
            supplied=self.supplied.opinion(texts, num_nodes=num_nodes, hidden=hidden),
            title=self.names.of_title(products),
            categories=self.names.of_categories(products),
            tower=Opinion.nothing(len(products), num_nodes=num_nodes)
            if self.tower is None
            else self.tower.opinion(products),
        )

    def _nearest(self, products: ProductSet, *, hidden: npt.NDArray[np.bool_] | None) -> Nearest:
        if hidden is None:
            return self.neighbours.nearest(products)
        # More of them, since most of the nearest are hidden.
        nearest = self.neighbours.nearest(products, k=1000)
        gone = np.take_along_axis(hidden, np.maximum(nearest.labels, 0), axis=1) & (nearest.labels != NO_ANSWER)
        return nearest.without(gone).first(50)

    def _same_branch(self, nodes: Indices) -> npt.NDArray[np.bool_]:
        """(n, num_nodes) whether each node is of the top-level branch of the given one."""
        tops = self.nodes.tree.lineage[:-1, 0]
        return np.asarray(tops[nodes][:, None] == tops[None, :])


def even_sample(nodes: Indices, *, at_most: int, seed: int) -> Indices:
    """Indices of at most so many products, ascending, that have about as many of each node as there are; (m,)."""
    if len(nodes) <= at_most:
        return np.arange(len(nodes))
    shuffled = np.random.default_rng(seed).permutation(len(nodes))
    order = shuffled[np.argsort(nodes[shuffled], kind="stable")]
    starts = np.r_[True, nodes[order][1:] != nodes[order][:-1]]
    rank = np.arange(len(order)) - np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    return np.sort(order[np.argsort(rank, kind="stable")[:at_most]])


def _num_affordable(supplied: pl.DataFrame, *, nodes: Indices, max_cost: float) -> int:
    """How many products the words can learn from, where each word costs as much as there are classes."""
    texts = pl.Series(words_of(supplied, features=ALL_WORDS), dtype=pl.String)
    words_each = 2 * float((texts.str.count_matches(" ") + 1).mean() or 1)  # type: ignore[arg-type]
    return max(1, int(max_cost / (words_each * max(1, len(np.unique(nodes))))))
