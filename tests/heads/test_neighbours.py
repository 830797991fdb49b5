"""Neighbours: the labelled products with the nearest vectors, each with its own label, and what they say together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.aggregate import Aggregate, AggregateConfig
from prodemb.heads.neighbours import Nearest, Neighbours
from prodemb.shards.product_set import ProductSet
from tests.small_heads import make_card, random_products

NUM = 120
LABELS = np.arange(NUM) % 7


@pytest.fixture(scope="module")
def products() -> ProductSet:
    """Products some of whose vectors are absent; the fourth has none."""
    whole = random_products(make_card("brand"), num=NUM)
    present = np.random.default_rng(1).random(whole.present.shape) < 0.7
    present[:, 0], present[3] = True, False
    vectors = whole.vectors * np.repeat(present, whole.dims, axis=1)
    return ProductSet(
        features=whole.features, dims=whole.dims, vectors=vectors, present=present, supplied=whole.supplied
    )


@pytest.fixture(scope="module")
def neighbours(products: ProductSet) -> Neighbours:
    return Neighbours.fit(products, labels=LABELS, rows=np.arange(NUM) + 1000, seed=0)


def slow_cosines(products: ProductSet) -> np.ndarray:
    """Of all pairs, by the standardised vectors side by side."""
    standard = Aggregate(products.features, dims=products.dims, config=AggregateConfig())
    vectors, present = torch.from_numpy(products.vectors), torch.from_numpy(products.present)
    standard.fit(vectors, present=present)
    sides = standard(vectors, present)[:, : sum(products.dims)].numpy()
    return np.asarray(cosine_similarity(sides))


def test_the_nearest_come_first_with_their_labels(products: ProductSet, neighbours: Neighbours) -> None:
    nearest, wanted = neighbours.nearest(products, k=5), slow_cosines(products)
    there = np.delete(np.arange(NUM), 3)
    assert (nearest.products[there, 0] == there).all()
    assert np.array_equal(nearest.labels[there], LABELS[nearest.products[there]])
    best = -np.sort(-np.delete(wanted, 3, axis=1), axis=1)[:, :5]
    assert np.allclose(nearest.cosines[there], best[there], atol=5e-3)
    assert (np.diff(nearest.cosines, axis=1) <= 0).all()


def test_a_product_without_vectors_has_no_neighbours(products: ProductSet, neighbours: Neighbours) -> None:
    nearest = neighbours.nearest(products.take(np.array([3])), k=4)
    assert nearest.products.tolist() == nearest.labels.tolist() == [[NO_ANSWER] * 4]
    assert nearest.best().tolist() == [[-1]]
    nobody = Nearest.nobody(1)
    assert nobody.best().tolist() == [[-1]]
    assert nobody.share(np.array([[2, NO_ANSWER]])).tolist() == [[0, 0]]


def test_few_labelled_products_are_all_there_are(products: ProductSet) -> None:
    few = products.take(np.array([0, 1]))
    nearest = Neighbours.fit(few, labels=np.array([5, 6]), rows=np.arange(2), seed=0).nearest(products, k=50)
    assert nearest.products.shape == (NUM, 2)
    assert nearest.top(3)[0].tolist() == [5, 6, NO_ANSWER]


def test_many_are_found_in_cells(products: ProductSet, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = neighbours.nearest(products, k=5)
    monkeypatch.setattr("prodemb.heads.neighbours._EXACT", 50)
    monkeypatch.setattr("prodemb.heads.neighbours._CELLS_SEARCHED", 40)
    cells = Neighbours(**{name: value for name, value in vars(neighbours).items() if name != "_index"})
    found = cells.nearest(products, k=5)
    assert (
        np.mean([len(set(one) & set(other)) for one, other in zip(found.products, exact.products, strict=True)]) > 4.5
    )


def test_fitting_is_repeatable_and_leaves_the_random_numbers(products: ProductSet, neighbours: Neighbours) -> None:
    state = torch.get_rng_state()
    again = Neighbours.fit(products, labels=LABELS, rows=np.arange(NUM) + 1000, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    for name in ("mean", "scale", "components", "vectors", "labels", "rows"):
        assert np.array_equal(getattr(again, name), getattr(neighbours, name)), name


def test_hidden_neighbours_make_room_for_the_next() -> None:
    nearest = Nearest(
        products=np.array([[4, 5, 6], [7, 8, -1]]),
        labels=np.array([[1, 2, 1], [3, 3, -1]]),
        cosines=np.array([[0.9, 0.8, 0.7], [0.6, 0.5, -1]], np.float32),
    )
    left = nearest.without(np.array([[True, False, False], [True, True, False]])).first(2)
    assert left.labels.tolist() == [[2, 1], [-1, -1]]
    assert left.products.tolist() == [[5, 6], [-1, -1]]
    assert left.best()[:, 0].tolist() == pytest.approx([0.8, -1])
    assert nearest.at(np.array([[1, 2, 9], [3, -1, 1]])).tolist() == [
        pytest.approx([0.9, 0.8, -1]),
        pytest.approx([0.6, -1, -1]),
    ]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(-1, 4), st.floats(-1, 1, width=32)), min_size=1, max_size=6),
        min_size=1,
        max_size=1,
    )
)
def test_shares_of_the_vote_are_those_of_the_slow_count(rows: list[list[tuple[int, float]]]) -> None:
    labels = np.array([[label for label, _ in row] for row in rows])
    cosines = np.array([[-1 if label < 0 else cosine for label, cosine in row] for row in rows], np.float32)
    nearest = Nearest(products=labels, labels=labels, cosines=cosines)
    asked = np.arange(-1, 5)[None, :]
    votes = [(label, np.exp(10 * cosine)) for label, cosine in rows[0] if label >= 0]
    total = sum(vote for _, vote in votes)
    wanted = [
        sum(vote for label, vote in votes if label == one) / total if votes and one >= 0 else 0 for one in asked[0]
    ]
    assert nearest.share(asked)[0].tolist() == pytest.approx(wanted, abs=1e-4)
