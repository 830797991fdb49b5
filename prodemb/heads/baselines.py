"""Baselines: simple methods on the same split and the same products as the head, to compare its metrics with."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from prodemb.core.arrays import NO_ANSWER, Confidences, Indices
from prodemb.core.config import Config
from prodemb.core.features import raw_column
from prodemb.heads.evaluation import BaselineResult
from prodemb.heads.metrics import evaluate

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

_TOPK = 5
"""Classes that a method ranks for a product, where it ranks them at all."""


class BaselineConfig(Config):
    """`[train.baselines]`: which baselines run, and how much time they may take."""

    run: bool = True
    """Whether to run them at all."""
    max_train: int = Field(default=20_000, ge=1)
    """Training products they learn from at most, a random sample."""
    max_test: int = Field(default=20_000, ge=1)
    """Test products they are measured on at most, a random sample."""
    max_cost: float = Field(default=5e9, gt=0)
    """Leave a linear model out where classes x training products x numbers per product is more than this; 1e9 took
    about ten seconds on two cores."""
    neighbours: int = Field(default=10, ge=1)
    """How many training products vote in kNN."""


@dataclass(frozen=True, kw_only=True)
class BaselineInputs:
    """What the baselines see of n products."""

    labels: npt.NDArray[np.int64]
    """(n,) the class of each."""
    vectors: npt.NDArray[np.float32]
    """(n, D) the standardised vectors of all features concatenated, as in the head's `concat` aggregate."""
    texts: list[str]
    """(n,) the text features the head reads, joined."""
    supplied: pl.DataFrame
    """n rows; the supplied values, one string column per text feature."""

    @property
    def brands(self) -> pl.Series:
        """(n,) string, the supplied brands."""
        return self.supplied[raw_column("brand")]

    @property
    def titles(self) -> pl.Series:
        """(n,) string."""
        return self.supplied[raw_column("title")]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The classes that a method predicts for n products."""

    topk: Indices
    """(n, k) classes, best first; `NO_ANSWER` where there is none."""
    confidences: Confidences | None = None
    """(n,) the probability of the first one."""
    note: str | None = None


Predict = Callable[[BaselineInputs], Ranking]
"""From test products to classes."""

Method = Callable[[BaselineInputs], Predict | str]
"""From training products to a fitted method, or to the reason why it is left out."""


@dataclass(frozen=True, kw_only=True)
class FittedBaseline:
    """One simple method, ready to predict."""

    name: str
    predict: Predict | None
    """None where the method was left out."""
    seconds: float = 0.0
    """How long fitting took."""
    note: str | None = None
    """Why it was left out."""

    @classmethod
    def fit(cls, name: str, method: Method, *, train: BaselineInputs) -> "FittedBaseline":
        """Fit a method to training products, and time it."""
        start = time.perf_counter()
        predict = method(train)
        seconds = time.perf_counter() - start
        if isinstance(predict, str):
            return cls(name=name, predict=None, seconds=seconds, note=predict)
        return cls(name=name, predict=predict, seconds=seconds)

    def evaluate(self, test: BaselineInputs) -> BaselineResult:
        """Its metrics on some products, all of which have a class."""
        start = time.perf_counter()
        ranking = self.predict(test) if self.predict else None
        seconds = round(self.seconds + time.perf_counter() - start, 2)
        if ranking is None:
            return BaselineResult(name=self.name, metrics=None, seconds=seconds, note=self.note)
        metrics = evaluate(test.labels, topk=ranking.topk, confidences=ranking.confidences)
        return BaselineResult(name=self.name, metrics=metrics, seconds=seconds, note=ranking.note)


def fit_learned(train: BaselineInputs, *, config: BaselineConfig) -> tuple[FittedBaseline, ...]:
    """Fit the methods that both targets share."""
    methods: dict[str, Method] = {
        "most frequent class": most_frequent,
        "TF-IDF + linear SVM": lambda seen: linear_on_texts(seen, max_cost=config.max_cost),
        "kNN": lambda seen: nearest_neighbours(seen, num_neighbours=config.neighbours),
        "logistic regression": lambda seen: linear_on_vectors(seen, max_cost=config.max_cost),
    }
    return tuple(FittedBaseline.fit(name, method, train=train) for name, method in methods.items())


def most_frequent(train: BaselineInputs) -> Predict:
    """The most frequent training classes, in that order, for every product."""
    order = np.argsort(-np.bincount(train.labels), kind="stable")[:_TOPK]
    return lambda test: Ranking(topk=np.tile(order, (len(test.labels), 1)))


def linear_on_texts(train: BaselineInputs, *, max_cost: float) -> Predict | str:
    """TF-IDF of words and word pairs, and one linear support vector machine per class (liblinear)."""
    # Imported here and below because it is slow, and used by these methods alone.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=200_000, dtype=np.float32)
    try:
        seen = vectorizer.fit_transform(train.texts)
    except ValueError:
        return "left out: the products have no words"
    # liblinear takes about twice as long per non-zero number as lbfgs per number of a dense product.
    cost = 2.0 * seen.nnz * (train.labels.max() + 1)
    if cost > max_cost:
        return _too_expensive(cost, max_cost=max_cost)
    model = LinearSVC(random_state=0)
    note = _fit(model, seen, train.labels)
    return lambda test: _ranking(model, model.decision_function(vectorizer.transform(test.texts)), note=note)


def linear_on_vectors(train: BaselineInputs, *, max_cost: float) -> Predict | str:
    """Multinomial logistic regression on the vectors (scikit-learn, lbfgs)."""
    from sklearn.linear_model import LogisticRegression

    num_products, dim = train.vectors.shape
    cost = float(num_products) * dim * (train.labels.max() + 1)
    if cost > max_cost:
        return _too_expensive(cost, max_cost=max_cost)
    model = LogisticRegression(C=0.1, max_iter=100)
    note = _fit(model, train.vectors, train.labels)
    return lambda test: _ranking(model, model.predict_proba(test.vectors), note=note, probabilities=True)


def nearest_neighbours(train: BaselineInputs, *, num_neighbours: int) -> Predict:
    """The nearest training products by cosine vote for their classes, each by exp(10 x cosine) (faiss, exact)."""
    import faiss

    index = faiss.IndexFlatIP(train.vectors.shape[1])
    index.add(_normalised(train.vectors))

    def predict(test: BaselineInputs) -> Ranking:
        cosines, neighbours = index.search(_normalised(test.vectors), min(num_neighbours, len(train.labels)))
        votes = np.exp(10 * (cosines - cosines.max(axis=1, keepdims=True)))
        classes = train.labels[neighbours]
        same = classes[:, :, None] == classes[:, None, :]
        scores = (same * votes[:, None, :]).sum(axis=2)
        repeated = np.tril(same, k=-1).any(axis=2)
        scores[repeated] = -1
        order = np.argsort(-scores, axis=1, kind="stable")[:, :_TOPK]
        ranked = np.take_along_axis(scores, order, axis=1)
        topk = np.where(ranked < 0, NO_ANSWER, np.take_along_axis(classes, order, axis=1))
        return Ranking(topk=topk, confidences=ranked[:, 0] / votes.sum(axis=1))

    return predict


def _normalised(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1, or of zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _fit(model: "LinearSVC | LogisticRegression", inputs: object, labels: Indices) -> str | None:
    """Fit a scikit-learn model; return a note if it stopped before it converged."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(inputs, labels)
    stopped = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return f"stopped after {model.max_iter} iterations" if stopped else None


def _ranking(
    model: "LinearSVC | LogisticRegression",
    scores: npt.NDArray[np.float64],
    *,
    note: str | None,
    probabilities: bool = False,
) -> Ranking:
    """Rank scikit-learn's scores, (n, classes of the training products), or (n,) where there are two."""
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_TOPK]
    return Ranking(
        topk=np.asarray(model.classes_)[order], confidences=scores.max(axis=1) if probabilities else None, note=note
    )


def _too_expensive(cost: float, *, max_cost: float) -> str:
    return f"left out: would cost {cost:.1e}, [train.baselines] max_cost is {max_cost:.1e}"


def join_texts(columns: Sequence[pl.Series]) -> list[str]:
    """The texts of each product, (n,), joined by spaces; absent ones are left out."""
    joined = pl.DataFrame(list(columns)).select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True))
    return joined.to_series().fill_null("").to_list()
