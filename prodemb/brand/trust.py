"""How far the names in supplied brands and in titles can be trusted, as the labelled training products tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from prodemb.aliases.normalise import words_of
from prodemb.brand.names import NO_NAME, BrandNames, Ids, Said

_PRIOR = 4.0
"""Products that the mean over all names counts for, beside those of one name."""

_SURE = 0.8
"""Share of a name's products that must carry one and the same label for the name to stand for it."""

_LEAST = 2
"""Products that must say so."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How often each of m names was met in one place, and how often it was the label."""

    met: npt.NDArray[np.int64]
    """(m,)."""
    right: npt.NDArray[np.int64]
    """(m,)."""

    @classmethod
    def of(cls, ids: Ids, *, labels: Ids, num_names: int) -> Self:
        """Count.

        Args:
            ids: (n,) or (n, k) names met; -1 where there is none.
            labels: (n,) the true names.
        """
        wide = ids if ids.ndim == 2 else ids[:, None]
        met = wide[wide >= 0]
        right = wide[(wide >= 0) & (wide == labels[:, None])]
        return cls(
            met=np.bincount(met[met < num_names], minlength=num_names),
            right=np.bincount(right[right < num_names], minlength=num_names),
        )

    def take(self, names: Ids) -> "Counts":
        """Those of some names; none for a name of number -1."""
        known = names >= 0
        return Counts(met=np.where(known, self.met[names], 0), right=np.where(known, self.right[names], 0))

    def log_odds(self) -> npt.NDArray[np.float32]:
        """(m + 1,) the log odds that the name is the label, drawn to the mean of all; last that of a name not met."""
        mean = (self.right.sum() + 1) / (self.met.sum() + 2)
        met, right = np.append(self.met, 0), np.append(self.right, 0)
        share = (right + _PRIOR * mean) / (met + _PRIOR)
        share = np.clip(share, 0.002, 0.998)
        return np.asarray(np.log(share / (1 - share)), dtype=np.float32)


def find_redirects(said: Said, *, labels: Ids, names: BrandNames) -> Mapping[int, int]:
    """Names that stand for a class which they begin with or that they begin ("Casio Edifice": Casio), by their labels.

    Only names that no label bears; those whose products carry one and the same label, with very few exceptions.

    Args:
        said: what supplied brands and titles name, of n training products.
        labels: (n,) the gold names, by number.

    Returns:
        Numbers to numbers of classes.
    """
    first_free = names.num_classes + len(names.rare)
    ids = np.concatenate([said.supplied[:, None], said.titles.names[:, :1]], axis=1)
    # A product that names it twice is one product.
    ids[ids[:, 0] == ids[:, 1], 1] = NO_NAME
    is_class = (labels >= 0) & (labels < names.num_classes)
    rows, columns = np.nonzero((ids >= first_free) & (ids < len(names.names)) & is_class[:, None])
    met, meant = ids[rows, columns], labels[rows]
    pairs, counts = np.unique(np.stack([met, meant], axis=1), axis=0, return_counts=True)
    total = np.bincount(ids[(ids >= 0) & (ids < len(names.names))], minlength=len(names.names))
    return {
        int(name): int(label)
        for (name, label), count in zip(pairs, counts, strict=True)
        if count >= _LEAST and count >= _SURE * total[name] and _are_related(names.names[name], names.names[label])
    }


def _are_related(first: str, second: str) -> bool:
    """Whether one of two names begins with the words of the other."""
    words, others = words_of(first), words_of(second)
    length = min(len(words), len(others))
    return length > 0 and words[:length] == others[:length]
