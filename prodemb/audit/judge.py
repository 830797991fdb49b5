"""What holds the answers of a predictor against what was supplied and labelled, whatever the target."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import numpy.typing as npt

from prodemb.core.arrays import NO_ANSWER, Floats, Indices
from prodemb.core.features import Feature
from prodemb.heads.neighbours import Nearest
from prodemb.shards.product_set import ProductSet

NUM_ANSWERS = 5
"""Most probable answers that are looked at."""
NUM_NEAREST = 3
"""Labelled products that are shown as evidence."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The answers for n products beside what was supplied for them. Ids are those of `Auditor`; -1 for none."""

    answers: npt.NDArray[np.int64]
    """(n, k) the most probable ones, best first."""
    probabilities: Floats
    """(n, k) of these."""
    sources: npt.NDArray[np.int64]
    """(n,) the index in `Auditor.sources` of the voice that decided for the first."""
    supplied: npt.NDArray[np.int64]
    """(n,) what the supplied value stands for."""
    supplied_confidences: Floats
    """(n,) the probability of that, by the top answers."""
    suggestions: npt.NDArray[np.int64]
    """(n,) the confident answer that is another than the supplied value; -1 where there is none."""
    confidences: Floats
    """(n,) its probability."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The nearest labelled products of n products, nearest first."""

    rows: npt.NDArray[np.int64]
    """(n, 3) their rows in the shard set; -1 where they are of another set, or there are fewer."""
    labels: npt.NDArray[np.int64]
    """(n, 3) the ids of their labels; -1 where there are fewer."""
    cosines: Floats
    """(n, 3)."""

    @classmethod
    def of(cls, nearest: Nearest, *, rows: Indices | None, ids: Indices) -> "Evidence":
        """The evidence of neighbours.

        Args:
            nearest: of n products.
            rows: (m,) the rows of the labelled products in the shard set that is audited; None where they are of
                another.
            ids: (num_labels + 1,) the id of each of their labels; the last of `NO_ANSWER`.
        """
        found = nearest.products
        known = np.full(found.shape, NO_ANSWER) if rows is None else np.where(found >= 0, rows[found], NO_ANSWER)
        parts = (known, ids[nearest.labels], nearest.cosines)
        width = ((0, 0), (0, max(0, NUM_NEAREST - found.shape[1])))
        padded = (np.pad(part[:, :NUM_NEAREST], width, constant_values=NO_ANSWER) for part in parts)
        return cls(rows=next(padded), labels=next(padded), cosines=next(padded))

    @classmethod
    def concat(cls, parts: "Sequence[Evidence]") -> "Evidence":
        """The evidence of several lists of products as one; at least one part."""
        return cls(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)})

    def take(self, rows: Indices) -> "Evidence":
        """That of some of the products, (m,)."""
        return Evidence(rows=self.rows[rows], labels=self.labels[rows], cosines=self.cosines[rows])


class Auditor(Protocol):
    """One predictor; brands and categories have ids that are the same for all predictors of the audit."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features whose vectors it reads."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The voices that can decide."""

    def judge(self, products: ProductSet) -> Judged:
        """Its answers for n products, at least one."""

    def contradicts(self, answers: Indices, labels: Indices) -> npt.NDArray[np.bool_]:
        """(n, k) which answers (n, k) cannot be true where the labels (n,) are; -1 never contradicts."""

    def evidence(self, products: ProductSet) -> Evidence:
        """The nearest labelled products of n products."""
