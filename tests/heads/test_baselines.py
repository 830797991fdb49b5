"""Baselines: each does what its name says, stays within its budget, and says what it left out."""

import numpy as np
import polars as pl

from prodemb.category.lookups import category_lookups
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.baselines import (
    BaselineConfig,
    BaselineInputs,
    fit_learned,
    join_texts,
    most_frequent,
    nearest_neighbours,
)
from prodemb.heads.evaluation import BaselineResult

COLUMNS = ("raw_cat1", "raw_cat2", "raw_cat3")


def make_products(num: int, *, seed: int, num_classes: int = 6) -> BaselineInputs:
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, num)
    centres = np.random.default_rng(99).standard_normal((num_classes, 12))
    return BaselineInputs(
        labels=labels,
        vectors=(centres[labels] + random.standard_normal((num, 12)) * 0.3).astype(np.float32),
        texts=[f"thing number{label} made by someone" for label in labels],
        supplied=pl.DataFrame(
            {
                "raw_cat1": [f"a{label // 3}" for label in labels],
                "raw_cat2": [f"b{label}" if i % 2 else None for i, label in enumerate(labels)],
                "raw_cat3": [None] * num,
            },
            schema=dict.fromkeys(COLUMNS, pl.String),
        ),
    )


def by_supplied(rows: list[tuple[str | None, str | None, str | None]], labels: list[int]) -> BaselineInputs:
    return BaselineInputs(
        labels=np.array(labels),
        vectors=np.zeros((len(rows), 1), np.float32),
        texts=[""] * len(rows),
        supplied=pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row"),
    )


def run(train: BaselineInputs, test: BaselineInputs, *, max_cost: float = 5e9) -> list[BaselineResult]:
    config = BaselineConfig(max_cost=max_cost)
    return [fitted.evaluate(test) for fitted in (*category_lookups(train), *fit_learned(train, config=config))]


def test_all_baselines_run_on_separable_products() -> None:
    train, test = make_products(400, seed=0), make_products(100, seed=1)
    baselines = {b.name: b for b in run(train, test)}
    assert list(baselines) == [
        "supplied value",
        "most frequent class",
        "TF-IDF + linear SVM",
        "kNN",
        "logistic regression",
    ]
    for name in ("TF-IDF + linear SVM", "kNN", "logistic regression"):
        metrics = baselines[name].metrics
        assert metrics is not None
        assert metrics.top1 > 0.98
        assert metrics.top5 is not None
        assert metrics.num_products == 100
    frequent, supplied = baselines["most frequent class"].metrics, baselines["supplied value"].metrics
    assert frequent is not None
    assert supplied is not None
    assert frequent.top1 < supplied.top1 < 0.9


def test_two_classes_are_enough() -> None:
    train, test = make_products(60, seed=0, num_classes=2), make_products(20, seed=1, num_classes=2)
    for baseline in run(train, test):
        assert baseline.metrics is not None


def test_the_most_frequent_classes_come_first() -> None:
    train = by_supplied([(None, None, None)] * 6, [2, 2, 2, 0, 0, 1])
    assert most_frequent(train)(train).topk.tolist() == [[2, 0, 1]] * 6


def test_products_without_words_are_left_out_of_tf_idf() -> None:
    products = by_supplied([(None, None, None)] * 4, [0, 1, 0, 1])
    (_, words, *_) = fit_learned(products, config=BaselineConfig())
    assert (words.name, words.note) == ("TF-IDF + linear SVM", "left out: the products have no words")


def test_neighbours_vote_by_class_not_one_by_one() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0.8, 0.6], [0.78, 0.62], [0, 1]], np.float32)
    train = BaselineInputs(labels=np.array([0, 1, 1, 1, 2]), vectors=vectors, texts=[""] * 5, supplied=pl.DataFrame())
    test = BaselineInputs(
        labels=np.array([1]), vectors=np.array([[0.95, 0.31]], np.float32), texts=[""], supplied=pl.DataFrame()
    )
    answers = nearest_neighbours(train, num_neighbours=10)(test)
    assert answers.topk.tolist() == [[1, 0, 2, NO_ANSWER, NO_ANSWER]]
    assert answers.confidences is not None
    assert 0.5 < answers.confidences[0] < 1


def test_a_costly_model_is_left_out_with_the_reason() -> None:
    train, test = make_products(100, seed=0), make_products(10, seed=1)
    baselines = run(train, test, max_cost=10)
    for baseline in (baselines[2], baselines[4]):
        assert baseline.metrics is None
        assert baseline.note is not None
        assert "max_cost is 1.0e+01" in baseline.note


def test_texts_are_joined_where_they_are() -> None:
    columns = [pl.Series("a", ["x", None, None]), pl.Series("b", ["y", "z", None])]
    assert join_texts(columns) == ["x y", "z", ""]
