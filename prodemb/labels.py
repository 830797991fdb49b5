"""Labels: which class each product of a shard set belongs to, and what the classes are called."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.brands.junk import UNBRANDED, find_junk
from prodemb.brands.normalise import normalise_brand
from prodemb.catalog.taxonomy import Taxonomy
from prodemb.config import Config
from prodemb.errors import HeadError, TaxonomyError
from prodemb.features import supplied_column
from prodemb.metrics import NO_ANSWER
from prodemb.shards.reader import ShardSet
from prodemb.split import TRAIN, Parts

logger = logging.getLogger(__name__)

Target = Literal["category", "brand"]
"""What a head answers."""

CanonicalOf = Callable[[pl.Series], pl.Series]
"""The canonical brand of each supplied one, null where it is unknown or junk: (n,) string to (n,) string."""

_SHOWN = 5


class CategoryLabel(Config):
    """A taxonomy node as a class."""

    id: int
    """The node's id in the Google product taxonomy."""
    path: str
    """The names from the root down, as `A > B > C`."""


class BrandLabel(Config):
    """A canonical brand as a class."""

    name: str


Label = CategoryLabel | BrandLabel


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The classes, the class of each product, and what was left out on the way."""

    target: Target
    classes: tuple[CategoryLabel, ...] | tuple[BrandLabel, ...]
    index: npt.NDArray[np.int64]
    """(n,) the class of each product of the shard set, in its order; -1 where it has none."""
    gold: npt.NDArray[np.bool_]
    """(n,) whether its class comes from a gold label; the others' comes from the supplied brand."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Gold labels that are in no taxonomy, most frequent first, and how many products carry each."""
    num_rare_classes: int = 0
    """Classes left out because too few products of the training part carry them."""
    num_rare_products: int = 0
    """Products, of all parts, in those classes."""

    @property
    def num_labelled(self) -> int:
        """Products that have a class."""
        return int((self.index != NO_ANSWER).sum())

    def with_examples(self, parts: Parts, *, at_least: int) -> "Labels":
        """Leave out the classes that fewer than `at_least` products of the training part carry.

        Args:
            parts: (n,) the split.

        Raises:
            HeadError: fewer than two classes remain.
        """
        num_classes = len(self.classes)
        carried = np.bincount(self.index[self.index >= 0], minlength=num_classes)
        examples = np.bincount(self.index[(self.index >= 0) & (parts == TRAIN)], minlength=num_classes)
        kept = np.flatnonzero(examples >= at_least)
        if len(kept) < 2:
            raise HeadError(
                f"{self.target} head: found {len(kept)} classes with {at_least} or more training products, wanted 2 or "
                f"more ({self.num_labelled:,} of {len(self.index):,} products have a label, in "
                f"{np.count_nonzero(carried):,} classes); it takes {_WANTED[self.target]}"
            )
        renumbered = np.full(num_classes + 1, NO_ANSWER)
        renumbered[kept] = np.arange(len(kept))
        return replace(
            self,
            classes=tuple(self.classes[old] for old in kept),  # type: ignore[arg-type]
            index=renumbered[self.index],
            num_rare_classes=int(np.count_nonzero(carried)) - len(kept),
            num_rare_products=int(carried.sum() - carried[kept].sum()),
        )


_WANTED: dict[Target, str] = {
    "category": "a google_category_id column, or a smaller [train] min_examples",
    "brand": "a brand or brand_label column, or a smaller [train] min_examples",
}


def category_labels(shard_set: ShardSet, *, taxonomy: Taxonomy, taxonomy_name: str) -> Labels:
    """Classes from the gold column `google_category_id`, which holds ids or whole paths; a class is a taxonomy node.

    Args:
        taxonomy: what resolves them.
        taxonomy_name: how to call it in messages: its file, or what it is.

    Raises:
        TaxonomyError: no gold label is in the taxonomy.
    """
    texts = shard_set.frame(["google_category_id"]).to_series()
    counts = texts.drop_nulls().value_counts(name="count").sort("count", texts.name, descending=[True, False])
    resolved = {text: taxonomy.resolve(text) for text in counts["google_category_id"].to_list()}
    unknown = {text: count for text, count in counts.iter_rows() if resolved[text] is None}
    if unknown:
        message = unknown_categories(unknown, where=str(shard_set.folder), taxonomy_name=taxonomy_name)
        if len(unknown) == len(resolved):
            raise TaxonomyError(f'{message}; none is, so wanted the taxonomy they are from: [train] taxonomy = "PATH"')
        logger.warning('%s; they are left out: give the taxonomy they are from, [train] taxonomy = "PATH"', message)
    ids = sorted({node for node in resolved.values() if node is not None})
    place = {node: index for index, node in enumerate(ids)}
    index = _indices(texts, {text: place[node] for text, node in resolved.items() if node is not None})
    classes = tuple(CategoryLabel(id=node, path=taxonomy.path_of(node)) for node in ids)
    return Labels(target="category", classes=classes, index=index, gold=index >= 0, unknown=unknown)


def unknown_categories(unknown: dict[str, int], *, where: str, taxonomy_name: str) -> str:
    """One line about categories that a taxonomy lacks.

    Args:
        unknown: how many products carry each, most frequent first.
        where: the catalog or shard set.
    """
    return (
        f"{where}: {sum(unknown.values()):,} products carry a google_category_id that is not in {taxonomy_name}: "
        f"{_listed(list(unknown))}"
    )


def brand_labels(shard_set: ShardSet, *, canonical_of: CanonicalOf, corrected: CanonicalOf | None = None) -> Labels:
    """Classes from the gold column `brand_label`, and where it is empty from the supplied brand, made canonical.

    Names with one comparison key (`normalise_brand`) are one class, under the gold label's spelling, or else the most
    frequent one.

    Args:
        canonical_of: what makes supplied brands canonical.
        corrected: what a person made of gold labels, if anything.
    """
    frame = shard_set.frame(["brand_label", supplied_column("brand")])
    gold = frame["brand_label"].str.strip_chars()
    gold = gold.set(gold == "", None)
    gold = _without_junk(corrected(gold) if corrected is not None else gold)
    supplied = canonical_of(frame[supplied_column("brand")])
    names = _spellings(gold, supplied)
    gold_names, supplied_names = _respell(gold, names), _respell(supplied, names)
    labels = gold_names.fill_null(supplied_names) if gold_names.null_count() else gold_names
    classes = sorted(set(labels.drop_nulls().to_list()) | set(supplied_names.drop_nulls().to_list()))
    place = {name: index for index, name in enumerate(classes)}
    return Labels(
        target="brand",
        classes=tuple(BrandLabel(name=name) for name in classes),
        index=_indices(labels, place),
        gold=gold.is_not_null().to_numpy(),
    )


def _without_junk(gold: pl.Series) -> pl.Series:
    """Gold labels, null where they are a placeholder, and UNBRANDED where they say that there is no brand."""
    distinct = gold.unique().drop_nulls()
    rules = {name: found.rule for name in distinct if (found := find_junk(name))}
    meant: dict[str, str | None] = {name: UNBRANDED for name, rule in rules.items() if rule == "unbranded"}
    meant |= {name: None for name, rule in rules.items() if rule == "placeholder"}
    kept = pl.Series([meant.get(name, name) for name in distinct], dtype=pl.String)
    return gold.cast(pl.String).replace_strict(distinct, kept, default=None, return_dtype=pl.String)


def _spellings(gold: pl.Series, supplied: pl.Series) -> pl.DataFrame:
    """For each key of a brand, one spelling: columns `key`, `name`."""
    spelled = pl.concat(
        [
            pl.DataFrame({"name": gold.cast(pl.String)}).with_columns(rank=0),
            pl.DataFrame({"name": supplied.cast(pl.String)}).with_columns(rank=1),
        ]
    ).drop_nulls("name")
    counted = spelled.group_by("name", "rank").len()
    counted = counted.with_columns(key=_keys(counted["name"]))
    ordered = counted.sort("rank", "len", "name", descending=[False, True, False])
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


def _indices(texts: pl.Series, place: dict[str, int]) -> npt.NDArray[np.int64]:
    """Each text's place, (n,) int64, `NO_ANSWER` where it has none."""
    found = texts.cast(pl.String).replace_strict(place, default=NO_ANSWER, return_dtype=pl.Int64)
    return found.fill_null(NO_ANSWER).to_numpy()


def _listed(texts: list[str]) -> str:
    """The first few, and how many more there are."""
    shown = ", ".join(repr(text) for text in texts[:_SHOWN])
    return f"{shown} and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else shown
