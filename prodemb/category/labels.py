"""The gold categories of a shard set as labels: each class is a taxonomy node."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from prodemb.core.arrays import NO_ANSWER
from prodemb.core.features import ALL_FEATURES, Feature
from prodemb.heads.labels import CategoryLabel, Labels, Learned, Target
from prodemb.shards.reader import ShardSet
from prodemb.taxonomy.gold import tell_gold, trace_gold
from prodemb.taxonomy.nodes import TaxonomyTree
from prodemb.taxonomy.roll_up import roll_up as roll_up_nodes
from prodemb.taxonomy.taxonomy import Taxonomy


@dataclass(frozen=True, kw_only=True)
class CategoryLabels(Labels):
    """Taxonomy nodes as classes."""

    target: ClassVar[Target] = "category"
    features: ClassVar[tuple[Feature, ...]] = ALL_FEATURES
    learns_single_features: ClassVar[bool] = True
    columns: ClassVar[str] = "google_category_id"

    classes: tuple[CategoryLabel, ...]
    resolved: dict[str, int] = field(default_factory=dict)
    """Gold labels as they are written, and the id of the node of each that the taxonomy still has."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Gold labels that are not in the taxonomy, most frequent first, and how many products have each."""
    renamed: dict[str, int] = field(default_factory=dict)
    """Likewise gold labels that the taxonomy has under another name: their id decides."""
    removed: dict[str, int] = field(default_factory=dict)
    """Likewise gold labels whose node the taxonomy no longer has: they count as the nearest node above it."""
    num_rolled_up: int = 0
    """Products, learned from or not, whose class is a node above the one that they are labelled with."""

    @cached_property
    def nodes(self) -> tuple[CategoryLabel, ...]:
        """The classes, then their ancestors."""
        return (*self.classes, *self.ancestors)

    @cached_property
    def tree(self) -> TaxonomyTree:
        """The tree of `nodes`, in their order."""
        return TaxonomyTree.of([node.path for node in self.nodes])

    def frequent(self, learned: Learned, *, min_count: int, roll_up: bool) -> Self:
        """Only the classes with at least `min_count` products to learn from.

        With `roll_up`, products of the others count as the nearest node above that then has enough; only products
        without such a node are left out.
        """
        labels = self._rolled_up(learned, min_count=min_count) if roll_up else self
        kept = labels._kept(learned, min_count=min_count)
        lines = labels.tree.lineage[kept]
        above = np.setdiff1d(lines[lines != NO_ANSWER], kept)
        ancestors = sorted((labels.nodes[node] for node in above), key=lambda label: label.id)
        return labels._only(kept, ancestors=tuple(ancestors))

    def _rolled_up(self, learned: Learned, *, min_count: int) -> Self:
        """The same products with the nodes that they count as, each of which is a class."""
        counts = self.class_counts(learned, num_classes=len(self.nodes))
        counts_as = roll_up_nodes(self.tree, counts=counts, min_count=min_count)
        own = np.where(counts_as == NO_ANSWER, np.arange(len(counts_as)), counts_as)
        index = np.append(own, NO_ANSWER).astype(np.int32)[self.index]
        num_rolled_up = int((index != self.index).sum())
        return replace(self, classes=self.nodes, ancestors=(), index=index, num_rolled_up=num_rolled_up)


def category_labels(shard_set: ShardSet, *, taxonomy: Taxonomy, taxonomy_name: str) -> CategoryLabels:
    """Classes from the gold column `google_category_id`, which holds ids or whole paths; a class is a taxonomy node.

    Labels of another version or locale are mapped to nodes of this one (`Taxonomy.trace`); renamed, removed and unknown
    labels are logged, one line each.

    Args:
        taxonomy: what resolves them.
        taxonomy_name: the taxonomy's name for messages, such as its file.

    Raises:
        TaxonomyError: no gold label is in the taxonomy.
    """
    texts = shard_set.coded("google_category_id")
    counts = dict(zip(texts.values, texts.counts.tolist(), strict=True))
    found = trace_gold(counts, taxonomy=taxonomy, taxonomy_name=taxonomy_name, where=shard_set.name)
    tell_gold(found, taxonomy_name=taxonomy_name, where=shard_set.name)
    ids = sorted({node for node in found.nodes.values() if node is not None})
    above = {node for known in ids for node in taxonomy.ancestors(known)}.difference(ids)
    position: dict[int | None, int] = {node: index for index, node in enumerate(ids)}
    index = texts.mapped((position.get(found.nodes[text], NO_ANSWER) for text in texts.values), none=NO_ANSWER)
    return CategoryLabels(
        classes=tuple(CategoryLabel(id=node, path=taxonomy.path_of(node)) for node in ids),
        ancestors=tuple(CategoryLabel(id=node, path=taxonomy.path_of(node)) for node in sorted(above)),
        index=index,
        gold=index >= 0,
        resolved={text: node for text, node in found.nodes.items() if node is not None and text not in found.removed},
        unknown=found.unknown,
        renamed=found.renamed,
        removed=found.removed,
    )
