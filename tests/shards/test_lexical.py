"""Lexical vectors: of length 1, of their product alone, alike where the words are."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.shards.lexical import lexical_vectors

TEXTS = st.one_of(
    st.none(), st.text(max_size=60), st.sampled_from(["red shoe", "Red  Shoes!", "зелёный чай", "紅い靴"])
)


def vectors(*titles: str | None, dim: int = 1024) -> npt.NDArray[np.float32]:
    return lexical_vectors([titles], dim=dim).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_a_vector_depends_on_its_product_alone(products: list[tuple[str | None, str | None]]) -> None:
    together = lexical_vectors(list(zip(*products, strict=True)), dim=64)
    assert together.shape == (len(products), 64)
    assert together.dtype == np.dtype("<f2")
    for product, vector in zip(products, together, strict=True):
        alone = lexical_vectors([[text] for text in product], dim=64)[0]
        assert np.array_equal(vector, alone)
        length = np.linalg.norm(vector.astype(np.float64))
        assert length == 0 or abs(length - 1) < 2e-3


def test_texts_without_letters_or_digits_have_no_vector() -> None:
    assert not vectors(None, "", "  ", "!?* ").any()


def test_case_punctuation_and_width_do_not_count() -> None:
    a, b, c = vectors("Red Shoe", "red, SHOE!", "Ｒｅｄ shoe")
    assert np.array_equal(a, b)
    assert np.array_equal(a, c)


def test_alike_texts_have_alike_vectors() -> None:
    shoe, shoes, order, other = vectors("red running shoe", "red running shoes", "shoe red running", "steel tea kettle")
    assert shoe @ shoes > 0.6
    assert 0.6 < shoe @ order < 0.99
    assert abs(shoe @ other) < 0.2


def test_inner_products_are_those_of_the_counts() -> None:
    """Random projections keep them: the mean error over many pairs is that of the dimension."""
    random = np.random.default_rng(0)
    words = [f"w{i:03}x" for i in range(400)]
    titles = [" ".join(random.choice(words, 8, replace=False)) for _ in range(60)]
    small, large = vectors(*titles, dim=512), vectors(*titles, dim=8192)
    error = np.abs(small @ small.T - large @ large.T)[np.triu_indices(60, 1)]
    assert error.mean() < 1.5 / np.sqrt(512)


def test_a_field_without_text_changes_nothing() -> None:
    assert np.array_equal(
        lexical_vectors([["red shoe"], [None]], dim=128), lexical_vectors([["red shoe"], [""]], dim=128)
    )
    assert np.array_equal(lexical_vectors([["red shoe"], [None]], dim=128), lexical_vectors([["red shoe"]], dim=128))


@pytest.mark.parametrize("text", ["a", "ab", "a b c", "x" * 10_000, "\x00\ud7ff\u200d", "e\u0301" * 50, "👟 " * 300])
def test_any_text_gives_finite_numbers(text: str) -> None:
    assert np.isfinite(vectors(text)).all()


def test_the_same_text_gives_the_same_vector_on_every_machine() -> None:
    (vector,) = vectors("Norvik steel kettle 1.7 l", dim=64)
    assert np.flatnonzero(np.abs(vector) > 0.25).tolist() == [48, 55, 56]
