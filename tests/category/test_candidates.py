"""Candidates: what each voice names is listed once, with what every voice says of it, and none comes last."""

import numpy as np
import polars as pl
import pytest

from prodemb.category.candidates import (
    CONTEXTS,
    PRIOR_WEIGHTS,
    SOURCES,
    Opinions,
    contexts_of,
    is_labelled,
    list_candidates,
)
from prodemb.category.voices.opinion import Opinion
from prodemb.confidence.candidates import Candidates
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.neighbours import Nearest
from prodemb.shards.product_set import ProductSet
from tests.small_heads import make_card, random_products

NUM_NODES = 8
COUNTS = np.array([0, 5, 2, 0, 1, 0, 0, 0])
"""Labelled products of each node; nodes 1, 2 and 4 have some."""


def said(*rows: dict[int, float]) -> Opinion:
    nodes = sorted({node for row in rows for node in row})
    scores = np.array([[row.get(node, -np.inf) for node in nodes] for row in rows], np.float32).reshape(len(rows), -1)
    return Opinion.of(scores, nodes=np.array(nodes, np.int32), num_nodes=NUM_NODES)


NEAREST = Nearest(
    products=np.array([[0, 1], [-1, -1]]),
    labels=np.array([[1, 4], [-1, -1]]),
    cosines=np.array([[0.9, 0.4], [-1, -1]], np.float32),
)
OPINIONS = Opinions(
    head=said({1: -0.2, 2: -1.5}, {}),
    head_without=said({1: -0.9, 2: -0.5}, {}),
    words=said({1: 0.5, 2: -0.5}, {}),
    words_without=said({2: 0.1}, {}),
    nearest=NEAREST,
    supplied=said({2: -0.1}, {}),
    title=said({2: 0.5, 5: 1.5}, {6: 1.0}),
    categories=said({5: 1.0}, {}),
    tower=said({1: 0.2, 5: 0.3}, {6: 0.1, 7: 0.2}),
)
"""Of two products; of the second only the names say anything."""
NO_CONTEXTS = np.zeros((2, len(CONTEXTS)), bool)


def listed(hidden: np.ndarray | None = None) -> Candidates:
    return list_candidates(OPINIONS, counts=COUNTS, hidden=hidden, contexts=NO_CONTEXTS)


def feature(found: Candidates, product: int, node: int, name: str) -> float:
    (place,) = np.flatnonzero((found.ids[product] == node) & found.valid[product])
    return float(found.features[product, place, list(PRIOR_WEIGHTS).index(name)])


def test_every_node_that_is_named_is_there_once_and_none_comes_last() -> None:
    found = listed()
    assert [sorted(ids[valid].tolist()) for ids, valid in zip(found.ids, found.valid, strict=True)] == [
        [NO_ANSWER, 1, 2, 4, 5],
        [NO_ANSWER, 6, 7],
    ]
    assert (found.ids[:, -1] == NO_ANSWER).all()
    assert found.features.shape == (*found.ids.shape, len(PRIOR_WEIGHTS))
    assert np.isfinite(found.features).all()
    assert found.index_of(np.array([4, 4])).tolist() == [found.ids[0].tolist().index(4), found.ids.shape[1] - 1]


def test_features_are_what_the_voices_say_of_the_candidate() -> None:
    found = listed()
    told = {
        ("head_log_proba", 1): -0.2,
        ("head_log_proba", 4): -6,
        ("head_log_proba_without_categories", 2): -0.5,
        ("words", 1): 0.5,
        ("words", 4): -2,
        ("words_gap", 2): -1,
        ("words_without_categories", 2): 0.1,
        ("neighbours_cosine", 1): 0.9,
        ("neighbours_cosine", 2): -1,
        ("neighbours_gap", 4): -0.5,
        ("neighbours_share", 4): 1 / (1 + np.exp(5)),
        ("supplied_log_share", 2): -0.1,
        ("supplied_log_share", 1): -4,
        ("supplied_seen", 2): 1,
        ("supplied_seen", 1): 0,
        ("names_title", 2): np.log1p(1),
        ("names_title_best", 2): 0,
        ("names_title_best", 5): 1,
        ("names_categories", 5): np.log1p(2),
        ("names_categories_best", 5): 1,
        ("names_categories_best", 1): 0,
        ("names_tower", 1): -0.1,
        ("names_tower", 5): 0,
        ("labelled", 1): 1,
        ("labelled", 5): 0,
        ("labelled_log_count", 1): np.log(5),
    }
    assert {key: feature(found, 0, key[1], key[0]) for key in told} == pytest.approx(told, abs=1e-6)


def test_of_nodes_without_labels_the_best_labelled_one_is_told() -> None:
    found = listed()
    for name in PRIOR_WEIGHTS:
        if name.startswith(("head", "words", "neighbours", "supplied", "labelled")):
            assert feature(found, 0, 5, name) == 0, name
    told = {
        "unlabelled_names_title": np.log1p(3),
        "unlabelled_names_categories": np.log1p(2),
        "unlabelled_neighbours": 0.9,
        "unlabelled_words": 0.5,
        "unlabelled_head": np.exp(-0.2),
    }
    assert {name: feature(found, 0, 5, name) for name in told} == pytest.approx(told, abs=1e-6)
    assert all(feature(found, 0, 1, name) == 0 for name in told)
    none = {"none": 1, "none_neighbours": 0.9, "none_words": 0.5, "none_head": np.exp(-0.2), "none_names": np.log1p(3)}
    assert {name: feature(found, 0, NO_ANSWER, name) for name in none} == pytest.approx(none, abs=1e-6)
    assert all(feature(found, 0, node, name) == 0 for name in none for node in (1, 2, 4, 5))
    others = [name for name in PRIOR_WEIGHTS if not name.startswith("none")]
    assert all(feature(found, 0, NO_ANSWER, name) == 0 for name in others)


def test_a_product_that_no_label_says_anything_of() -> None:
    found = listed()
    silent = {"none_neighbours": -1, "none_words": -2, "none_head": np.exp(-6), "none_names": np.log1p(2)}
    assert {name: feature(found, 1, NO_ANSWER, name) for name in silent} == pytest.approx(silent, abs=1e-6)
    assert feature(found, 1, 6, "names_title_best") == 1
    assert feature(found, 1, 7, "names_title") == 0
    assert not is_labelled(found)[1].any()


def test_hidden_nodes_count_as_unlabelled() -> None:
    hidden = np.zeros((2, NUM_NODES), bool)
    hidden[0, 1] = True
    found = listed(hidden)
    assert feature(found, 0, 1, "labelled") == feature(found, 0, 1, "head_log_proba") == 0
    assert feature(found, 0, 1, "unlabelled_words") == 0.5
    assert feature(found, 0, 2, "labelled") == 1
    labelled = is_labelled(found) & found.valid
    assert sorted(found.ids[0][labelled[0]].tolist()) == [2, 4]


def test_where_nothing_is_labelled_the_names_alone_speak() -> None:
    opinions = Opinions.without_labels(title=OPINIONS.title, categories=OPINIONS.categories, tower=OPINIONS.tower)
    found = list_candidates(opinions, counts=np.zeros(NUM_NODES, np.int64), hidden=None, contexts=NO_CONTEXTS)
    assert [sorted(ids[valid].tolist()) for ids, valid in zip(found.ids, found.valid, strict=True)] == [
        [NO_ANSWER, 1, 2, 5],
        [NO_ANSWER, 6, 7],
    ]
    assert not is_labelled(found).any()


def test_each_feature_of_a_voice_begins_with_its_name() -> None:
    of_voices = [name for name in PRIOR_WEIGHTS if not name.startswith(("labelled", "unlabelled", "none"))]
    assert all(name.startswith(SOURCES) for name in of_voices)


def test_contexts_are_what_a_product_lacks() -> None:
    products = random_products(make_card("category"), num=5)
    texts = products.supplied.with_columns(
        raw_title=pl.Series(["mug", "", None, "mug", None]),
        raw_description=pl.Series([None, "red", None, None, None]),
        raw_cat2=pl.Series(["Home", None, "Home", "", None]),
    )
    changed = ProductSet(**vars(products) | {"supplied": texts})
    wanted = ["2", "02", "0", "03", "013"]
    changed.present[:, changed.features.index("image")] = ["2" not in those for those in wanted]
    found = contexts_of(changed)
    assert ["".join(map(str, np.flatnonzero(row))) for row in found] == ["23", "02", "13", "03", "013"]
    assert len(CONTEXTS) == found.shape[1]
    without_pictures = changed.of([feature for feature in changed.features if feature != "image"])
    assert not contexts_of(without_pictures)[:, CONTEXTS.index("no picture")].any()
