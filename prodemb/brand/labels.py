"""The brands of a shard set as labels: each class is a canonical brand, from gold labels or supplied brands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.junk import UNBRANDED, find_junk
from prodemb.aliases.normalise import normalise_brand
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.features import BRAND_FEATURES, DERIVED, Feature, raw_column
from prodemb.heads.labels import BrandLabel, Labels, Learned, Target
from prodemb.shards.reader import ShardSet

CanonicalOf = Callable[[pl.Series], pl.Series]
"""The canonical brand of each supplied one, null where it is unknown or junk: (n,) string to (n,) string."""


@dataclass(frozen=True, kw_only=True)
class BrandLabels(Labels):
    """Canonical brands as classes."""

    target: ClassVar[Target] = "brand"
    features: ClassVar[tuple[Feature, ...]] = (*BRAND_FEATURES, *DERIVED)
    learns_single_features: ClassVar[bool] = False
    columns: ClassVar[str] = "brand or brand_label"

    classes: tuple[BrandLabel, ...]

    @property
    def names(self) -> list[str]:
        """The names of the classes, in their order."""
        return [label.name for label in self.classes]

    def frequent(self, learned: Learned, *, min_count: int, roll_up: bool) -> Self:
        """Only the classes with at least `min_count` products to learn from; no brand is above another."""
        return self._only(self._kept(learned, min_count=min_count))


def brand_labels(
    shard_set: ShardSet, *, canonical_of: CanonicalOf, corrected: CanonicalOf | None = None
) -> BrandLabels:
    """Classes from the gold column `brand_label`, and where it is empty from the supplied brand, made canonical.

    Names with one comparison key (`normalise_brand`) are one class, under the gold label's spelling, or else the most
    frequent one.

    Args:
        canonical_of: maps supplied brands to canonical ones.
        corrected: maps gold labels to what a person changed them to in the alias file, if anything.
    """
    labelled, sent = shard_set.coded("brand_label"), shard_set.coded(raw_column("brand"))
    gold = labelled.values.str.strip_chars()
    gold = gold.set(gold == "", None)
    gold = _without_junk(corrected(gold) if corrected is not None else gold)
    supplied = canonical_of(sent.values)
    names = _spellings(gold, supplied, counts=(labelled.counts, sent.counts))
    gold_names, supplied_names = _respell(gold, names), _respell(supplied, names)
    classes = sorted({*gold_names.drop_nulls(), *supplied_names.drop_nulls()})
    position: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
    by_gold = labelled.mapped((position.get(name, NO_ANSWER) for name in gold_names), none=NO_ANSWER)
    by_supplied = sent.mapped((position.get(name, NO_ANSWER) for name in supplied_names), none=NO_ANSWER)
    is_gold = by_gold != NO_ANSWER
    return BrandLabels(
        classes=tuple(BrandLabel(name=name) for name in classes),
        index=np.where(is_gold, by_gold, by_supplied),
        gold=is_gold,
    )


def _without_junk(gold: pl.Series) -> pl.Series:
    """Gold labels, null where they are a placeholder, and UNBRANDED where they mean that there is no brand."""
    distinct = gold.unique().drop_nulls()
    rules = {name: found.rule for name in distinct if (found := find_junk(name))}
    replacements: dict[str, str | None] = {name: UNBRANDED for name, rule in rules.items() if rule == "unbranded"}
    replacements |= {name: None for name, rule in rules.items() if rule == "placeholder"}
    kept = pl.Series([replacements.get(name, name) for name in distinct], dtype=pl.String)
    return gold.cast(pl.String).replace_strict(distinct, kept, default=None, return_dtype=pl.String)


def _spellings(
    gold: pl.Series, supplied: pl.Series, *, counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> pl.DataFrame:
    """One spelling for each comparison key: columns `key`, `name`.

    Args:
        counts: how many products have each gold label, and each supplied brand.
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
    """Each name in the one spelling of its key, (n,) string."""
    keys = pl.DataFrame({"key": _keys(names)})
    return keys.join(spellings, on="key", how="left", maintain_order="left")["name"]


def _keys(names: pl.Series) -> pl.Series:
    """The comparison key of each name, (n,) string; the name itself where it has no letter or digit."""
    column = names.cast(pl.String)
    distinct = column.unique().drop_nulls()
    keys = pl.Series([normalise_brand(name) or name for name in distinct], dtype=pl.String)
    return column.replace_strict(distinct, keys, default=None, return_dtype=pl.String)
