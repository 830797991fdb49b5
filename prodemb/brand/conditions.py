"""Conditions: the same products as sent, in unseen spellings, without their supplied brand, and with a wrong one."""

from collections.abc import Collection, Iterator
from typing import Literal

import numpy as np
import polars as pl

from prodemb.aliases.table import AliasTable
from prodemb.brand.names import NO_NAME, Ids
from prodemb.brand.predict import Fuser
from prodemb.core.arrays import Indices
from prodemb.core.features import raw_column
from prodemb.heads.labels import BrandLabel
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import ProductSet

Name = Literal["as supplied", "unseen spellings", "brand withheld", "wrong brand supplied"]
"""A condition. In all but the first, the spellings that only these products send are unknown: a new partner's."""

AS_SUPPLIED: Name = "as supplied"
UNSEEN: Name = "unseen spellings"
WITHHELD: Name = "brand withheld"
WRONG: Name = "wrong brand supplied"


def conditions(products: ProductSet, *, chosen: Ids, fuser: Fuser, seed: int) -> Iterator[tuple[Name, ProductSet]]:
    """The same products in each condition.

    Args:
        chosen: (n,) their true brands, so that the wrong one is another.
    """
    yield AS_SUPPLIED, products
    yield UNSEEN, products
    yield WITHHELD, products.without("brand")
    meant = fuser.names.said(
        supplied=products.supplied[raw_column("brand")], titles=products.supplied[raw_column("title")]
    ).supplied
    senders = np.flatnonzero(meant != NO_NAME)
    if len(set(meant[senders].tolist())) > 1:
        yield WRONG, products.with_those_of(_donors(meant, chosen=chosen, senders=senders, seed=seed), feature="brand")


def _donors(meant: Ids, *, chosen: Ids, senders: Indices, seed: int) -> Indices:
    """For each product another one that is supplied with a brand which is not the product's, (n,).

    Args:
        meant: (n,) what is supplied, with two different names among the senders at least.
        chosen: (n,) the products' own brands.
        senders: places of products that are supplied with something.
    """
    ordered = senders[np.argsort(meant[senders], kind="stable")]
    low, high = (np.searchsorted(meant[ordered], chosen, side=side) for side in ("left", "right"))
    drawn = np.random.default_rng(seed).integers(0, len(ordered) - (high - low))
    return np.asarray(ordered[np.where(drawn < low, drawn, drawn + high - low)])


def true_names(data: Labelled, *, rows: Indices) -> pl.Series:
    """The true brands of labelled products, (m,) string.

    Args:
        rows: (m,) places in the shard set.
    """
    names = brand_names(data.all_labels.classes)
    return pl.Series("brand", [names[index] for index in data.all_labels.index[rows]], dtype=pl.String)


def brand_names(labels: tuple[object, ...]) -> list[str]:
    """The names of brand classes, in their order."""
    return [label.name for label in labels if isinstance(label, BrandLabel)]


def rare_brands(data: Labelled, *, parts: Collection[int]) -> list[str]:
    """Brands that products of these parts are labelled with and that the head has no class for, sorted."""
    labels = data.all_labels
    shown = labels.index[np.isin(data.parts, list(parts)) & (labels.index >= 0)]
    names = brand_names(labels.classes)
    return sorted({names[index] for index in np.unique(shown)} - set(brand_names(data.labels.classes)))


def without_strings_of(data: Labelled, *, aliases: AliasTable, parts: Collection[int]) -> AliasTable:
    """The alias table without the strings that only products of these parts send."""
    sent = data.shard_set.coded(raw_column("brand"))
    inside = np.isin(data.parts, list(parts))
    gone = set(sent.values[np.setdiff1d(sent.codes[inside], [*np.unique(sent.codes[~inside]), -1])])
    return AliasTable(row for row in aliases.rows if row.supplied not in gone)
