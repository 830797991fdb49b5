"""Conditions: test products with all features, without some of them, and with their picture or title alone."""

from collections.abc import Iterator
from typing import Literal

from prodemb.core.features import ALL_FEATURES, Feature
from prodemb.shards.product_set import ProductSet

CategoryCondition = Literal[
    "all features", "no cat1-3", "no picture", "title + description", "title only", "picture only"
]

ALL: CategoryCondition = "all features"

FEATURES_LEFT: dict[CategoryCondition, tuple[Feature, ...]] = {
    ALL: ALL_FEATURES,
    "no cat1-3": ("title", "description", "brand", "image", "lexical"),
    "no picture": ("title", "description", "brand", "cat1", "cat2", "cat3", "lexical"),
    "title + description": ("title", "description", "lexical"),
    "title only": ("title", "lexical"),
    "picture only": ("image",),
}
"""The features of each; `no cat1-3` stands for a new partner. The lexical vector is that of the texts that are left."""


def category_conditions(products: ProductSet) -> Iterator[tuple[CategoryCondition, ProductSet]]:
    """The same products in each condition that leaves any of their features; all features first."""
    for name, left in FEATURES_LEFT.items():
        if {*left} & {*products.features} - {"lexical"}:
            hidden = [feature for feature in ALL_FEATURES if feature not in left]
            yield name, products.without(*hidden) if hidden else products
