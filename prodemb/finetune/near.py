"""Which categories are hard to tell apart, by the vectors that the towers give their products now."""

import faiss
import numpy as np
import numpy.typing as npt

from prodemb.finetune.data import Pictures, Products
from prodemb.finetune.encode import encode_products
from prodemb.towers.load import Towers

PER_CATEGORY = 16
"""Products that a category's mean vector is made of, at most."""
NUM_NEAR = 16
"""Near categories that are kept of each."""


def near_categories(
    towers: Towers, *, products: Products, pictures: Pictures, rows: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int64]:
    """For each class the classes with the nearest mean vectors, the nearest first; (c, k), -1 where there are fewer.

    Hard negatives by the vectors of the model in training, as in ANCE (Xiong et al. 2020, arXiv 2007.00808), but of
    categories, not of products: that stays cheap whatever the catalog's size, and two products of one category, which
    would be false negatives, never count as hard for one another.

    Args:
        rows: (n,) the training products.
        seed: of the choice of products.
    """
    labels = products.index[rows]
    order = np.random.default_rng(seed).permutation(len(rows))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels, minlength=len(products.classes))
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    some = np.sort(rows[order[rank < PER_CATEGORY]])
    found, _ = encode_products(towers, products=products, pictures=pictures, rows=some)
    sums = np.zeros((len(products.classes), towers.dim), dtype=np.float32)
    for its in found.values():
        # Each feature counts from its own middle, else all categories would lie close together.
        np.add.at(sums, products.index[some][its.present], its.vectors - its.vectors.mean(axis=0))
    return nearest(sums, known=counts > 0)


def nearest(sums: npt.NDArray[np.float32], *, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each row the known rows with the highest cosine, itself left out; (c, k) int64, -1 where there are fewer."""
    means = np.ascontiguousarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12))
    places = np.flatnonzero(known)
    index = faiss.IndexFlatIP(means.shape[1])
    index.add(means[places])
    _, found = index.search(means, min(NUM_NEAR + 1, len(places)))
    near = np.full((len(sums), NUM_NEAR), -1, dtype=np.int64)
    for row, columns in enumerate(places[found]):
        others = columns[columns != row][:NUM_NEAR]
        near[row, : len(others)] = others
    return near
