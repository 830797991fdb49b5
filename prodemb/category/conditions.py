"""Conditions: the same products as sent, from a partner who sends less, and with their picture or title alone."""

from collections.abc import Iterator
from typing import Literal

from prodemb.core.features import ALL_FEATURES, Feature
from prodemb.shards.product_set import ProductSet

Name = Literal["all features", "no cat1-3", "no picture", "title + description", "title only", "picture only"]
"""A condition."""

ALL: Name = "all features"

LEFT: dict[Name, tuple[Feature, ...]] = {
    ALL: ALL_FEATURES,
    "no cat1-3": ("title", "description", "brand", "image", "lexical"),
    "no picture": ("title", "description", "brand", "cat1", "cat2", "cat3", "lexical"),
    "title + description": ("title", "description", "lexical"),
    "title only": ("title", "lexical"),
    "picture only": ("image",),
}
"""What is left in each; `no cat1-3` is a new partner. The lexical vector is that of the texts which are left."""


def conditions(products: ProductSet) -> Iterator[tuple[Name, ProductSet]]:
    """The same products in each condition in which any of their features is left; all features first."""
    for name, left in LEFT.items():
        if {*left} & {*products.features} - {"lexical"}:
            hidden = [feature for feature in ALL_FEATURES if feature not in left]
            yield name, products.without(*hidden) if hidden else products
