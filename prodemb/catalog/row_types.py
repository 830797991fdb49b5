"""A column that says what a row is: a product, or a variant, price rule or picture of the product above it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.catalog.names import plain_words
from prodemb.catalog.profile import Profile

PRODUCT_WORDS = frozenset(
    "product produkt produit producto prodotto produto item artikel article simple variable configurable grouped bundle"
    " bundled external virtual downloadable subscription master parent main товар 商品 产品 physical digital".split()
)
OTHER_WORDS = frozenset(
    "sku skus variant variants variation variations variante varianten option options rule rules image images picture"
    " pictures photo video child children size color comment remark note total subtotal media bild foto"
    " вариант 变体 규격 bulk modifier".split()
)
MAX_TYPES = 8
_MAX_FILLED = 0.4
"""Rows of a kind that nobody has a word for fill no more than this part of the columns that products fill."""
_MAX_FILLED_WITH_WORD = 0.9
_MIN_ROWS = 2


@dataclass(frozen=True)
class RowTypes:
    """What a column says of its rows."""

    column: str
    others: tuple[str, ...]
    """Its values, in lower case, whose rows are no products."""


def find_row_types(profiles: Sequence[Profile]) -> RowTypes | None:
    """The column that tells products from other rows, if there is one.

    Rows of another kind leave most of what products fill empty. Where a value says what it is (`Variant`, `Rule`), so
    that all values are words for kinds of rows, less has to be empty.
    """
    for profile in sorted(profiles, key=lambda each: not each.read.has("kind")):
        if not profile.values:
            continue
        values = _values(profile)
        kinds = {value for value in values if value}
        if not 1 <= len(kinds) <= MAX_TYPES or profile.distinct > 0.7 or profile.numbers > 0.5:
            continue
        others = _others(profile, values, profiles)
        if others:
            return RowTypes(profile.name, tuple(sorted(others)))
    return None


def is_row_type(value: str) -> bool:
    """Whether a value is a word for a kind of row."""
    return bool((PRODUCT_WORDS | OTHER_WORDS) & {*plain_words(value)})


def _values(profile: Profile) -> list[str]:
    """The value of each row, in lower case; empty where there is none."""
    values = iter(profile.values)
    return [next(values).casefold() if there else "" for there in profile.present]


def _others(profile: Profile, values: Sequence[str], profiles: Sequence[Profile]) -> set[str]:
    filled = np.stack([each.present for each in profiles if each is not profile], axis=1)
    of_value = np.array(values, dtype=object)
    kinds = sorted({*values})
    # The kind whose rows are fullest is the product's.
    products = max(kinds, key=lambda kind: (_is_product(kind), float(filled[of_value == kind].mean())))
    core = filled[of_value == products].mean(axis=0) >= 0.8
    if core.sum() < 2:
        return set()
    words = [kind for kind in kinds if kind]
    all_are_words = all(map(is_row_type, words)) and any(OTHER_WORDS & {*plain_words(kind)} for kind in words)
    others = set()
    for kind in words:
        if kind == products or (all_are_words and _is_product(kind)):
            continue
        rows: npt.NDArray[np.bool_] = filled[of_value == kind][:, core]
        share = float(rows.mean())
        is_other = all_are_words and share < _MAX_FILLED_WITH_WORD
        is_bare = share < _MAX_FILLED and len(rows) >= _MIN_ROWS and profile.read.has("kind")
        if is_other or is_bare:
            others.add(kind)
    return others


def _is_product(kind: str) -> bool:
    words = {*plain_words(kind)}
    return bool(PRODUCT_WORDS & words) and not OTHER_WORDS & words
