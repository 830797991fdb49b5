"""How well the towers separate the categories of validation products: nearest path, nearest centroid, linear probe."""

import numpy as np
import numpy.typing as npt
from pydantic import Field

from prodemb.core.arrays import NO_ANSWER
from prodemb.core.config import Config
from prodemb.core.features import Feature
from prodemb.finetune.data import LabelledProducts, Pictures
from prodemb.finetune.encode import FeatureVectors, encode_products
from prodemb.towers.load import Towers

OWN_FEATURES: tuple[Feature, ...] = ("title", "description", "image")
"""What each product has of its own."""
PENALTY = 0.1
"""The ridge probe's penalty, as a share of the mean squared length of the vectors."""


class Validation(Config):
    """Accuracies on validation products; per feature, each alone as in shards."""

    nearest_path: dict[str, float]
    """The category whose path text is nearest."""
    nearest_centroid: dict[str, float]
    """The category whose other validation products' mean vector is nearest."""
    head: float | None = None
    """A linear classifier on all features together, fitted to the other validation products: what a head reaches. A
    real head, and a probe of training vectors, would see more products of each category, but they would cost an
    encoding of thousands of products after each pass; this costs none. None where no category has two products."""
    num_products: int
    num_measured: dict[str, int] = Field(default_factory=dict)
    """Of how many of these each accuracy is, by the names of `shares`: those with the feature, and but for
    `nearest_path` with another product of their category. Empty where not known."""

    @property
    def score(self) -> float:
        """What decides which weights are kept: the mean of retrieval, single features, and all features together.

        Supplied values count only where there is nothing else: a few of them stand for most products, so that one value
        that changes sides moves the accuracy by half.
        """
        groups = [
            [share for feature, share in shares.items() if feature in OWN_FEATURES] or list(shares.values())
            for shares in (self.nearest_path, self.nearest_centroid)
        ]
        groups += [[self.head]] if self.head is not None else []
        means = [sum(group) / len(group) for group in groups if group]
        return sum(means) / len(means) if means else 0.0

    def shares(self) -> dict[str, float]:
        """All accuracies by name: `nearest_path/title`, ..., `head`."""
        found = {f"nearest_path/{feature}": share for feature, share in self.nearest_path.items()}
        found |= {f"nearest_centroid/{feature}": share for feature, share in self.nearest_centroid.items()}
        return found | ({"head": self.head} if self.head is not None else {})


def validate(
    towers: Towers,
    *,
    products: LabelledProducts,
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
    found, path_vectors = encode_products(towers, products=products, pictures=pictures, rows=rows, texts=paths)
    labels = products.index[rows]
    nearest_path: dict[str, float] = {}
    nearest_centroid: dict[str, float] = {}
    num_measured: dict[str, int] = {}
    for feature, its in found.items():
        answers = (its.vectors @ path_vectors.T).argmax(axis=1)
        nearest_path[feature] = float((answers == labels[its.present]).mean())
        num_measured[f"nearest_path/{feature}"] = len(answers)
        share = centroid_accuracy(its.vectors, labels=labels[its.present])
        if share is not None:
            nearest_centroid[feature] = share
            num_measured[f"nearest_centroid/{feature}"] = _num_measurable(labels[its.present])
    head = ridge_accuracy(side_by_side(found, num_products=len(rows)), labels=labels)
    if head is not None:
        num_measured["head"] = _num_measurable(labels)
    return Validation(
        nearest_path=nearest_path,
        nearest_centroid=nearest_centroid,
        head=head,
        num_products=len(rows),
        num_measured=num_measured,
    )


def side_by_side(found: dict[Feature, FeatureVectors], *, num_products: int) -> npt.NDArray[np.float32]:
    """All features of each product as one row, (n, sum of d): each centred and of mean length 1, zeros if absent.

    That is close to what a head sees, which standardises each feature.
    """
    columns = [np.zeros((num_products, 0), dtype=np.float32)]
    for its in found.values():
        column = np.zeros((num_products, its.vectors.shape[1]), dtype=np.float32)
        centred = its.vectors - its.vectors.mean(axis=0)
        column[its.present] = centred / max(1e-12, float(np.sqrt((centred**2).sum(axis=1).mean())))
        columns.append(column)
    return np.concatenate(columns, axis=1)


def centroid_accuracy(vectors: npt.NDArray[np.float32], *, labels: npt.NDArray[np.int64]) -> float | None:
    """Share of vectors whose class centroid is the nearest by cosine, the vector itself left out of its centroid.

    Args:
        vectors: (n, d), L2-normalised.
        labels: (n,)

    Returns:
        None where no class has two vectors: then there is nothing to measure.
    """
    counts = np.bincount(labels)
    measurable = _measurable(labels)
    if measurable is None:
        return None
    sums = np.zeros((len(counts), vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, labels, vectors)
    norms = np.linalg.norm(sums, axis=1)
    similarities = vectors @ (sums / np.maximum(norms, 1e-12)[:, None]).T
    similarities[:, counts == 0] = -np.inf
    rest = sums[labels] - vectors
    own = (rest * vectors).sum(axis=1) / np.maximum(np.linalg.norm(rest, axis=1), 1e-12)
    similarities[np.arange(len(vectors)), labels] = own
    answers = np.where(measurable, similarities.argmax(axis=1), NO_ANSWER)
    return float((answers == labels)[measurable].mean())


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
    measurable = _measurable(labels)
    if measurable is None:
        return None
    inputs = vectors.astype(np.float64)
    kernel = inputs @ inputs.T + 1
    values, basis = np.linalg.eigh(kernel)
    shrunk = np.maximum(values, 0) / (np.maximum(values, 0) + PENALTY * np.trace(kernel) / len(kernel))
    hat = (basis * shrunk) @ basis.T
    classes, targets = np.unique(labels, return_inverse=True)
    indicators = np.eye(len(classes))[targets]
    left_out = indicators - (indicators - hat @ indicators) / (1 - np.diag(hat))[:, None]
    return float((left_out.argmax(axis=1) == targets)[measurable].mean())


def _measurable(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_] | None:
    """Which products have another product of their class; None where there is nothing to measure."""
    counts = np.bincount(labels)
    measurable: npt.NDArray[np.bool_] = counts[labels] > 1
    return measurable if measurable.any() and (counts > 0).sum() > 1 else None


def _num_measurable(labels: npt.NDArray[np.int64]) -> int:
    return int((np.bincount(labels)[labels] > 1).sum())
