"""How well an alias table groups supplied strings, held against the gold brands of the products that carry them.

The unit is a pair of distinct supplied strings. A string's gold brand is that of most of its products that have a gold
label (the first in the alphabet where two are level); strings without any are left out. A pair is wanted where both
strings have one gold brand, and made where the table gives both one canonical brand; UNKNOWN and UNBRANDED make none.

    precision    wanted pairs among those made
    recall       made pairs among those wanted
    weighted     each pair counts as often as there are pairs of products that carry its two strings

Where a partner sent another brand's name with a product ("Puma" on shoes of Nike), the gold label is of the product and
the string means something else; no table can get such pairs right. `foreign` strings are those that spell another gold
brand than their own; figures stand with and without them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from prodemb.aliases.canonicalise import UNBRANDED, UNKNOWN, normalise_brand
from prodemb.aliases.table import AliasTable


@dataclass(frozen=True, slots=True)
class Judged:
    """One supplied string: its gold brand, the table's answer, and its products with that gold brand."""

    supplied: str
    gold: str
    canonical: str | None
    products: int


@dataclass(frozen=True, kw_only=True)
class PairScore:
    """Pairs of strings made and wanted."""

    num_strings: int
    made: int
    wanted: int
    right: int

    @property
    def precision(self) -> float | None:
        """Wanted pairs among those made; None where none was made."""
        return self.right / self.made if self.made else None

    @property
    def recall(self) -> float | None:
        """Made pairs among those wanted; None where none was wanted."""
        return self.right / self.wanted if self.wanted else None

    @property
    def f1(self) -> float | None:
        """Their harmonic mean."""
        return 2 * self.right / (self.made + self.wanted) if self.made + self.wanted else None


def judged_strings(products: pl.DataFrame, *, table: AliasTable) -> list[Judged]:
    """The strings that can be judged.

    Args:
        products: columns brand and gold, a row a product.
        table: what is judged.
    """
    told = products.select(pl.col("brand", "gold").cast(pl.String)).drop_nulls().filter(pl.col("gold") != "")
    counted = told.group_by("brand", "gold").len().sort("brand", "len", "gold", descending=[False, True, False])
    chosen = counted.unique("brand", keep="first", maintain_order=True)
    found = []
    for supplied, gold, count in chosen.iter_rows():
        canonical = table.verdict(supplied)
        found.append(Judged(supplied, gold, None if canonical in (UNKNOWN, UNBRANDED) else canonical, count))
    return found


def without_foreign(strings: Iterable[Judged]) -> list[Judged]:
    """Those that do not spell another gold brand than their own."""
    strings = list(strings)
    brands = {normalise_brand(one.gold): one.gold for one in strings}
    return [one for one in strings if brands.get(normalise_brand(one.supplied), one.gold) == one.gold]


def score_pairs(strings: Iterable[Judged], *, weighted: bool) -> PairScore:
    """Count the pairs; see the module's text."""
    strings = list(strings)
    made, wanted, right = defaultdict(list), defaultdict(list), defaultdict(list)
    for one in strings:
        weight = one.products if weighted else 1
        wanted[one.gold].append(weight)
        if one.canonical is not None:
            made[one.canonical].append(weight)
            right[one.canonical, one.gold].append(weight)
    counted = [sum(map(_pairs, groups.values())) for groups in (made, wanted, right)]
    return PairScore(num_strings=len(strings), made=counted[0], wanted=counted[1], right=counted[2])


def _pairs(weights: list[int]) -> int:
    """The sum of the products of all pairs."""
    return (sum(weights) ** 2 - sum(weight**2 for weight in weights)) // 2
