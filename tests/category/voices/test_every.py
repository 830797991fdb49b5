"""All voices together: fitted to the same products, and asked as if nothing of a product's department were labelled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.category.candidates import is_labelled
from prodemb.category.labels import CategoryLabels
from prodemb.category.predict import CategoryPredictor
from prodemb.category.voices.every import Voices, even_sample
from prodemb.confidence.candidates import Candidates
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import ProductSet, read_products


@pytest.fixture(scope="module")
def voices(predictor: CategoryPredictor) -> Voices:
    return predictor.voices


@pytest.fixture(scope="module")
def products(data: Labelled[CategoryLabels]) -> ProductSet:
    return read_products(data.shard_set, features=data.features, rows=data.rows[data.test])


@pytest.fixture(scope="module")
def truth(data: Labelled[CategoryLabels], voices: Voices) -> np.ndarray:
    return voices.nodes.of(data.labels.classes)[data.index_of(data.test)]


def test_products_are_counted_by_node(data: Labelled[CategoryLabels], voices: Voices) -> None:
    assert voices.counts.sum() == len(data.outside_test)
    labelled = {label.id: count for label, count in zip(voices.nodes.labels, voices.counts.tolist(), strict=True)}
    assert [labelled[node] for node in (1, 8, 9)] == [0, 0, 0]
    assert min(labelled[node] for node in range(2, 8)) > 50
    assert set(voices.neighbours.rows.tolist()) == set(data.rows[data.outside_test].tolist())


def test_each_voice_is_better_than_chance(voices: Voices, products: ProductSet, truth: np.ndarray) -> None:
    said = voices.opinions(products)
    for name, least in (
        ("head", 0.7),
        ("head_without", 0.6),
        ("words", 0.9),
        ("words_without", 0.9),
        ("nearest", 0.7),
        ("supplied", 0.4),
    ):
        assert (getattr(said, name).top(1)[:, 0] == truth).mean() > least, name
    assert not np.isfinite(said.tower.scores).any()


def test_the_head_is_not_told_cat1_to_3_where_it_is_asked_without(voices: Voices, products: ProductSet) -> None:
    without = voices.opinions(products.without("cat1", "cat2", "cat3"))
    whole = voices.opinions(products)
    assert np.allclose(without.head.scores, whole.head_without.scores, atol=1e-5)
    assert np.array_equal(without.words_without.scores, whole.words_without.scores)
    assert not np.isfinite(without.supplied.scores).any()


def test_of_a_foreign_department_nothing_is_known(voices: Voices, products: ProductSet, truth: np.ndarray) -> None:
    foreign = Candidates.concat([*voices.candidates(products, foreign_to=truth)])
    tops = np.append(voices.nodes.tree.lineage[:-1, 0], NO_ANSWER)
    same = (tops[foreign.ids] == tops[truth][:, None]) & (foreign.ids != NO_ANSWER)
    assert not is_labelled(foreign)[same & foreign.valid].any()
    assert is_labelled(foreign)[~same & foreign.valid].any()
    plain = Candidates.concat([*voices.candidates(products)])
    same = (tops[plain.ids] == tops[truth][:, None]) & (plain.ids != NO_ANSWER)
    assert is_labelled(plain)[same & plain.valid].any()
    hidden = tops[np.arange(len(voices.nodes))][None, :] == tops[truth][:, None]
    nearest = voices.opinions(products, hidden=hidden).nearest
    there = nearest.labels != NO_ANSWER
    assert there.any()
    assert not (tops[nearest.labels] == tops[truth][:, None])[there].any()


def test_candidates_come_in_the_order_of_the_products(
    voices: Voices, products: ProductSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Candidates.concat([*voices.candidates(products)])
    monkeypatch.setattr("prodemb.category.voices.every.ROWS_AT_A_TIME", 7)
    parts = [*voices.candidates(products)]
    assert [len(part) for part in parts] == [min(7, len(products) - start) for start in range(0, len(products), 7)]
    joined = Candidates.concat(parts)
    assert np.array_equal(joined.ids, whole.ids)
    assert np.array_equal(joined.valid, whole.valid)
    assert np.allclose(joined.features, whole.features, atol=1e-5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 60))
def test_samples_hold_as_many_of_each_node_as_there_are(nodes: list[int], at_most: int) -> None:
    drawn = even_sample(np.array(nodes), at_most=at_most, seed=0)
    assert len(drawn) == min(at_most, len(nodes))
    assert (np.diff(drawn) > 0).all()
    counts, taken = (np.bincount(np.array(each), minlength=5) for each in (nodes, np.array(nodes)[drawn]))
    most = taken.max()
    assert ((taken == counts) | (taken >= most - 1)).all()


def test_few_words_are_learned_from_where_classes_are_many(data: Labelled[CategoryLabels], voices: Voices) -> None:
    cheap = Voices.fit(
        data,
        data.outside_test,
        head=voices.head.head,
        nodes=voices.nodes,
        names=voices.names,
        tower=None,
        max_products=60,
        max_cost=1000,
        seed=0,
    )
    assert len(cheap.neighbours.labels) == 60
    assert np.bincount(cheap.neighbours.labels, minlength=8)[1:].max() == 10
    assert len(cheap.words.hashes) < len(voices.words.hashes) / 5
    assert 0 < cheap.num_learned["words"] < cheap.num_learned["neighbours"] == 60
    assert np.array_equal(cheap.counts, voices.counts)
    assert cheap.supplied.table.equals(voices.supplied.table)
