"""How well the towers tell categories on validation products: by the nearest category path, and by the neighbours."""

import numpy as np
import numpy.typing as npt

from prodemb.config import Config
from prodemb.features import TEXT_FEATURES
from prodemb.finetune.data import Pictures, Products
from prodemb.metrics import NO_ANSWER
from prodemb.towers.load import Towers
from prodemb.towers.pool import TowerPool

BATCH_TOKENS = {"cpu": 1_024, "cuda": 16_384}
"""Padded tokens a batch, by the kind of device."""
PICTURES_AT_ONCE = 1024
"""Pictures copied out of their file at once."""


class Validation(Config):
    """Shares of right answers on validation products, by feature: each alone, as shards hold them."""

    nearest_path: dict[str, float]
    """The category whose path text is nearest."""
    nearest_centroid: dict[str, float]
    """The category whose other validation products' mean vector is nearest: a probe of what a head can learn."""
    num_products: int

    @property
    def score(self) -> float:
        """The mean of all shares: what decides which weights are kept."""
        shares = [*self.nearest_path.values(), *self.nearest_centroid.values()]
        return sum(shares) / len(shares) if shares else 0.0


def validate(
    towers: Towers,
    *,
    products: Products,
    pictures: Pictures,
    rows: npt.NDArray[np.int64],
    paths: list[str],
) -> Validation | None:
    """Measure the towers on the products at `rows`; None where there are none.

    Args:
        rows: (n,) indices of products.
        paths: the text of each class.
    """
    if not len(rows):
        return None
    towers.model.eval()
    texts = products.texts.take(rows)
    columns: dict[str, list[str | None]] = {feature: texts[feature].to_pylist() for feature in TEXT_FEATURES}
    distinct = sorted({text for column in columns.values() for text in column if text})
    place = {text: number for number, text in enumerate(distinct)}
    present = pictures.present[rows]
    with TowerPool(towers, batch_tokens=BATCH_TOKENS[towers.device.type]) as pool:
        text_vectors = pool.texts(distinct).result().astype(np.float32)
        path_vectors = pool.texts(paths).result().astype(np.float32)
        picture_vectors = _picture_vectors(pool, pictures=pictures, rows=rows[present])
    labels = products.index[rows]
    nearest_path: dict[str, float] = {}
    nearest_centroid: dict[str, float] = {}

    def measure(feature: str, *, vectors: npt.NDArray[np.float32], present: npt.NDArray[np.bool_]) -> None:
        answers = (vectors @ path_vectors.T).argmax(axis=1)
        nearest_path[feature] = float((answers == labels[present]).mean())
        share = centroid_accuracy(vectors, labels=labels[present])
        if share is not None:
            nearest_centroid[feature] = share

    for feature, column in columns.items():
        has_text = np.array([text is not None for text in column], dtype=bool)
        if has_text.any():
            measure(feature, vectors=text_vectors[[place[text] for text in column if text]], present=has_text)
    if present.any():
        measure("image", vectors=picture_vectors, present=present)
    return Validation(nearest_path=nearest_path, nearest_centroid=nearest_centroid, num_products=len(rows))


def _picture_vectors(pool: TowerPool, *, pictures: Pictures, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """(n, d) float32 of the pictures at `rows`."""
    encodings = [
        pool.images(list(pictures.pixels[rows[start : start + PICTURES_AT_ONCE]]))
        for start in range(0, len(rows), PICTURES_AT_ONCE)
    ]
    return np.concatenate([np.empty((0, pool.towers.dim), dtype=np.float16), *(e.result() for e in encodings)]).astype(
        np.float32
    )


def centroid_accuracy(vectors: npt.NDArray[np.float32], *, labels: npt.NDArray[np.int64]) -> float | None:
    """Share of vectors whose class centroid is the nearest by cosine, the vector itself left out of its centroid.

    Args:
        vectors: (n, d), L2-normalised.
        labels: (n,)

    Returns:
        None where no class has two vectors: then there is nothing to tell.
    """
    counts = np.bincount(labels)
    asked = counts[labels] > 1
    if not asked.any() or (counts > 0).sum() < 2:
        return None
    sums = np.zeros((len(counts), vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, labels, vectors)
    norms = np.linalg.norm(sums, axis=1)
    similarities = vectors @ (sums / np.maximum(norms, 1e-12)[:, None]).T
    similarities[:, counts == 0] = -np.inf
    rest = sums[labels] - vectors
    own = (rest * vectors).sum(axis=1) / np.maximum(np.linalg.norm(rest, axis=1), 1e-12)
    similarities[np.arange(len(vectors)), labels] = own
    answers = np.where(asked, similarities.argmax(axis=1), NO_ANSWER)
    return float((answers == labels)[asked].mean())
