"""The head's voice: its smoothed probabilities, with cat1-3 and without, and none of what is hidden."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from prodemb.category.voices.head import HeadVoice
from prodemb.core.features import Feature
from prodemb.heads.head import TrainedHead
from prodemb.shards.product_set import ProductSet
from prodemb.shards.text import TextKind
from tests.small_heads import make_head, random_products

NODES = np.array([9, 3, 5, 7, 1, 2, 4, 6, 8], np.int32)
CATEGORIES: tuple[Feature, ...] = ("cat1", "cat2", "cat3")


@pytest.fixture(scope="module")
def head() -> TrainedHead:
    return make_head("category")


@pytest.fixture(scope="module")
def products(head: TrainedHead) -> ProductSet:
    """Six products: the second has cat1-3 alone, the third nothing, the fourth all but these."""
    whole = random_products(head.card, num=6)
    present = whole.present.copy()
    of_categories = np.array([feature in CATEGORIES for feature in whole.features])
    present[1], present[2], present[3] = of_categories, False, ~of_categories
    return replace(whole, present=present, vectors=whole.vectors * np.repeat(present, whole.dims, axis=1))


def smoothed(head: TrainedHead, products: ProductSet) -> np.ndarray:
    vectors, present = torch.from_numpy(products.vectors), torch.from_numpy(products.present)
    return np.log(head.network.predict_log_proba(vectors, present=present).exp().numpy() + 0.003)


def test_probabilities_are_those_of_the_head_with_cat1_to_3_and_without(
    head: TrainedHead, products: ProductSet
) -> None:
    both = HeadVoice(head=head, nodes=NODES).opinions(products, num_nodes=12, hidden=None)
    for said, seen in zip(both, (products, products.without(*CATEGORIES)), strict=True):
        there = seen.present.any(axis=1)
        assert np.allclose(said.scores[there], smoothed(head, seen)[there], atol=1e-5)
        assert (said.scores[~there] == -np.inf).all()
        assert said.options[NODES].tolist() == list(range(9))
    assert np.array_equal(both[0].scores[3], both[1].scores[3])
    assert both[1].top(1)[:, 0].tolist()[1:3] == [-1, -1]


def test_text_vectors_that_say_categories_are_no_voice_without_them() -> None:
    kind = TextKind(fingerprint="e", model="e", template=("{title} {cat1}",), dim=8)
    head = make_head("category", features=("title", "cat1", "text"), dims=(8, 8, 8), text=kind)
    products = replace(random_products(head.card, num=6), joined=kind.features)
    products = replace(products, supplied=products.supplied.with_columns(raw_cat1=pl.Series([None, *"abcde"])))
    _, without = HeadVoice(head=head, nodes=NODES).opinions(products, num_nodes=12, hidden=None)
    seen = products.without(*CATEGORIES)
    assert (seen.present[:, 2] == [True] + [False] * 5).all()
    assert np.allclose(without.scores, smoothed(head, seen), atol=1e-5)


def test_hidden_classes_are_none_and_the_others_share_their_probability(
    head: TrainedHead, products: ProductSet
) -> None:
    hidden = np.zeros((6, 12), bool)
    hidden[0, [9, 3]], hidden[4] = True, True
    voice = HeadVoice(head=head, nodes=NODES)
    said, plain = (voice.opinions(products, num_nodes=12, hidden=each)[0] for each in (hidden, None))
    assert (said.scores[0, :2] == -np.inf).all()
    assert np.exp(said.scores[0, 2:]).sum() == pytest.approx(1 + 7 * 0.003, abs=1e-5)
    assert np.array_equal(np.argsort(said.scores[0, 2:]), np.argsort(plain.scores[0, 2:]))
    assert (said.scores[4] == -np.inf).all()
    assert np.array_equal(said.scores[5], plain.scores[5])
