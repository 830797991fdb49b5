"""Labels: the classes of a target, and which of them each product of a shard set belongs to."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.config import Config
from prodemb.core.errors import FewLabelsError
from prodemb.core.features import GOLD_LABELS, Feature

Target = Literal["category", "brand"]
"""What a head predicts."""

GOLD_COLUMNS: dict[Target, str] = dict(zip(get_args(Target), GOLD_LABELS, strict=True))
"""The column that holds the gold labels of each."""

Learned = npt.NDArray[np.bool_]
"""(n,) whether a head learns from each product of a shard set."""


class CategoryLabel(Config):
    """A taxonomy node as a class."""

    id: int
    """The node's id in the Google product taxonomy."""
    path: str
    """The names from the root down, as `A > B > C`."""


class BrandLabel(Config):
    """A canonical brand as a class."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Labels(ABC):
    """The classes, the class of each product, and what differs between the targets when a head is trained."""

    target: ClassVar[Target]
    features: ClassVar[tuple[Feature, ...]]
    """What a head reads unless `[train] features` names others; those that a shard set lacks are left out."""
    learns_single_features: ClassVar[bool]
    """Whether training also shows products with one feature alone (`[train.feature_dropout] alone`)."""
    columns: ClassVar[str]
    """The catalog columns that labels come from, for messages."""

    classes: tuple[CategoryLabel, ...] | tuple[BrandLabel, ...]
    ancestors: tuple[CategoryLabel, ...] = ()
    """For categories: the nodes above the classes that are no class themselves."""
    index: npt.NDArray[np.int32]
    """(n,) the class of each product of the shard set, in its order; -1 where it has none."""
    gold: npt.NDArray[np.bool_]
    """(n,) whether its class comes from a gold label; otherwise it comes from the supplied brand."""
    num_rare_classes: int = 0
    """Classes left out because the head learns from too few of their products."""
    num_rare_products: int = 0
    """Products in those classes, whether the head learns from them or not."""

    @property
    def num_labelled(self) -> int:
        """Products that have a class."""
        return int((self.index != NO_ANSWER).sum())

    @abstractmethod
    def frequent(self, learned: Learned, *, min_count: int, roll_up: bool) -> Self:
        """Only the classes that a head can learn.

        Args:
            learned: (n,) which products it learns from.
            min_count: how many of these a class needs.
            roll_up: whether products of a class with fewer count as a class above it, where classes have any.

        Raises:
            FewLabelsError: fewer than two classes remain.
        """

    def _kept(self, learned: Learned, *, min_count: int) -> Indices:
        """The classes with at least `min_count` products to learn from.

        Raises:
            FewLabelsError: there are fewer than two.
        """
        kept = np.flatnonzero(self.class_counts(learned) >= min_count)
        if len(kept) < 2:
            labelled = np.unique(self.index[self.index != NO_ANSWER])
            raise FewLabelsError(
                f"{self.target} head: found {len(kept)} classes with {min_count} or more products to learn from, "
                f"wanted 2 or more ({self.num_labelled:,} of {len(self.index):,} products have a label, in "
                f"{len(labelled):,} classes); it takes more products with a {self.columns}, or a smaller [train] "
                "min_examples"
            )
        return kept

    def _only(self, kept: Indices, *, ancestors: tuple[CategoryLabel, ...] = ()) -> Self:
        """These classes alone; products of the others have none."""
        num_classes = len(self.classes)
        counts = np.bincount(self.index[self.index >= 0], minlength=num_classes)
        renumbered = np.full(num_classes + 1, NO_ANSWER, dtype=np.int32)
        renumbered[kept] = np.arange(len(kept))
        return replace(
            self,
            classes=tuple(self.classes[old] for old in kept),
            ancestors=ancestors,
            index=renumbered[self.index],
            num_rare_classes=int(np.count_nonzero(counts)) - len(kept),
            num_rare_products=int(counts.sum() - counts[kept].sum()),
        )

    def class_counts(self, learned: Learned, *, num_classes: int | None = None) -> npt.NDArray[np.int64]:
        """Products of each class to learn from, (num_classes,)."""
        index = self.index[(self.index >= 0) & learned]
        return np.bincount(index, minlength=len(self.classes) if num_classes is None else num_classes)
