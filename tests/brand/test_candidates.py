"""Candidates: every name once, and its features."""

import numpy as np
import polars as pl
import pytest

from prodemb.aliases.table import AliasTable
from prodemb.brand.candidates import PRIOR_WEIGHTS, list_candidates, mentioned_classes
from prodemb.brand.head_output import predict_log_proba
from prodemb.brand.names import BrandNames
from prodemb.brand.predict import Fuser
from prodemb.confidence.candidates import Candidates
from prodemb.heads.head import TrainedHead
from prodemb.heads.neighbours import Nearest
from prodemb.shards.product_set import ProductSet, read_products
from prodemb.shards.reader import ShardSet


def products_of(shard_set: ShardSet, head: TrainedHead, *, num: int = 200) -> ProductSet:
    return read_products(shard_set, features=head.card.features, rows=np.arange(num))


def test_the_head_is_asked_with_and_without_the_supplied_brand(shard_set: ShardSet, head: TrainedHead) -> None:
    products = products_of(shard_set, head)
    classes = np.tile(np.arange(-1, 4), (200, 1))
    output = predict_log_proba(head, products, classes=classes)
    without = products.without("brand")
    for way, seen in enumerate((products, without)):
        log = head.network.predict_log_proba(*_tensors(seen.vectors), present=_tensors(seen.present)[0]).numpy()
        there = seen.present.any(axis=1)
        assert np.allclose(output.class_log_proba[there, 1:, way], np.log(np.exp(log[there, :4]) + 0.01), atol=1e-5)
        best = output.topk[:, way * 5]
        assert (best[there] == log[there].argmax(axis=1)).all()
        assert (best[~there] == -1).all()
    assert (output.class_log_proba[:, 0] == 0).all()


def test_each_name_is_listed_once_and_none_comes_last(
    shard_set: ShardSet, head: TrainedHead, aliases: AliasTable
) -> None:
    products = products_of(shard_set, head)
    fuser = Fuser.untrained([label.name for label in head.card.classes], aliases=aliases)  # type: ignore[union-attr]
    candidates, mentions = fuser.candidates(products, head=head)
    assert candidates.features.shape == (*candidates.ids.shape, len(PRIOR_WEIGHTS))
    assert np.isfinite(candidates.features).all()
    assert candidates.valid[:, -1].all()
    for names, valid in zip(candidates.ids, candidates.valid, strict=True):
        there = names[valid].tolist()
        assert len(there) == len(set(there))
        assert there[-1] == -1
    assert (candidates.index_of(mentions.supplied)[mentions.supplied >= 0] == 0).all()
    assert (candidates.index_of(np.full(200, 10**6)) == candidates.ids.shape[1] - 1).all()


def test_features_are_of_the_names_that_sources_name(head: TrainedHead) -> None:
    names = BrandNames(["Norvik", "Lumo"], aliases=AliasTable([]), redirects={})
    supplied, titles = pl.Series(["Norvik", "Pumo", None]), pl.Series(["Lumo thing", "Pumo thing", "Norvik by Lumo"])
    mentions = names.mentions(supplied=supplied, titles=titles)
    classes = mentioned_classes(mentions, num_classes=2)
    texts = pl.DataFrame({"raw_brand": supplied, "raw_title": titles})
    products = ProductSet(
        features=head.card.features,
        dims=head.card.dims,
        vectors=np.zeros((3, 32), np.float16),
        present=np.zeros((3, 4), bool),
        supplied=texts,
    )
    output = predict_log_proba(head, products, classes=classes)
    odds = np.arange(4, dtype=np.float32)
    nearest = Nearest(
        products=np.array([[4, 7], [4, -1], [-1, -1]]),
        labels=np.array([[1, 0], [1, -1], [-1, -1]]),
        cosines=np.array([[0.9, 0.5], [0.7, -1], [-1, -1]], np.float32),
    )
    found = list_candidates(
        mentions, head=output, nearest=nearest, num_classes=2, supplied_log_odds=odds, title_log_odds=odds
    )

    def feature(product: int, candidate: int, name: str) -> float:
        return float(found.features[product, candidate, list(PRIOR_WEIGHTS).index(name)])

    assert [names.names[name] for name in found.ids[0][found.valid[0]][:-1]] == ["Norvik", "Lumo"]
    assert feature(0, 0, "supplied") == feature(0, 1, "title") == feature(0, 1, "title_start") == 1
    assert feature(0, 1, "supplied") == feature(0, 0, "title") == feature(0, 0, "supplied_in_title") == 0
    assert feature(0, 1, "title_log_odds") == 1.0
    assert feature(0, 0, "supplied_other_title_log_odds") == 5.0
    assert feature(1, 0, "supplied_is_new") == feature(1, 0, "supplied_without_class") == 1
    assert feature(1, 0, "supplied_in_title") == 1
    assert feature(1, 0, "supplied_log_odds") == 3.0
    assert feature(1, found.ids.shape[1] - 1, "none_if_no_title_brand") == 1
    assert [found.ids[2, candidate] for candidate in (1, 2)] == [0, 1]
    assert [feature(2, candidate, "title_start") for candidate in (1, 2)] == [1, 0]
    assert feature(2, 1, "title_if_no_supplied") == 1
    assert not found.valid[:, 5:-1].any()
    last = found.ids.shape[1] - 1
    cosines = [feature(0, candidate, "neighbours_cosine") for candidate in (0, 1, last)]
    assert cosines == pytest.approx([0.5, 0.9, 0.0])
    assert feature(0, 0, "neighbours_share") == pytest.approx(1 / (1 + np.exp(4)))
    assert [feature(product, last, "none_neighbours") for product in range(3)] == pytest.approx([0.9, 0.7, -1.0])


def test_lists_are_joined_product_after_product(shard_set: ShardSet, head: TrainedHead, aliases: AliasTable) -> None:
    products = products_of(shard_set, head, num=9)
    fuser = Fuser.untrained([label.name for label in head.card.classes], aliases=aliases)  # type: ignore[union-attr]
    parts = [fuser.candidates(products.take(rows), head=head)[0] for rows in (np.arange(4), np.arange(4, 9))]
    whole, joined = fuser.candidates(products, head=head)[0], Candidates.concat(parts)
    assert np.array_equal(whole.ids, joined.ids)
    assert np.allclose(whole.features, joined.features, atol=1e-5)


def _tensors(*arrays: np.ndarray) -> list:  # type: ignore[type-arg]
    import torch

    return [torch.from_numpy(array) for array in arrays]
