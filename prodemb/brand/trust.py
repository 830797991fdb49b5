"""How often names in supplied brands and titles are correct on training products, and which stand for others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from prodemb.aliases.normalise import words_of
from prodemb.brand.names import NO_NAME, BrandNames, Mentions, NameIds

_PRIOR = 4.0
"""Products that the mean over all names counts as, beside those of one name."""

_MIN_SHARE = 0.8
"""Share of a name's products that must have one label for the name to stand for it."""

_MIN_COUNT = 2
"""How many these must be."""


@dataclass(frozen=True, kw_only=True)
class NameCounts:
    """How often each of m names occurs in one source, and how often it is the label."""

    count: npt.NDArray[np.int64]
    """(m,)."""
    correct: npt.NDArray[np.int64]
    """(m,)."""

    @classmethod
    def of(cls, ids: NameIds, *, labels: NameIds, num_names: int) -> Self:
        """Count.

        Args:
            ids: (n,) or (n, k) names; -1 where there is none.
            labels: (n,) the true names.
        """
        wide = ids if ids.ndim == 2 else ids[:, None]
        occurring = wide[wide >= 0]
        correct = wide[(wide >= 0) & (wide == labels[:, None])]
        return cls(
            count=np.bincount(occurring[occurring < num_names], minlength=num_names),
            correct=np.bincount(correct[correct < num_names], minlength=num_names),
        )

    def take(self, names: NameIds) -> "NameCounts":
        """Those of some names; zeros for an id of -1."""
        known = names >= 0
        return NameCounts(count=np.where(known, self.count[names], 0), correct=np.where(known, self.correct[names], 0))

    def log_odds(self) -> npt.NDArray[np.float32]:
        """(m + 1,) the log odds that the name is the label, shrunk to the mean of all; the last is of new names."""
        mean = (self.correct.sum() + 1) / (self.count.sum() + 2)
        count, correct = np.append(self.count, 0), np.append(self.correct, 0)
        share = (correct + _PRIOR * mean) / (count + _PRIOR)
        share = np.clip(share, 0.002, 0.998)
        return np.asarray(np.log(share / (1 - share)), dtype=np.float32)


def find_redirects(mentions: Mentions, *, labels: NameIds, names: BrandNames) -> Mapping[int, int]:
    """Names that stand for a class of which one begins with the other ("Casio Edifice": Casio), by their labels.

    Only names that are no label themselves, whose products have one label with very few exceptions.

    Args:
        mentions: of n training products.
        labels: (n,) the ids of the gold names.

    Returns:
        Ids of names to ids of classes.
    """
    first_free = names.num_classes + len(names.rare)
    ids = np.concatenate([mentions.supplied[:, None], mentions.titles.names[:, :1]], axis=1)
    # A product that names it twice is one product.
    ids[ids[:, 0] == ids[:, 1], 1] = NO_NAME
    is_class = (labels >= 0) & (labels < names.num_classes)
    rows, columns = np.nonzero((ids >= first_free) & (ids < len(names.names)) & is_class[:, None])
    pairs, counts = np.unique(np.stack([ids[rows, columns], labels[rows]], axis=1), axis=0, return_counts=True)
    total = np.bincount(ids[(ids >= 0) & (ids < len(names.names))], minlength=len(names.names))
    return {
        int(name): int(label)
        for (name, label), count in zip(pairs, counts, strict=True)
        if count >= _MIN_COUNT
        and count >= _MIN_SHARE * total[name]
        and _are_related(names.names[name], names.names[label])
    }


def _are_related(first: str, second: str) -> bool:
    """Whether one of two names begins with the words of the other."""
    words, others = words_of(first), words_of(second)
    length = min(len(words), len(others))
    return length > 0 and words[:length] == others[:length]
