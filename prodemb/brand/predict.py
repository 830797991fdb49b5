"""Predicting brands: one brand per product, with one confidence, from its supplied brand, its title and the head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from prodemb.aliases.table import AliasTable
from prodemb.brand.candidates import PRIOR_WEIGHTS, list_candidates, mentioned_classes
from prodemb.brand.head_output import predict_log_proba
from prodemb.brand.names import NO_NAME, BrandNames, Mentions, NameIds
from prodemb.brand.trust import NameCounts, find_redirects
from prodemb.confidence.candidates import Candidates
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.arrays import Floats
from prodemb.core.features import raw_column
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.heads.neighbours import Nearest, Neighbours
from prodemb.shards.product_set import ProductSet

_BRAND, _TITLE = raw_column("brand"), raw_column("title")

_DOUBT = 0.5
"""Probability of none of the candidates from which a product counts as one whose brand nobody knows."""

SOURCES = ("supplied", "title", "head")
"""Where a brand can come from; its source is the first of these that names it."""


@dataclass(frozen=True, kw_only=True)
class BrandPrediction:
    """The most probable brands of n products."""

    names: tuple[str, ...]
    """The names that `brands` are indices of."""
    brands: NameIds
    """(n, k) indices into `names`, the most probable first; -1 where there are fewer."""
    probabilities: Floats
    """(n, k) of these; 0 where there is none."""
    sources: npt.NDArray[np.int64]
    """(n,) the index in `SOURCES` of where the first one comes from; -1 where there is none."""
    known: npt.NDArray[np.bool_]
    """(n,) whether the first one is a label or in the alias table, and "none of them" is unlikely."""


@dataclass(frozen=True, kw_only=True)
class Fuser:
    """Combines supplied brand, title and head: the names, how often they were correct, and a model of candidates."""

    names: BrandNames
    supplied: NameCounts
    """(m,) of the names as supplied brands."""
    titles: NameCounts
    """(m,) of the names in titles."""
    model: ConditionalLogit
    """Over the features of `PRIOR_WEIGHTS`."""
    neighbours: Neighbours | None = None
    """Labelled products, by the index of their brand in `label_names`; None before there are any."""
    label_names: tuple[str, ...] = ()

    @classmethod
    def untrained(cls, classes: Sequence[str], *, aliases: AliasTable, rare: Sequence[str] = ()) -> "Fuser":
        """A fuser that has seen no product: all names are trusted alike, with the weights of `PRIOR_WEIGHTS`."""
        names = BrandNames(classes, aliases=aliases, redirects={}, rare=rare)
        nothing = NameCounts.of(np.zeros(0, np.int64), labels=np.zeros(0, np.int64), num_names=len(names.names))
        model = ConditionalLogit(weights=np.array([[*PRIOR_WEIGHTS.values()]]))
        return cls(names=names, supplied=nothing, titles=nothing, model=model)

    def fit_names(self, supplied: pl.Series, *, titles: pl.Series, labels: pl.Series, gold: bool) -> "Fuser":
        """Count on training products how often each name is correct.

        Args:
            supplied: (n,) string.
            titles: (n,) string.
            labels: (n,) string, the true brands.
            gold: whether the labels are gold, so that redirects between names may be learned.
        """
        names, num_names = self.names, len(self.names.names)
        mentions, true = names.mentions(supplied=supplied, titles=titles), names.ids_of(labels)
        if gold:
            found = find_redirects(mentions, labels=true, names=names)
            # What a person wrote in the alias file takes precedence over the labels.
            persons = names.aliases.is_persons
            names = names.redirected({name: to for name, to in found.items() if not persons(names.names[name])})
            mentions = names.mentions(supplied=supplied, titles=titles)
        return replace(
            self,
            names=names,
            supplied=NameCounts.of(mentions.supplied, labels=true, num_names=num_names),
            titles=NameCounts.of(mentions.titles.standalone(), labels=true, num_names=num_names),
        )

    def with_aliases(self, aliases: AliasTable, *, rare: Sequence[str]) -> "Fuser":
        """The same fuser with another alias table and other rare labels; new names are trusted like the average."""
        own = self.names
        names = BrandNames(own.names[: own.num_classes], aliases=aliases, redirects=own.redirects, rare=rare)
        kept = np.array([own.id_of(name) for name in names.names])
        return replace(self, names=names, supplied=self.supplied.take(kept), titles=self.titles.take(kept))

    def canonical_ids(self, supplied: pl.Series) -> NameIds:
        """The name that each supplied brand stands for in the alias table, (n,); -1 where it is junk or unknown."""
        return self.names.ids_of(self.names.aliases.canonical_of(supplied))

    def candidates(
        self, products: ProductSet, *, head: TrainedHead, hidden: NameIds | None = None
    ) -> tuple[Candidates, Mentions]:
        """The candidates of n products, and what their texts name.

        Args:
            hidden: (n,) a name for each product that it is judged as if nobody knew; none where it is not given.
        """
        mentions = self.names.mentions(supplied=products.supplied[_BRAND], titles=products.supplied[_TITLE])
        num_classes, hidden_class = self.names.num_classes, None
        if hidden is not None:
            mentions = mentions.without(hidden)
            hidden_class = np.where(hidden < num_classes, hidden, NO_NAME)
        classes = mentioned_classes(mentions, num_classes=num_classes)
        candidates = list_candidates(
            mentions,
            head=predict_log_proba(head, products, classes=classes, hidden=hidden_class),
            nearest=self._nearest(products, hidden=hidden),
            num_classes=num_classes,
            supplied_log_odds=self.supplied.log_odds(),
            title_log_odds=self.titles.log_odds(),
        )
        return candidates, mentions

    def _nearest(self, products: ProductSet, *, hidden: NameIds | None) -> Nearest:
        """The nearest labelled products, by the ids of their brands."""
        if self.neighbours is None:
            return Nearest.nobody(len(products))
        nearest = self.neighbours.nearest(products.of(self.neighbours.features), k=50 if hidden is None else 1000)
        nearest = replace(nearest, labels=np.where(nearest.labels >= 0, self._label_ids[nearest.labels], NO_NAME))
        return nearest if hidden is None else nearest.without(nearest.labels == hidden[:, None]).first(50)

    @cached_property
    def _label_ids(self) -> NameIds:
        return self.names.ids_of(pl.Series(self.label_names, dtype=pl.String))

    def predict(self, products: ProductSet, *, head: TrainedHead, k: int) -> BrandPrediction:
        """The `k` most probable brands of each product.

        Args:
            head: the head that the fuser was fitted with.
        """
        candidates, mentions = self.candidates(products, head=head)
        return self.weigh(candidates, mentions, k=k)

    def weigh(self, candidates: Candidates, mentions: Mentions, *, k: int) -> BrandPrediction:
        """The `k` most probable brands from the candidates of n products, and what their texts name."""
        all_proba = candidates.predict_proba(self.model)
        proba, none = all_proba[:, :-1], all_proba[:, -1]
        order = np.argsort(-proba, axis=1, kind="stable")[:, :k]
        probabilities = np.take_along_axis(proba, order, axis=1).astype(np.float32)
        brands = np.where(probabilities > 0, np.take_along_axis(candidates.ids[:, :-1], order, axis=1), NO_NAME)
        first = brands[:, 0]
        in_title = (mentions.titles.names == first[:, None]).any(axis=1)
        sources = np.select([first == NO_NAME, first == mentions.supplied, in_title], [-1, 0, 1], default=2)
        names = (*self.names.names, *mentions.new_names)
        known = (first != NO_NAME) & (first < len(self.names.names)) & (none < _DOUBT)
        return BrandPrediction(names=names, brands=brands, probabilities=probabilities, sources=sources, known=known)


@dataclass(frozen=True, kw_only=True)
class BrandPredictor:
    """A trained brand head and the fuser that was fitted with it."""

    head: TrainedHead
    fuser: Fuser

    @property
    def card(self) -> HeadCard:
        """The head's."""
        return self.head.card

    def to(self, device: torch.device) -> Self:
        """Move the head's weights to `device`, in place."""
        self.head.to(device)
        return self

    def predict(self, products: ProductSet, *, k: int) -> BrandPrediction:
        """The `k` most probable brands of each product."""
        return self.fuser.predict(products, head=self.head, k=k)
