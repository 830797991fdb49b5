"""Candidates: every name once, and what each voice says of it."""

import numpy as np
import polars as pl

from prodemb.aliases.table import AliasTable
from prodemb.brand.candidates import VOICES, Candidates, list_candidates, said_classes
from prodemb.brand.head_output import ask_head
from prodemb.brand.names import BrandNames
from prodemb.brand.predict import Fuser
from prodemb.heads.head import TrainedHead
from prodemb.shards.product_set import ProductSet, read_products
from prodemb.shards.reader import ShardSet


def products_of(shard_set: ShardSet, head: TrainedHead, *, num: int = 200) -> ProductSet:
    return read_products(shard_set, features=head.card.features, rows=np.arange(num))


def test_the_head_is_asked_with_and_without_the_supplied_brand(shard_set: ShardSet, head: TrainedHead) -> None:
    products = products_of(shard_set, head)
    classes = np.tile(np.arange(-1, 4), (200, 1))
    said = ask_head(head, vectors=products.vectors, present=products.present, classes=classes)
    without = products.without("brand")
    for way, seen in enumerate((products, without)):
        log = head.log_probabilities(*_tensors(seen.vectors), present=_tensors(seen.present)[0]).numpy()
        there = seen.present.any(axis=1)
        assert np.allclose(said.asked_log[there, 1:, way], np.log(np.exp(log[there, :4]) + 0.01), atol=1e-5)
        best = said.best[:, way * 5]
        assert (best[there] == log[there].argmax(axis=1)).all()
        assert (best[~there] == -1).all()
    assert (said.asked_log[:, 0] == 0).all()


def test_each_name_is_listed_once_and_none_comes_last(
    shard_set: ShardSet, head: TrainedHead, aliases: AliasTable
) -> None:
    products = products_of(shard_set, head)
    fuser = Fuser.untrained([label.name for label in head.card.labels], aliases=aliases)  # type: ignore[union-attr]
    candidates, said = fuser.candidates(products, head=head)
    assert candidates.inputs.shape == (*candidates.names.shape, len(VOICES))
    assert np.isfinite(candidates.inputs).all()
    assert candidates.valid[:, -1].all()
    for names, valid in zip(candidates.names, candidates.valid, strict=True):
        there = names[valid].tolist()
        assert len(there) == len(set(there))
        assert there[-1] == -1
    assert (candidates.place_of(said.supplied)[said.supplied >= 0] == 0).all()
    assert (candidates.place_of(np.full(200, 10**6)) == candidates.names.shape[1] - 1).all()


def test_voices_speak_for_the_names_they_name(head: TrainedHead) -> None:
    names = BrandNames(["Norvik", "Lumo"], aliases=AliasTable([]), redirects={})
    supplied, titles = pl.Series(["Norvik", "Pumo", None]), pl.Series(["Lumo thing", "Pumo thing", "Norvik by Lumo"])
    said = names.said(supplied=supplied, titles=titles)
    asked = said_classes(said, num_classes=2)
    absent = np.zeros((3, 4), bool)
    answered = ask_head(head, vectors=np.zeros((3, 32), np.float16), present=absent, classes=asked)
    odds = np.arange(4, dtype=np.float32)
    found = list_candidates(said, head=answered, num_classes=2, supplied_odds=odds, title_odds=odds)

    def speak(product: int, place: int, voice: str) -> float:
        return float(found.inputs[product, place, list(VOICES).index(voice)])

    assert [names.names[name] for name in found.names[0][found.valid[0]][:-1]] == ["Norvik", "Lumo"]
    assert speak(0, 0, "supplied") == speak(0, 1, "title") == speak(0, 1, "title: at its start") == 1
    assert speak(0, 1, "supplied") == speak(0, 0, "title") == speak(0, 0, "supplied: stands in the title") == 0
    assert speak(0, 1, "title: how often it is right") == 1.0
    assert speak(0, 0, "supplied: how sure the title is of another") == 5.0
    assert speak(1, 0, "supplied: was not known before") == speak(1, 0, "supplied: is no class") == 1
    assert speak(1, 0, "supplied: stands in the title") == 1
    assert speak(1, 0, "supplied: how often it is right") == 3.0
    assert speak(1, found.names.shape[1] - 1, "none: where the title names none") == 1
    assert [found.names[2, place] for place in (1, 2)] == [0, 1]
    assert [speak(2, place, "title: at its start") for place in (1, 2)] == [1, 0]
    assert speak(2, 1, "title: where no brand is supplied") == 1
    assert not found.valid[:, 5:-1].any()


def test_lists_are_joined_product_after_product(shard_set: ShardSet, head: TrainedHead, aliases: AliasTable) -> None:
    products = products_of(shard_set, head, num=9)
    fuser = Fuser.untrained([label.name for label in head.card.labels], aliases=aliases)  # type: ignore[union-attr]
    parts = [fuser.candidates(products.take(rows), head=head)[0] for rows in (np.arange(4), np.arange(4, 9))]
    whole, joined = fuser.candidates(products, head=head)[0], Candidates.joined(parts)
    assert np.array_equal(whole.names, joined.names)
    assert np.allclose(whole.inputs, joined.inputs, atol=1e-5)


def _tensors(*arrays: np.ndarray) -> list:  # type: ignore[type-arg]
    import torch

    return [torch.from_numpy(array) for array in arrays]
