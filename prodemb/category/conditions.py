"""Conditions: products with all features, without some, with wrong categories, and with picture or title alone."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from prodemb.core.arrays import Indices, draw_other
from prodemb.core.features import ALL_FEATURES, DERIVED, Feature
from prodemb.shards.product_set import ProductSet

CategoryCondition = Literal[
    "all features", "no cat1-3", "wrong cat1-3", "no picture", "title + description", "title only", "picture only"
]

ALL: CategoryCondition = "all features"
WRONG: CategoryCondition = "wrong cat1-3"

FEATURES_LEFT: dict[CategoryCondition, tuple[Feature, ...]] = {
    ALL: ALL_FEATURES,
    "no cat1-3": ("title", "description", "brand", "image", *DERIVED),
    WRONG: ALL_FEATURES,
    "no picture": ("title", "description", "brand", "cat1", "cat2", "cat3", *DERIVED),
    "title + description": ("title", "description", *DERIVED),
    "title only": ("title", *DERIVED),
    "picture only": ("image",),
}
"""The features of each; `no cat1-3` stands for a new partner, `wrong cat1-3` has those of another category. The lexical
vector is that of the texts that are left; a text vector counts where nothing that it was made of is hidden."""


def category_conditions(
    products: ProductSet, *, truth: Indices, seed: int
) -> Iterator[tuple[CategoryCondition, ProductSet]]:
    """The same products in each condition that leaves any of their features; all features first.

    Without wrong categories where no product has any, or all products are of one category.

    Args:
        truth: (n,) their categories.
        seed: of the choice of wrong ones.
    """
    for name, left in FEATURES_LEFT.items():
        if name == WRONG:
            if "cat1" in products.features and len(np.unique(truth)) > 1:
                donors = draw_other(truth, than=truth, seed=seed)
                wrong = products
                for feature in ("cat1", "cat2", "cat3"):
                    wrong = wrong.with_those_of(donors, feature=feature)
                yield name, wrong
        elif {*left} & {*products.features} - {*DERIVED}:
            hidden = [feature for feature in ALL_FEATURES if feature not in left]
            yield name, products.without(*hidden) if hidden else products
