"""Vectors of products from the towers as they are now, per feature as in shards; and which categories are near."""

from dataclasses import dataclass

import faiss
import numpy as np
import numpy.typing as npt

from prodemb.core.features import TEXT_FEATURES, Feature
from prodemb.finetune.data import LabelledProducts, Pictures
from prodemb.towers.load import Towers
from prodemb.towers.pool import TowerPool

BATCH_TOKENS = {"cpu": 1_024, "cuda": 16_384}
"""Padded tokens per batch, by kind of device."""
PICTURES_AT_ONCE = 1024
"""Pictures copied out of their file at a time."""

PER_CATEGORY = 16
"""Products that a category's mean vector is made of, at most."""
NUM_NEAR = 16
"""Near categories that are kept for each."""

_Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FeatureVectors:
    """The vectors of one feature, for those of n products that have it."""

    vectors: _Vectors
    """(k, d) float32, L2-normalised."""
    present: npt.NDArray[np.bool_]
    """(n,)"""


def encode_products(
    towers: Towers,
    *,
    products: LabelledProducts,
    pictures: Pictures,
    rows: npt.NDArray[np.int64],
    texts: list[str] | None = None,
) -> tuple[dict[Feature, FeatureVectors], _Vectors]:
    """The vectors of the products at `rows`, without features that none of them has, and those of `texts`, (m, d)."""
    towers.model.eval()
    table = products.texts.take(rows)
    columns: dict[Feature, list[str | None]] = {feature: table[feature].to_pylist() for feature in TEXT_FEATURES}
    distinct = sorted({text for column in columns.values() for text in column if text})
    position = {text: number for number, text in enumerate(distinct)}
    shown = pictures.present[rows]
    with TowerPool(towers, batch_tokens=BATCH_TOKENS[towers.device.type]) as pool:
        text_vectors = pool.texts(distinct).result().astype(np.float32)
        others = pool.texts(texts or []).result().astype(np.float32)
        picture_vectors = _encode_pictures(pool, pictures=pictures, rows=rows[shown])
    found: dict[Feature, FeatureVectors] = {}
    for feature, column in columns.items():
        present = np.array([bool(text) for text in column], dtype=bool)
        if present.any():
            found[feature] = FeatureVectors(
                vectors=text_vectors[[position[text] for text in column if text]], present=present
            )
    if shown.any():
        found["image"] = FeatureVectors(vectors=picture_vectors, present=shown)
    return found, others


def _encode_pictures(pool: TowerPool, *, pictures: Pictures, rows: npt.NDArray[np.int64]) -> _Vectors:
    """(n, d) of the pictures at `rows`."""
    encodings = [
        pool.images(list(pictures.pixels[rows[start : start + PICTURES_AT_ONCE]]))
        for start in range(0, len(rows), PICTURES_AT_ONCE)
    ]
    return np.concatenate([np.empty((0, pool.towers.dim), dtype=np.float16), *(e.result() for e in encodings)]).astype(
        np.float32
    )


def near_categories(
    towers: Towers, *, products: LabelledProducts, pictures: Pictures, rows: npt.NDArray[np.int64], seed: int
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
        # Each feature is centred, else all categories would lie close together.
        np.add.at(sums, products.index[some][its.present], its.vectors - its.vectors.mean(axis=0))
    return nearest(sums, known=counts > 0)


def nearest(sums: npt.NDArray[np.float32], *, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each row the known rows with the highest cosine, except itself; (c, k) int64, -1 where there are fewer."""
    means = np.ascontiguousarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12))
    indices = np.flatnonzero(known)
    index = faiss.IndexFlatIP(means.shape[1])
    index.add(means[indices])
    _, found = index.search(means, min(NUM_NEAR + 1, len(indices)))
    near = np.full((len(sums), NUM_NEAR), -1, dtype=np.int64)
    for row, columns in enumerate(indices[found]):
        others = columns[columns != row][:NUM_NEAR]
        near[row, : len(others)] = others
    return near
