"""Vectors of products as the towers give them now, a feature at a time, as shards hold them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.core.features import TEXT_FEATURES, Feature
from prodemb.finetune.data import Pictures, Products
from prodemb.towers.load import Towers
from prodemb.towers.pool import TowerPool

BATCH_TOKENS = {"cpu": 1_024, "cuda": 16_384}
"""Padded tokens a batch, by the kind of device."""
PICTURES_AT_ONCE = 1024
"""Pictures copied out of their file at once."""

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FeatureVectors:
    """One feature's vectors of those of n products that have it."""

    vectors: Vectors
    """(k, d) float32, L2-normalised."""
    present: npt.NDArray[np.bool_]
    """(n,)"""


def encode_products(
    towers: Towers,
    *,
    products: Products,
    pictures: Pictures,
    rows: npt.NDArray[np.int64],
    texts: list[str] | None = None,
) -> tuple[dict[Feature, FeatureVectors], Vectors]:
    """The vectors of the products at `rows`, features that none of them has left out, and those of `texts`, (m, d)."""
    towers.model.eval()
    table = products.texts.take(rows)
    columns: dict[Feature, list[str | None]] = {feature: table[feature].to_pylist() for feature in TEXT_FEATURES}
    distinct = sorted({text for column in columns.values() for text in column if text})
    place = {text: number for number, text in enumerate(distinct)}
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
                vectors=text_vectors[[place[text] for text in column if text]], present=present
            )
    if shown.any():
        found["image"] = FeatureVectors(vectors=picture_vectors, present=shown)
    return found, others


def _encode_pictures(pool: TowerPool, *, pictures: Pictures, rows: npt.NDArray[np.int64]) -> Vectors:
    """(n, d) of the pictures at `rows`."""
    encodings = [
        pool.images(list(pictures.pixels[rows[start : start + PICTURES_AT_ONCE]]))
        for start in range(0, len(rows), PICTURES_AT_ONCE)
    ]
    return np.concatenate([np.empty((0, pool.towers.dim), dtype=np.float16), *(e.result() for e in encodings)]).astype(
        np.float32
    )
