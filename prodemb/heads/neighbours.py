"""The neighbours: the labelled products whose vectors are nearest to a product's."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from prodemb.core.arrays import NO_ANSWER, Floats, Indices, sample_rows
from prodemb.core.device import few_threads
from prodemb.core.features import Feature
from prodemb.heads.aggregate import Aggregate, AggregateConfig
from prodemb.shards.product_set import ProductSet

if TYPE_CHECKING:
    import faiss

_DIM = 256
"""Numbers in a vector that is compared: the principal components of all vectors of a product side by side."""
_SEEN = 20_000
"""Products that the components are found from at most."""
_EXACT = 30_000
"""Labelled products up to which all are compared; with more, those of the nearest cells."""
_CELLS_SEARCHED = 16
_NEAREST = 50
"""Neighbours that are looked at."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The nearest labelled products of n products."""

    products: npt.NDArray[np.int64]
    """(n, k) indices of labelled products, nearest first; -1 where there are fewer."""
    labels: npt.NDArray[np.int64]
    """(n, k) their classes or nodes; `NO_ANSWER` where there is none."""
    cosines: Floats
    """(n, k); -1 where there is none."""

    @classmethod
    def nobody(cls, num_products: int) -> "Nearest":
        """No neighbour for any of n products."""
        none = np.full((num_products, 1), NO_ANSWER, dtype=np.int64)
        return cls(products=none, labels=none, cosines=np.full((num_products, 1), -1, dtype=np.float32))

    def without(self, hidden: npt.NDArray[np.bool_]) -> "Nearest":
        """The same without some of them, (n, k) bool."""
        return Nearest(
            products=np.where(hidden, NO_ANSWER, self.products),
            labels=np.where(hidden, NO_ANSWER, self.labels),
            cosines=np.where(hidden, np.float32(-1), self.cosines),
        )

    def first(self, k: int) -> "Nearest":
        """The k nearest that are there."""
        order = np.argsort(-self.cosines, axis=1, kind="stable")[:, :k]
        taken = {name: np.take_along_axis(values, order, axis=1) for name, values in vars(self).items()}
        return Nearest(**taken)

    def top(self, k: int) -> npt.NDArray[np.int64]:
        """The classes or nodes of the k nearest, (n, k); `NO_ANSWER` where there are fewer."""
        top = np.full((len(self.labels), k), NO_ANSWER)
        top[:, : self.labels.shape[1]] = self.labels[:, :k]
        return top

    def best(self) -> Floats:
        """The cosine of the nearest, (n, 1)."""
        return np.asarray(self.cosines.max(axis=1, keepdims=True, initial=-1), dtype=np.float32)

    def at(self, labels: Indices) -> Floats:
        """The cosine of the nearest of given classes or nodes (n, K), (n, K); -1 where none of the neighbours is."""
        same = (labels[:, :, None] == self.labels[:, None, :]) & (labels != NO_ANSWER)[:, :, None]
        cosines = np.where(same, self.cosines[:, None, :], np.float32(-1))
        return np.asarray(cosines.max(axis=2, initial=-1), dtype=np.float32)

    def share(self, labels: Indices) -> Floats:
        """How much of the neighbours' vote, exp(10 x cosine), given classes or nodes get, (n, K)."""
        votes = np.where(self.labels == NO_ANSWER, np.float32(0), np.exp(10 * (self.cosines - self.best())))
        same = (labels[:, :, None] == self.labels[:, None, :]) & (labels != NO_ANSWER)[:, :, None]
        total = np.maximum(votes.sum(axis=1, keepdims=True), np.float32(1e-6))
        return np.asarray((same * votes[:, None, :]).sum(axis=2) / total, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Labelled products to compare with."""

    features: tuple[Feature, ...]
    """The F features whose vectors are compared."""
    mean: Floats
    """(D,) of the products it was fitted to; with `scale` what standardises each number."""
    scale: Floats
    """(D,)."""
    components: Floats
    """(D, d)."""
    vectors: Floats
    """(m, d) of the labelled products, of length 1."""
    labels: npt.NDArray[np.int64]
    """(m,) their classes or nodes."""
    rows: npt.NDArray[np.int64]
    """(m,) their rows in the shard set that they come from."""

    @classmethod
    def fit(cls, products: ProductSet, *, labels: Indices, rows: Indices, seed: int) -> "Neighbours":
        """Take labelled products, (m,), m > 0.

        Args:
            labels: (m,) their classes or nodes.
            rows: (m,) their rows in the shard set.
            seed: of the choice of the products that the components are found from.
        """
        standard = Aggregate(products.features, dims=products.dims, config=AggregateConfig())
        seen = products.take(sample_rows(len(products), at_most=_SEEN, seed=seed))
        standard.fit(torch.from_numpy(seen.vectors), present=torch.from_numpy(seen.present))
        mean, scale = standard.mean.numpy(), standard.scale.numpy()
        inputs = _standardised(seen, mean=mean, scale=scale)
        dim = min(_DIM, *inputs.shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            with few_threads(inputs.size * 8):
                _, _, components = torch.svd_lowrank(torch.from_numpy(inputs), q=min(dim + 32, *inputs.shape), niter=1)
        found = cls(
            features=products.features,
            mean=mean,
            scale=scale,
            components=components[:, :dim].half().float().numpy(),
            vectors=np.zeros((0, dim), np.float32),
            labels=np.asarray(labels, np.int64),
            rows=np.asarray(rows, np.int64),
        )
        vectors = found._reduced(products).astype(np.float16).astype(np.float32)
        return cls(**vars(found) | {"vectors": vectors})

    def nearest(self, products: ProductSet, *, k: int = _NEAREST) -> Nearest:
        """The k nearest labelled products of n products; none for a product without a vector."""
        cosines, found = self._index.search(self._reduced(products), min(k, len(self.vectors)))
        there = (found >= 0) & products.present.any(axis=1, keepdims=True)
        return Nearest(
            products=np.where(there, found, NO_ANSWER),
            labels=np.where(there, self.labels[found], NO_ANSWER),
            cosines=np.where(there, cosines, np.float32(-1)),
        )

    @cached_property
    def _index(self) -> "faiss.Index":
        import faiss

        num, dim = self.vectors.shape
        exact = faiss.IndexFlatIP(dim)
        if num <= _EXACT:
            exact.add(self.vectors)
            return exact
        cells = faiss.IndexIVFFlat(exact, dim, int(4 * np.sqrt(num)), faiss.METRIC_INNER_PRODUCT)
        cells.nprobe = _CELLS_SEARCHED
        cells.train(self.vectors)
        cells.add(self.vectors)
        return cells

    def _reduced(self, products: ProductSet) -> Floats:
        """(n, d) of length 1, or of zeros."""
        parts = [np.zeros((0, self.components.shape[1]), np.float32)]
        for start in range(0, len(products), 4096):
            some = products.take(np.arange(start, min(start + 4096, len(products))))
            parts.append(_standardised(some, mean=self.mean, scale=self.scale) @ self.components)
        reduced = np.concatenate(parts)
        lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
        return np.ascontiguousarray(reduced / np.maximum(lengths, 1e-12), dtype=np.float32)


def _standardised(products: ProductSet, *, mean: Floats, scale: Floats) -> Floats:
    """The vectors of n products with mean 0 and deviation 1, zeros where absent, (n, D)."""
    there = np.repeat(products.present, products.dims, axis=1)
    return np.asarray((products.vectors.astype(np.float32) - mean) * scale * there, dtype=np.float32)
