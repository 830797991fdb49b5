"""Baselines: simple methods on the same split and the same products as the head, so that its figures mean something."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from prodemb.config import Config
from prodemb.heads import Baseline
from prodemb.metrics import NO_ANSWER, Confidences, Indices, evaluate

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

NUM_ANSWERS = 5
"""Answers a method gives for a product, where it ranks them at all."""


class BaselineConfig(Config):
    """`[train.baselines]`: what the baselines may cost."""

    run: bool = True
    """Whether to run them at all."""
    max_train: int = Field(default=20_000, ge=1)
    """Training products they learn from at most, taken at random."""
    max_test: int = Field(default=20_000, ge=1)
    """Test products they are measured on at most, taken at random."""
    max_cost: float = Field(default=5e9, gt=0)
    """Leave a linear model out where classes x training products x numbers a product is more than this; 1e9 took about
    ten seconds on two cores."""
    neighbours: int = Field(default=10, ge=1)
    """How many training products vote in kNN."""


@dataclass(frozen=True, kw_only=True)
class Products:
    """What the baselines see of some products."""

    labels: npt.NDArray[np.int64]
    """(n,) the class of each."""
    vectors: npt.NDArray[np.float32]
    """(n, D) the standardised vectors of all features side by side, as the head's `concat` aggregate has them."""
    texts: list[str]
    """(n,) the text features the head reads, one after another."""
    supplied: pl.DataFrame
    """n rows; columns from the least to the most specific supplied value that may say the class."""

    def take(self, rows: Indices) -> "Products":
        """Some of the products."""
        return Products(
            labels=self.labels[rows],
            vectors=self.vectors[rows],
            texts=[self.texts[row] for row in rows],
            supplied=self.supplied[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a method says of n products."""

    top: Indices
    """(n, k) classes, best first; `NO_ANSWER` where there is none."""
    confidences: Confidences | None = None
    """(n,) of the first."""
    note: str | None = None


Method = Callable[[Products, Products], Answers | str]
"""From training and test products to answers, or to the reason why there are none."""


def run_baselines(
    train: Products, test: Products, *, supplied_class: Indices | None, config: BaselineConfig
) -> tuple[Baseline, ...]:
    """Run every baseline.

    Args:
        train: what they learn from.
        test: what they are measured on.
        supplied_class: (n,) the class that each test product's supplied value gives without learning (a canonical
            brand); None to learn it from the columns of `supplied`.
    """

    def lookup(seen: Products, asked: Products) -> Answers:
        return look_up(seen, asked) if supplied_class is None else Answers(top=supplied_class[:, None])

    methods: dict[str, Method] = {
        "most frequent class": most_frequent,
        "supplied value": lookup,
        "TF-IDF + linear SVM": lambda seen, asked: linear_on_texts(seen, asked, max_cost=config.max_cost),
        "kNN": lambda seen, asked: nearest_neighbours(seen, asked, num_neighbours=config.neighbours),
        "logistic regression": lambda seen, asked: linear_on_vectors(seen, asked, max_cost=config.max_cost),
    }
    return tuple(_measure(name, method, train=train, test=test) for name, method in methods.items())


def _measure(name: str, method: Method, *, train: Products, test: Products) -> Baseline:
    start = time.perf_counter()
    answers = method(train, test)
    seconds = round(time.perf_counter() - start, 2)
    if isinstance(answers, str):
        return Baseline(name=name, metrics=None, seconds=seconds, note=answers)
    metrics = evaluate(test.labels, top=answers.top, confidences=answers.confidences)
    return Baseline(name=name, metrics=metrics, seconds=seconds, note=answers.note)


def most_frequent(train: Products, test: Products) -> Answers:
    """The most frequent training classes, in that order, for every product."""
    counts = np.bincount(train.labels)
    order = np.argsort(-counts, kind="stable")[:NUM_ANSWERS]
    return Answers(top=np.tile(order, (len(test.labels), 1)))


def look_up(train: Products, test: Products) -> Answers:
    """The majority training class of the supplied values, from all of them together back to none at all."""
    columns = train.supplied.columns
    answer = np.full(len(test.labels), NO_ANSWER)
    seen = train.supplied.with_columns(label=train.labels)
    for used in range(len(columns), 0, -1):
        keys = columns[:used]
        majority = (
            seen.drop_nulls(columns[0])
            .group_by(*keys, "label")
            .len()
            .sort("len", "label", descending=[True, False])
            .unique(keys, keep="first", maintain_order=True)
        )
        asked = test.supplied.join(majority, on=keys, how="left", nulls_equal=True, maintain_order="left")
        found = asked["label"].fill_null(NO_ANSWER).to_numpy()
        answer = np.where(answer == NO_ANSWER, found, answer)
    fallback = most_frequent(train, test).top[:, 0]
    return Answers(top=np.where(answer == NO_ANSWER, fallback, answer)[:, None])


def linear_on_texts(train: Products, test: Products, *, max_cost: float) -> Answers | str:
    """TF-IDF of words and word pairs, and one linear support vector machine a class (liblinear)."""
    # Slow to import, here as below, and of use to nothing but these methods.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=200_000, dtype=np.float32)
    try:
        seen = vectorizer.fit_transform(train.texts)
    except ValueError:
        return "left out: the products have no words"
    # A non-zero number costs liblinear about twice what a number of a dense product costs lbfgs.
    cost = 2.0 * seen.nnz * (train.labels.max() + 1)
    if cost > max_cost:
        return _too_dear(cost, max_cost=max_cost)
    model = LinearSVC()
    note = _fit(model, seen, train.labels)
    return _answers(model, model.decision_function(vectorizer.transform(test.texts)), note=note)


def linear_on_vectors(train: Products, test: Products, *, max_cost: float) -> Answers | str:
    """Multinomial logistic regression on the vectors (scikit-learn, lbfgs)."""
    from sklearn.linear_model import LogisticRegression

    num_products, dim = train.vectors.shape
    cost = float(num_products) * dim * (train.labels.max() + 1)
    if cost > max_cost:
        return _too_dear(cost, max_cost=max_cost)
    model = LogisticRegression(C=0.1, max_iter=100)
    note = _fit(model, train.vectors, train.labels)
    return _answers(model, model.predict_proba(test.vectors), note=note, probabilities=True)


def nearest_neighbours(train: Products, test: Products, *, num_neighbours: int) -> Answers:
    """The nearest training products by cosine vote for their classes, each by exp(10 x cosine) (faiss, exact)."""
    import faiss

    index = faiss.IndexFlatIP(train.vectors.shape[1])
    index.add(_normalised(train.vectors))
    cosines, neighbours = index.search(_normalised(test.vectors), min(num_neighbours, len(train.labels)))
    votes = np.exp(10 * (cosines - cosines.max(axis=1, keepdims=True)))
    classes = train.labels[neighbours]
    same = classes[:, :, None] == classes[:, None, :]
    scores = (same * votes[:, None, :]).sum(axis=2)
    repeated = np.tril(same, k=-1).any(axis=2)
    scores[repeated] = -1
    order = np.argsort(-scores, axis=1, kind="stable")[:, :NUM_ANSWERS]
    ranked = np.take_along_axis(scores, order, axis=1)
    top = np.where(ranked < 0, NO_ANSWER, np.take_along_axis(classes, order, axis=1))
    return Answers(top=top, confidences=ranked[:, 0] / votes.sum(axis=1))


def _normalised(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1, or of zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _fit(model: "LinearSVC | LogisticRegression", inputs: object, labels: Indices) -> str | None:
    """Fit a scikit-learn model; say so where it stopped before it converged."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(inputs, labels)
    stopped = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return f"stopped after {model.max_iter} iterations" if stopped else None


def _answers(
    model: "LinearSVC | LogisticRegression",
    scores: npt.NDArray[np.float64],
    *,
    note: str | None,
    probabilities: bool = False,
) -> Answers:
    """Rank scikit-learn's scores, (n, classes it saw), or (n,) where it saw two."""
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :NUM_ANSWERS]
    return Answers(
        top=np.asarray(model.classes_)[order], confidences=scores.max(axis=1) if probabilities else None, note=note
    )


def _too_dear(cost: float, *, max_cost: float) -> str:
    return f"left out: would cost {cost:.1e}, [train.baselines] max_cost is {max_cost:.1e}"


def sample_rows(num_rows: int, *, at_most: int, seed: int) -> Indices:
    """Rows to look at, in order: all of them, or `at_most` taken at random."""
    if num_rows <= at_most:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(seed).choice(num_rows, size=at_most, replace=False))


def join_texts(columns: Sequence[pl.Series]) -> list[str]:
    """The texts of each product, (n,), one blank between them; absent ones left out."""
    joined = pl.DataFrame(list(columns)).select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True))
    return joined.to_series().fill_null("").to_list()
