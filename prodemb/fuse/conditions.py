"""Conditions: the same products as they were supplied, without their supplied brand, and with a wrong one."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from prodemb.features import supplied_column
from prodemb.fuse.fuse import Fuser
from prodemb.fuse.names import NO_NAME, Ids
from prodemb.labels import BrandLabel
from prodemb.metrics import Indices
from prodemb.product_set import ProductSet
from prodemb.train import Labelled

AS_SUPPLIED, WITHHELD, WRONG = "as supplied", "brand withheld", "wrong brand supplied"


def conditions(products: ProductSet, *, chosen: Ids, fuser: Fuser, seed: int) -> Iterator[tuple[str, ProductSet]]:
    """The same products as they were supplied, without their supplied brand, and with one that is wrong.

    Args:
        chosen: (n,) their true brands, so that the wrong one is another.
    """
    yield AS_SUPPLIED, products
    yield WITHHELD, products.without("brand")
    meant = fuser.names.said(
        supplied=products.supplied[supplied_column("brand")], titles=products.supplied[supplied_column("title")]
    ).supplied
    senders = np.flatnonzero(meant != NO_NAME)
    if len(set(meant[senders].tolist())) > 1:
        yield WRONG, products.with_those_of(_donors(meant, chosen=chosen, senders=senders, seed=seed), feature="brand")


def _donors(meant: Ids, *, chosen: Ids, senders: Indices, seed: int) -> Indices:
    """For each product another one that is supplied with a brand which is not the product's, (n,)."""
    random = np.random.default_rng(seed)
    donors = random.choice(senders, len(chosen))
    for _ in range(100):
        same = np.flatnonzero(meant[donors] == chosen)
        if not len(same):
            break
        donors[same] = random.choice(senders, len(same))
    return np.asarray(donors)


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
