"""The words: a linear model of the categories on all words of a product's texts, and one on those without cat1-3."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from prodemb.category.voices.opinion import Opinion
from prodemb.core.arrays import Floats, Indices
from prodemb.core.features import Feature, raw_column
from prodemb.heads.baselines import join_texts

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

ALL_WORDS: tuple[Feature, ...] = ("title", "description", "brand", "cat1", "cat2", "cat3")
OWN_WORDS: tuple[Feature, ...] = ("title", "description", "brand")
"""The texts that the two models read."""

NUM_HASHES = 1 << 20
_MOST_WEIGHTS = 50_000_000
"""Words times classes that are learned at most; the least frequent words are left out."""
_LEAST_WEIGHT = 0.01
"""Weights nearer to 0 are left out (Babbar & Schoelkopf, DiSMEC: Distributed sparse machines for extreme multi-label
classification, WSDM 2017)."""


@dataclass(frozen=True, kw_only=True)
class WordModel:
    """One linear support vector machine a class on TF-IDF of words and word pairs (liblinear)."""

    hashes: npt.NDArray[np.int32]
    """(F,) the hashes of the words that it knows, ascending."""
    idf: Floats
    """(F,) their inverse document frequency."""
    weights: sparse.csr_array
    """(F, C) float32, each a number that float16 holds."""
    intercepts: Floats
    """(C,)."""
    nodes: npt.NDArray[np.int32]
    """(C,) the node of each class."""
    num_learned: int
    """How many products it learned from."""

    @classmethod
    def fit(cls, texts: Sequence[str], *, nodes: Indices) -> "WordModel":
        """Learn.

        Args:
            texts: (n,) of products.
            nodes: (n,) their nodes.
        """
        # Imported here because it is slow, and used by training alone.
        from sklearn.svm import LinearSVC

        classes, labels = np.unique(nodes, return_inverse=True)
        counts = _vectorizer().transform(texts)
        documents = np.bincount(counts.indices, minlength=NUM_HASHES)
        room = max(1, _MOST_WEIGHTS // len(classes))
        hashes = np.flatnonzero(documents)
        if len(hashes) > room:
            hashes = np.sort(hashes[np.argsort(-documents[hashes], kind="stable")[:room]])
        idf = (np.log((1 + len(texts)) / (1 + documents[hashes])) + 1).astype(np.float32)
        if len(classes) < 2 or not len(hashes):
            empty = sparse.csr_array((len(hashes), len(classes)), dtype=np.float32)
            intercepts = np.zeros(len(classes), np.float32)
            return cls(
                hashes=hashes.astype(np.int32),
                idf=idf,
                weights=empty,
                intercepts=intercepts,
                nodes=classes.astype(np.int32),
                num_learned=len(texts),
            )
        inputs = _weighed(counts, hashes=hashes, idf=idf)
        with warnings.catch_warnings():
            # That it has not converged, or that so many classes for so few products look like a regression.
            warnings.simplefilter("ignore", UserWarning)
            model = LinearSVC(tol=1e-2, random_state=0).fit(inputs, labels)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(classes) == 2:
            coefficients, intercepts = (
                np.concatenate([-coefficients, coefficients]),
                np.concatenate([-intercepts, intercepts]),
            )
        coefficients[np.abs(coefficients) < _LEAST_WEIGHT] = 0
        weights = sparse.csr_array(coefficients.T, dtype=np.float32)
        weights.data = weights.data.astype(np.float16).astype(np.float32)
        return cls(
            hashes=hashes.astype(np.int32),
            idf=idf,
            weights=weights,
            intercepts=intercepts.astype(np.float32),
            nodes=classes.astype(np.int32),
            num_learned=len(texts),
        )

    def opinion(self, texts: Sequence[str], *, num_nodes: int) -> Opinion:
        """The margin of each class for n texts; nothing for texts without a known word."""
        inputs = _weighed(_vectorizer().transform(texts), hashes=self.hashes, idf=self.idf)
        scores = (inputs @ self.weights).toarray() + self.intercepts
        scores[np.diff(inputs.indptr) == 0] = -np.inf
        return Opinion.of(scores.astype(np.float32), nodes=self.nodes, num_nodes=num_nodes)


@cache
def _vectorizer() -> "HashingVectorizer":
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        n_features=NUM_HASHES, ngram_range=(1, 2), norm=None, alternate_sign=False, dtype=np.float32
    )


def _weighed(counts: sparse.csr_matrix, *, hashes: npt.NDArray[np.integer], idf: Floats) -> sparse.csr_array:
    """The TF-IDF vectors of n texts, (n, F), of length 1; 1 + log(count) is the frequency of a word."""
    columns = np.full(NUM_HASHES, -1, dtype=np.int32)
    columns[hashes] = np.arange(len(hashes))
    found = columns[counts.indices]
    known = found >= 0
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[known]
    found = found[known]
    values = (1 + np.log(counts.data[known])) * idf[found]
    squares = np.bincount(rows, weights=values**2, minlength=counts.shape[0])
    values = (values / np.sqrt(np.maximum(squares, 1e-12))[rows]).astype(np.float32)
    places = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=counts.shape[0]))]).astype(np.int32)
    return sparse.csr_array((values, found, places), shape=(counts.shape[0], len(hashes)))


def words_of(supplied: pl.DataFrame, *, features: Sequence[Feature]) -> list[str]:
    """The texts of n products, joined, (n,).

    Args:
        supplied: n rows, a column per text feature.
    """
    return join_texts([supplied[raw_column(feature)] for feature in features])
