"""Conditions: products as supplied, in unseen spellings, without their supplied brand, and with a wrong one."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import polars as pl

from prodemb.aliases.table import AliasTable
from prodemb.brand.labels import BrandLabels
from prodemb.brand.names import NO_NAME, NameIds
from prodemb.brand.predict import Fuser
from prodemb.core.arrays import Indices, draw_other
from prodemb.core.features import raw_column
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import BrandLabel
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import ProductSet

BrandCondition = Literal["as supplied", "unseen spellings", "brand withheld", "wrong brand supplied"]
"""In all but the first, spellings that only these products have are unknown, as those of a new partner are."""

AS_SUPPLIED: BrandCondition = "as supplied"
UNSEEN: BrandCondition = "unseen spellings"
WITHHELD: BrandCondition = "brand withheld"
WRONG: BrandCondition = "wrong brand supplied"
UNKNOWN_BRAND = "brand unknown"
"""Judged as if no label, alias or title named the brand: what a product without a brand looks like."""


def brand_conditions(
    products: ProductSet, *, truth: NameIds, fuser: Fuser, seed: int
) -> Iterator[tuple[BrandCondition, ProductSet]]:
    """The same products in each condition; without the last one where fewer than two brands are supplied.

    Args:
        truth: (n,) their true brands, so that a wrong one is another.
        seed: of the choice of wrong brands.
    """
    yield AS_SUPPLIED, products
    yield UNSEEN, products
    yield WITHHELD, products.without("brand")
    supplied = fuser.names.mentions(
        supplied=products.supplied[raw_column("brand")], titles=products.supplied[raw_column("title")]
    ).supplied
    senders = np.flatnonzero(supplied != NO_NAME)
    if len(set(supplied[senders].tolist())) > 1:
        donors = senders[draw_other(supplied[senders], than=truth, seed=seed)]
        yield WRONG, products.with_those_of(donors, feature="brand")


def true_names(data: Labelled[BrandLabels], *, rows: Indices) -> pl.Series:
    """The true brands of labelled products, (m,) string.

    Args:
        rows: (m,) rows of the shard set.
    """
    names = data.labels.names
    return pl.Series("brand", [names[index] for index in data.labels.index[rows]], dtype=pl.String)


def rare_brands(data: Labelled[BrandLabels], learned: Indices, *, head: TrainedHead) -> list[str]:
    """Labels of these products that the head has no class for, sorted.

    Args:
        learned: (l,) indices of labelled products.
    """
    names, classes = data.labels.names, {label.name for label in head.card.classes if isinstance(label, BrandLabel)}
    return sorted({names[brand] for brand in np.unique(data.index_of(learned))} - classes)


def without_strings_of(data: Labelled[BrandLabels], held_out: Indices, *, aliases: AliasTable) -> AliasTable:
    """The alias table without the supplied strings that only these products have.

    Args:
        held_out: (h,) indices of labelled products.
    """
    supplied, inside = data.shard_set.coded(raw_column("brand")), data.learned(held_out)
    gone = set(supplied.values[np.setdiff1d(supplied.codes[inside], [*np.unique(supplied.codes[~inside]), -1])])
    return AliasTable(row for row in aliases.rows if row.supplied not in gone)
