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

from prodemb.aliases.normalise import words_of
from prodemb.aliases.titles import TitleNames
from prodemb.core.arrays import NO_ANSWER, Confidences, Indices
from prodemb.core.config import Config
from prodemb.core.features import raw_column
from prodemb.heads.head import Baseline
from prodemb.heads.metrics import evaluate

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
    """n rows; what the partners sent, one string column a text feature."""

    @property
    def brands(self) -> pl.Series:
        """(n,) string, the supplied brands."""
        return self.supplied[raw_column("brand")]

    @property
    def titles(self) -> pl.Series:
        """(n,) string."""
        return self.supplied[raw_column("title")]

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


Ask = Callable[[Products], Answers]
"""From test products to answers."""

Method = Callable[[Products], Ask | str]
"""From training products to what answers, or to the reason why there is nothing."""

Lookup = Callable[[pl.Series], Indices]
"""The brand that each supplied one gives without learning, (n,) string to (n,); `NO_ANSWER` where it gives none."""


@dataclass(frozen=True, kw_only=True)
class FittedBaseline:
    """One simple method, ready to answer."""

    name: str
    ask: Ask | None
    """None where the method was left out."""
    seconds: float
    note: str | None
    """Why it was left out."""

    def measured(self, test: Products) -> Baseline:
        """Its figures on some products, all of which have a class."""
        start = time.perf_counter()
        answers = self.ask(test) if self.ask else None
        seconds = round(self.seconds + time.perf_counter() - start, 2)
        if answers is None:
            return Baseline(name=self.name, metrics=None, seconds=seconds, note=self.note)
        metrics = evaluate(test.labels, top=answers.top, confidences=answers.confidences)
        return Baseline(name=self.name, metrics=metrics, seconds=seconds, note=answers.note)


def fit_baselines(train: Products, *, config: BaselineConfig) -> tuple[FittedBaseline, ...]:
    """Fit the methods that learn.

    Args:
        train: what they learn from.
    """
    methods: dict[str, Method] = {
        "most frequent class": most_frequent,
        "TF-IDF + linear SVM": lambda seen: linear_on_texts(seen, max_cost=config.max_cost),
        "kNN": lambda seen: nearest_neighbours(seen, num_neighbours=config.neighbours),
        "logistic regression": lambda seen: linear_on_vectors(seen, max_cost=config.max_cost),
    }
    return tuple(_fitted(name, method, train=train) for name, method in methods.items())


def category_lookups(train: Products) -> tuple[FittedBaseline, ...]:
    """The category that most training products with the same supplied categories have."""
    return (_fitted("supplied value", look_up, train=train),)


def brand_lookups(brands: Sequence[str], *, canonical: Lookup) -> tuple[FittedBaseline, ...]:
    """The ways to a brand that learn nothing.

    Args:
        brands: names to answer with: those of the head's classes, then others.
        canonical: which of these the canonicaliser makes of a supplied brand.
    """
    asks: dict[str, Ask] = {
        "supplied as is": copy_supplied(brands),
        "supplied canonical": lambda asked: Answers(top=canonical(asked.brands)[:, None]),
        "first words of title": read_title_start(brands),
    }
    return tuple(FittedBaseline(name=name, ask=ask, seconds=0.0, note=None) for name, ask in asks.items())


def _fitted(name: str, method: Method, *, train: Products) -> FittedBaseline:
    start = time.perf_counter()
    ask = method(train)
    seconds = time.perf_counter() - start
    if isinstance(ask, str):
        return FittedBaseline(name=name, ask=None, seconds=seconds, note=ask)
    return FittedBaseline(name=name, ask=ask, seconds=seconds, note=None)


def most_frequent(train: Products) -> Ask:
    """The most frequent training classes, in that order, for every product."""
    order = np.argsort(-np.bincount(train.labels), kind="stable")[:NUM_ANSWERS]
    return lambda asked: Answers(top=np.tile(order, (len(asked.labels), 1)))


def copy_supplied(brands: Sequence[str]) -> Ask:
    """The supplied brand letter by letter."""
    place = {name: number for number, name in enumerate(brands)}
    return lambda asked: Answers(top=np.array([place.get(text or "", NO_ANSWER) for text in asked.brands])[:, None])


def read_title_start(brands: Sequence[str]) -> Ask:
    """The longest brand that the title begins with, whatever its case and punctuation."""
    names = TitleNames({" ".join(words_of(name)): number for number, name in enumerate(brands)})

    def ask(asked: Products) -> Answers:
        found = names.find(asked.titles)
        return Answers(top=np.where(found.places[:, :1] == 0, found.names[:, :1], NO_ANSWER))

    return ask


def look_up(train: Products) -> Ask:
    """The majority training class of the supplied categories, from all of them together back to none at all."""
    columns = [raw_column(feature) for feature in ("cat1", "cat2", "cat3")]
    seen = train.supplied.select(columns).with_columns(label=train.labels).drop_nulls(columns[0])
    majorities = [
        (
            columns[:used],
            seen.group_by(*columns[:used], "label")
            .len()
            .sort("len", "label", descending=[True, False])
            .unique(columns[:used], keep="first", maintain_order=True),
        )
        for used in range(len(columns), 0, -1)
    ]
    fallback = most_frequent(train)

    def ask(asked: Products) -> Answers:
        answer = np.full(len(asked.labels), NO_ANSWER)
        for keys, majority in majorities:
            joined = asked.supplied.join(majority, on=keys, how="left", nulls_equal=True, maintain_order="left")
            answer = np.where(answer == NO_ANSWER, joined["label"].fill_null(NO_ANSWER).to_numpy(), answer)
        return Answers(top=np.where(answer == NO_ANSWER, fallback(asked).top[:, 0], answer)[:, None])

    return ask


def linear_on_texts(train: Products, *, max_cost: float) -> Ask | str:
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
    return lambda asked: _answers(model, model.decision_function(vectorizer.transform(asked.texts)), note=note)


def linear_on_vectors(train: Products, *, max_cost: float) -> Ask | str:
    """Multinomial logistic regression on the vectors (scikit-learn, lbfgs)."""
    from sklearn.linear_model import LogisticRegression

    num_products, dim = train.vectors.shape
    cost = float(num_products) * dim * (train.labels.max() + 1)
    if cost > max_cost:
        return _too_dear(cost, max_cost=max_cost)
    model = LogisticRegression(C=0.1, max_iter=100)
    note = _fit(model, train.vectors, train.labels)
    return lambda asked: _answers(model, model.predict_proba(asked.vectors), note=note, probabilities=True)


def nearest_neighbours(train: Products, *, num_neighbours: int) -> Ask:
    """The nearest training products by cosine vote for their classes, each by exp(10 x cosine) (faiss, exact)."""
    import faiss

    index = faiss.IndexFlatIP(train.vectors.shape[1])
    index.add(_normalised(train.vectors))

    def ask(asked: Products) -> Answers:
        cosines, neighbours = index.search(_normalised(asked.vectors), min(num_neighbours, len(train.labels)))
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

    return ask


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


def join_texts(columns: Sequence[pl.Series]) -> list[str]:
    """The texts of each product, (n,), one blank between them; absent ones left out."""
    joined = pl.DataFrame(list(columns)).select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True))
    return joined.to_series().fill_null("").to_list()
