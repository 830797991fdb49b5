"""Names with similar spellings are found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.aliases import neighbours
from prodemb.aliases.neighbours import Neighbours, key_vectors

KEYS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=60)


def nearest_keys(queries: list[str], *, targets: list[str], neighbours: int, least: float) -> list[tuple[int, ...]]:
    return Neighbours(key_vectors(targets)).nearest(key_vectors(queries), neighbours=neighbours, min_cosine=least)


@settings(deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=20))
def test_vectors_have_length_one_and_depend_on_their_key_alone(keys: list[str]) -> None:
    vectors = key_vectors(keys)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert np.array_equal(vectors[:1], key_vectors(keys[:1]))


@pytest.mark.parametrize("typo", ["fastrrack", "fastrak", "fasttrack", "fsatrack", "fastrqck"])
def test_a_typo_is_nearest_to_its_name(typo: str) -> None:
    targets = ["adidas", "fastrack", "backpack", "asus", "catwalk", "fossil"]
    assert nearest_keys([typo], targets=targets, neighbours=2, least=0.4)[0][0] == 1


def test_an_inverted_file_finds_what_the_flat_index_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    targets = ["".join(rng.choice(list("aeioubcdlmnrst"), size=9)) for _ in range(600)]
    queries = [key[:4] + key[5:] for key in targets[:50]]
    flat = nearest_keys(queries, targets=targets, neighbours=1, least=0.3)
    monkeypatch.setattr(neighbours, "_FLAT_ROWS", 100)
    inverted = nearest_keys(queries, targets=targets, neighbours=1, least=0.3)
    assert inverted == nearest_keys(queries, targets=targets, neighbours=1, least=0.3)
    assert sum(a == b for a, b in zip(flat, inverted, strict=True)) >= 45


def test_nothing_to_search() -> None:
    assert nearest_keys([], targets=["a"], neighbours=3, least=0.5) == []
    assert nearest_keys(["a"], targets=[], neighbours=3, least=0.5) == [()]
    assert nearest_keys(["zzzz"], targets=["abcd"], neighbours=3, least=0.5) == [()]
