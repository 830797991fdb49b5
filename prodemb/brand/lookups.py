"""Baselines for brands that learn nothing: the supplied brand, as it is or canonical, and the first words of titles."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from prodemb.aliases.normalise import words_of
from prodemb.aliases.titles import TitleNames
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.heads.baselines import BaselineInputs, FittedBaseline, Predict, Ranking

CanonicalIds = Callable[[pl.Series], Indices]
"""The index of the canonical brand of each supplied one, (n,) string to (n,); `NO_ANSWER` where there is none."""


def brand_lookups(brands: Sequence[str], *, canonical_ids: CanonicalIds) -> tuple[FittedBaseline, ...]:
    """The methods that learn nothing.

    Args:
        brands: names to predict: those of the head's classes, then others.
        canonical_ids: maps supplied brands to indices of these.
    """
    methods: dict[str, Predict] = {
        "supplied as is": copy_supplied(brands),
        "supplied canonical": lambda test: Ranking(topk=canonical_ids(test.brands)[:, None]),
        "first words of title": read_title_start(brands),
    }
    return tuple(FittedBaseline(name=name, predict=predict) for name, predict in methods.items())


def copy_supplied(brands: Sequence[str]) -> Predict:
    """The supplied brand letter by letter."""
    ids = {name: index for index, name in enumerate(brands)}
    return lambda test: Ranking(topk=np.array([ids.get(text or "", NO_ANSWER) for text in test.brands])[:, None])


def read_title_start(brands: Sequence[str]) -> Predict:
    """The longest brand that the title begins with, ignoring case and punctuation."""
    names = TitleNames({" ".join(words_of(name)): index for index, name in enumerate(brands)})

    def predict(test: BaselineInputs) -> Ranking:
        matches = names.find(test.titles)
        return Ranking(topk=np.where(matches.offsets[:, :1] == 0, matches.names[:, :1], NO_ANSWER))

    return predict
