"""What a head could learn from vectors, asked of a few hundred products without training a head."""

import numpy as np
import numpy.typing as npt

from prodemb.core.arrays import NO_ANSWER

PENALTY = 0.1
"""The ridge probe's penalty, as a share of the mean squared length of the vectors."""


def centroid_accuracy(vectors: npt.NDArray[np.float32], *, labels: npt.NDArray[np.int64]) -> float | None:
    """Share of vectors whose class centroid is the nearest by cosine, the vector itself left out of its centroid.

    Args:
        vectors: (n, d), L2-normalised.
        labels: (n,)

    Returns:
        None where no class has two vectors: then there is nothing to tell.
    """
    counts = np.bincount(labels)
    asked = _asked(labels)
    if asked is None:
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


def ridge_accuracy(vectors: npt.NDArray[np.float32], *, labels: npt.NDArray[np.int64]) -> float | None:
    """Share of products that a linear classifier fitted to all the others gets right: leave one out.

    Ridge regression on the classes' indicators, whose left-out answers have a closed form (Allen 1974, PRESS): with H
    the matrix that turns targets into fitted values, the answer without product i is y - (y - Hy) / (1 - h_ii) at i. So
    it costs one decomposition of an (n, n) matrix and no further pass through the towers.

    Args:
        vectors: (n, d), all that the head would see of each product; a column of ones is added.
        labels: (n,)

    Returns:
        None where no class has two products.
    """
    asked = _asked(labels)
    if asked is None:
        return None
    inputs = vectors.astype(np.float64)
    kernel = inputs @ inputs.T + 1
    values, basis = np.linalg.eigh(kernel)
    shrunk = np.maximum(values, 0) / (np.maximum(values, 0) + PENALTY * np.trace(kernel) / len(kernel))
    hat = (basis * shrunk) @ basis.T
    classes, targets = np.unique(labels, return_inverse=True)
    indicators = np.eye(len(classes))[targets]
    left_out = indicators - (indicators - hat @ indicators) / (1 - np.diag(hat))[:, None]
    return float((left_out.argmax(axis=1) == targets)[asked].mean())


def _asked(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_] | None:
    """Which products have another of their class beside them; None where there is nothing to tell."""
    counts = np.bincount(labels)
    asked: npt.NDArray[np.bool_] = counts[labels] > 1
    return asked if asked.any() and (counts > 0).sum() > 1 else None
