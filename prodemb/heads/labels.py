"""Labels: which class each product of a shard set belongs to, and what the classes are called."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.junk import UNBRANDED, find_junk
from prodemb.aliases.normalise import normalise_brand
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.config import Config
from prodemb.core.errors import FewLabelsError
from prodemb.core.features import raw_column
from prodemb.heads.split import TRAIN, Parts
from prodemb.shards.reader import ShardSet
from prodemb.taxonomy.gold import tell_gold, trace_gold
from prodemb.taxonomy.nodes import Tree
from prodemb.taxonomy.roll_up import roll_up
from prodemb.taxonomy.taxonomy import Taxonomy

Target = Literal["category", "brand"]
"""What a head answers."""

CanonicalOf = Callable[[pl.Series], pl.Series]
"""The canonical brand of each supplied one, null where it is unknown or junk: (n,) string to (n,) string."""


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
class Labels:
    """The classes, the class of each product, and what was left out on the way."""

    target: Target
    classes: tuple[CategoryLabel, ...] | tuple[BrandLabel, ...]
    index: npt.NDArray[np.int32]
    """(n,) the class of each product of the shard set, in its order; -1 where it has none."""
    gold: npt.NDArray[np.bool_]
    """(n,) whether its class comes from a gold label; the others' comes from the supplied brand."""
    ancestors: tuple[CategoryLabel, ...] = ()
    """For categories: the nodes above the classes that are no class themselves."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Gold labels that are in no taxonomy, most frequent first, and how many products carry each."""
    renamed: dict[str, int] = field(default_factory=dict)
    """Likewise gold labels that the taxonomy has under another name: their id decides."""
    removed: dict[str, int] = field(default_factory=dict)
    """Likewise gold labels whose node the taxonomy no longer has: they are the nearest node above it."""
    num_rare_classes: int = 0
    """Classes left out because too few products of the training part carry them."""
    num_rare_products: int = 0
    """Products, of all parts, in those classes."""
    num_rolled_up: int = 0
    """Products, of all parts, whose class is a node above the one that they are labelled with."""

    @property
    def num_labelled(self) -> int:
        """Products that have a class."""
        return int((self.index != NO_ANSWER).sum())

    @cached_property
    def nodes(self) -> tuple[CategoryLabel, ...]:
        """The classes, then their ancestors; for categories."""
        return (*(label for label in self.classes if isinstance(label, CategoryLabel)), *self.ancestors)

    @cached_property
    def tree(self) -> Tree:
        """Where `nodes` stand, in their order; for categories."""
        return Tree.of([node.path for node in self.nodes])

    def with_examples(self, parts: Parts, *, at_least: int, rolled_up: bool = False) -> "Labels":
        """Leave out the classes that fewer than `at_least` products of the training part carry.

        Args:
            parts: (n,) the split.
            rolled_up: instead, count their products as the nearest node above that then has enough; only products
                without such a node are left out. For categories.

        Raises:
            FewLabelsError: fewer than two classes remain.
        """
        if rolled_up:
            return self._rolled_up(parts, at_least=at_least).with_examples(parts, at_least=at_least)
        num_classes = len(self.classes)
        carried = np.bincount(self.index[self.index >= 0], minlength=num_classes)
        examples = self._examples(parts, num_classes=num_classes)
        kept = np.flatnonzero(examples >= at_least)
        if len(kept) < 2:
            raise FewLabelsError(
                f"{self.target} head: found {len(kept)} classes with {at_least} or more training products, wanted 2 or "
                f"more ({self.num_labelled:,} of {len(self.index):,} products have a label, in "
                f"{np.count_nonzero(carried):,} classes); it takes {_WANTED[self.target]}"
            )
        renumbered = np.full(num_classes + 1, NO_ANSWER, dtype=np.int32)
        renumbered[kept] = np.arange(len(kept))
        return replace(
            self,
            classes=tuple(self.classes[old] for old in kept),  # type: ignore[arg-type]
            ancestors=self._above(kept) if self.target == "category" else (),
            index=renumbered[self.index],
            num_rare_classes=int(np.count_nonzero(carried)) - len(kept),
            num_rare_products=int(carried.sum() - carried[kept].sum()),
        )

    def _rolled_up(self, parts: Parts, *, at_least: int) -> "Labels":
        """The same products with the nodes that they count as, of which each is a class."""
        counts_as = roll_up(self.tree, examples=self._examples(parts, num_classes=len(self.nodes)), at_least=at_least)
        own = np.where(counts_as == NO_ANSWER, np.arange(len(counts_as)), counts_as)
        index = np.append(own, NO_ANSWER).astype(np.int32)[self.index]
        return replace(
            self, classes=self.nodes, ancestors=(), index=index, num_rolled_up=int((index != self.index).sum())
        )

    def _examples(self, parts: Parts, *, num_classes: int) -> npt.NDArray[np.int64]:
        """Training products of each class, (num_classes,)."""
        return np.bincount(self.index[(self.index >= 0) & (parts == TRAIN)], minlength=num_classes)

    def _above(self, kept: Indices) -> tuple[CategoryLabel, ...]:
        """The nodes above these nodes that are none of them, by id."""
        lines = self.tree.lineage[kept]
        above = np.setdiff1d(lines[lines != NO_ANSWER], kept)
        return tuple(sorted((self.nodes[node] for node in above), key=lambda label: label.id))


_WANTED: dict[Target, str] = {
    "category": "more products with a google_category_id, or a smaller [train] min_examples",
    "brand": "more products with a brand or brand_label, or a smaller [train] min_examples",
}


def category_labels(shard_set: ShardSet, *, taxonomy: Taxonomy, taxonomy_name: str) -> Labels:
    """Classes from the gold column `google_category_id`, which holds ids or whole paths; a class is a taxonomy node.

    Labels of another version or locale are traced to nodes of this one (`Taxonomy.trace`); what was renamed, removed
    or is not known at all is told in one line each.

    Args:
        taxonomy: what resolves them.
        taxonomy_name: how to call it in messages: its file, or what it is.

    Raises:
        TaxonomyError: no gold label is in the taxonomy.
    """
    texts = shard_set.coded("google_category_id")
    counts = dict(zip(texts.values, texts.counts.tolist(), strict=True))
    found = trace_gold(counts, taxonomy=taxonomy, taxonomy_name=taxonomy_name, where=str(shard_set.folder))
    tell_gold(found, taxonomy_name=taxonomy_name, where=str(shard_set.folder))
    ids = sorted({node for node in found.nodes.values() if node is not None})
    above = {node for known in ids for node in taxonomy.ancestors(known)}.difference(ids)
    place: dict[int | None, int] = {node: index for index, node in enumerate(ids)}
    index = texts.mapped((place.get(found.nodes[text], NO_ANSWER) for text in texts.values), none=NO_ANSWER)
    return Labels(
        target="category",
        classes=tuple(CategoryLabel(id=node, path=taxonomy.path_of(node)) for node in ids),
        ancestors=tuple(CategoryLabel(id=node, path=taxonomy.path_of(node)) for node in sorted(above)),
        index=index,
        gold=index >= 0,
        unknown=found.unknown,
        renamed=found.renamed,
        removed=found.removed,
    )


def brand_labels(shard_set: ShardSet, *, canonical_of: CanonicalOf, corrected: CanonicalOf | None = None) -> Labels:
    """Classes from the gold column `brand_label`, and where it is empty from the supplied brand, made canonical.

    Names with one comparison key (`normalise_brand`) are one class, under the gold label's spelling, or else the most
    frequent one.

    Args:
        canonical_of: what makes supplied brands canonical.
        corrected: what a person made of gold labels, if anything.
    """
    labelled, sent = shard_set.coded("brand_label"), shard_set.coded(raw_column("brand"))
    gold = labelled.values.str.strip_chars()
    gold = gold.set(gold == "", None)
    gold = _without_junk(corrected(gold) if corrected is not None else gold)
    supplied = canonical_of(sent.values)
    names = _spellings(gold, supplied, counts=(labelled.counts, sent.counts))
    gold_names, supplied_names = _respell(gold, names), _respell(supplied, names)
    classes = sorted({*gold_names.drop_nulls(), *supplied_names.drop_nulls()})
    place: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
    by_gold = labelled.mapped((place.get(name, NO_ANSWER) for name in gold_names), none=NO_ANSWER)
    by_supplied = sent.mapped((place.get(name, NO_ANSWER) for name in supplied_names), none=NO_ANSWER)
    is_gold = by_gold != NO_ANSWER
    return Labels(
        target="brand",
        classes=tuple(BrandLabel(name=name) for name in classes),
        index=np.where(is_gold, by_gold, by_supplied),
        gold=is_gold,
    )


def _without_junk(gold: pl.Series) -> pl.Series:
    """Gold labels, null where they are a placeholder, and UNBRANDED where they say that there is no brand."""
    distinct = gold.unique().drop_nulls()
    rules = {name: found.rule for name in distinct if (found := find_junk(name))}
    meant: dict[str, str | None] = {name: UNBRANDED for name, rule in rules.items() if rule == "unbranded"}
    meant |= {name: None for name, rule in rules.items() if rule == "placeholder"}
    kept = pl.Series([meant.get(name, name) for name in distinct], dtype=pl.String)
    return gold.cast(pl.String).replace_strict(distinct, kept, default=None, return_dtype=pl.String)


def _spellings(
    gold: pl.Series, supplied: pl.Series, *, counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> pl.DataFrame:
    """For each key of a brand, one spelling: columns `key`, `name`.

    Args:
        counts: how many products have each of the gold ones, and of the supplied ones.
    """
    spelled = pl.concat(
        pl.DataFrame({"name": names.cast(pl.String), "count": count}).with_columns(rank=rank)
        for rank, (names, count) in enumerate(zip((gold, supplied), counts, strict=True))
    ).drop_nulls("name")
    counted = spelled.group_by("name", "rank").agg(pl.col("count").sum())
    counted = counted.with_columns(key=_keys(counted["name"]))
    ordered = counted.sort("rank", "count", "name", descending=[False, True, False])
    return ordered.unique("key", keep="first", maintain_order=True).select("key", "name")


def _respell(names: pl.Series, spellings: pl.DataFrame) -> pl.Series:
    """Each name in its key's one spelling, (n,) string."""
    keys = pl.DataFrame({"key": _keys(names)})
    return keys.join(spellings, on="key", how="left", maintain_order="left")["name"]


def _keys(names: pl.Series) -> pl.Series:
    """What spellings of one brand have in common, (n,) string; the name itself where it has no letter or digit."""
    column = names.cast(pl.String)
    distinct = column.unique().drop_nulls()
    keys = pl.Series([normalise_brand(name) or name for name in distinct], dtype=pl.String)
    return column.replace_strict(distinct, keys, default=None, return_dtype=pl.String)
