"""The fuser: one brand a product, with one confidence, from its supplied brand, its title and the head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.table import AliasTable
from prodemb.brand.candidates import VOICES, Candidates, list_candidates, said_classes
from prodemb.brand.head_output import ask_head
from prodemb.brand.model import Floats, choice_probabilities, fit_weights
from prodemb.brand.names import NO_NAME, BrandNames, Ids, Said
from prodemb.brand.trust import Counts, find_redirects
from prodemb.core.features import raw_column
from prodemb.heads.head import TrainedHead
from prodemb.shards.product_set import ProductSet

_BRAND, _TITLE = raw_column("brand"), raw_column("title")

SOURCES = ("supplied", "title", "head")
"""What a brand can come from. The first of them that names it is said to be its source."""


@dataclass(frozen=True, kw_only=True)
class FusedAnswers:
    """The fuser's answers for n products."""

    names: tuple[str, ...]
    """What the numbers in `top` stand for."""
    top: Ids
    """(n, k) brands, the likeliest first; -1 where there are fewer."""
    probabilities: Floats
    """(n, k) how likely each is; 0 where there is none."""
    sources: npt.NDArray[np.int64]
    """(n,) the place in `SOURCES` of what the first one comes from; -1 where there is none."""


@dataclass(frozen=True, kw_only=True)
class Fuser:
    """Names, how far they can be trusted, and the weights of what speaks for them."""

    names: BrandNames
    supplied: Counts
    """(m,) of the names as supplied brands."""
    titled: Counts
    """(m,) of the names in titles."""
    weights: npt.NDArray[np.float64]
    """(P,) in the order of `VOICES`."""

    @classmethod
    def untrained(cls, classes: Sequence[str], *, aliases: AliasTable, rare: Sequence[str] = ()) -> "Fuser":
        """A fuser that has seen no product: all names are trusted alike, and the weights are those of `VOICES`."""
        names = BrandNames(classes, aliases=aliases, redirects={}, rare=rare)
        nothing = Counts.of(np.zeros(0, np.int64), labels=np.zeros(0, np.int64), num_names=len(names.names))
        return cls(names=names, supplied=nothing, titled=nothing, weights=np.array([*VOICES.values()]))

    def with_trust(self, supplied: pl.Series, *, titles: pl.Series, labels: pl.Series, gold: bool) -> "Fuser":
        """Learn from training products which names can be trusted.

        Args:
            supplied: (n,) string.
            titles: (n,) string.
            labels: (n,) string, the true brands.
            gold: whether the labels are gold, so that names may be learned to stand for others.
        """
        names, num_names = self.names, len(self.names.names)
        said, true = names.said(supplied=supplied, titles=titles), names.own_ids(labels)
        if gold:
            found = find_redirects(said, labels=true, names=names)
            # A person's word stands against what the labels say.
            persons = names.aliases.is_persons
            names = names.redirected({name: to for name, to in found.items() if not persons(names.names[name])})
            said = names.said(supplied=supplied, titles=titles)
        return Fuser(
            names=names,
            supplied=Counts.of(said.supplied, labels=true, num_names=num_names),
            titled=Counts.of(said.titles.alone(), labels=true, num_names=num_names),
            weights=self.weights,
        )

    def with_weights(self, candidates: Candidates, *, chosen: Ids, importance: Floats, strength: float) -> "Fuser":
        """Learn from validation products how much each thing that speaks for a candidate counts.

        Args:
            candidates: of n products.
            chosen: (n,) the places of the true brands among them, the last where they are not.
            importance: (n,) how much each product counts.
            strength: how firmly the weights are held to those of `VOICES`.
        """
        weights = fit_weights(
            candidates.inputs,
            valid=candidates.valid,
            chosen=chosen,
            importance=importance,
            prior=np.array([*VOICES.values()]),
            strength=strength,
        )
        return Fuser(names=self.names, supplied=self.supplied, titled=self.titled, weights=weights)

    def knowing(self, aliases: AliasTable, *, rare: Sequence[str]) -> "Fuser":
        """The same fuser with another alias table and other rare labels; what it never met is trusted like the mean."""
        own = self.names
        names = BrandNames(own.names[: own.num_classes], aliases=aliases, redirects=own.redirects, rare=rare)
        kept = np.array([own.own_id(name) for name in names.names])
        return replace(self, names=names, supplied=self.supplied.take(kept), titled=self.titled.take(kept))

    def canonical_of(self, supplied: pl.Series) -> Ids:
        """The name that each supplied brand stands for in the alias table, (n,); -1 where it is junk or unknown."""
        return self.names.own_ids(self.names.aliases.canonical_of(supplied))

    def candidates(self, products: ProductSet, *, head: TrainedHead) -> tuple[Candidates, Said]:
        """The candidates of n products, and what their texts name."""
        said = self.names.said(supplied=products.supplied[_BRAND], titles=products.supplied[_TITLE])
        asked = said_classes(said, num_classes=self.names.num_classes)
        answered = ask_head(head, vectors=products.vectors, present=products.present, classes=asked)
        listed = list_candidates(
            said,
            head=answered,
            num_classes=self.names.num_classes,
            supplied_odds=self.supplied.log_odds(),
            title_odds=self.titled.log_odds(),
        )
        return listed, said

    def answer(self, products: ProductSet, *, head: TrainedHead, k: int) -> FusedAnswers:
        """The `k` likeliest brands of each product.

        Args:
            head: the head that the fuser was fitted with.
        """
        candidates, said = self.candidates(products, head=head)
        likely = choice_probabilities(candidates.inputs, valid=candidates.valid, weights=self.weights)[:, :-1]
        order = np.argsort(-likely, axis=1, kind="stable")[:, :k]
        probabilities = np.take_along_axis(likely, order, axis=1).astype(np.float32)
        top = np.where(probabilities > 0, np.take_along_axis(candidates.names[:, :-1], order, axis=1), NO_NAME)
        first = top[:, 0]
        titled = (said.titles.names == first[:, None]).any(axis=1)
        sources = np.select([first == NO_NAME, first == said.supplied, titled], [-1, 0, 1], default=2)
        return FusedAnswers(
            names=(*self.names.names, *said.new_names), top=top, probabilities=probabilities, sources=sources
        )
