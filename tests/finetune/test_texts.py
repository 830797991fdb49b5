"""Product texts from templates, where what is absent leaves no trace, with fields dropped; and paths cut to fit."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.features import TEXT_FEATURES
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.texts import Fields, Template, drop_fields, fitting_paths

FIELDS: Fields = {
    "title": "Red mug.",
    "description": "For coffee",
    "brand": "Acme",
    "cat1": "Home",
    "cat2": "Kitchen",
    "cat3": "Mugs",
}
DEFAULT = Template(FinetuneConfig().template)
LABELLED = Template(["{title}", "Brand: {brand}!", "Category: {cat1} > {cat2} > {cat3}"])


def some(*names: str) -> Fields:
    return {feature: text for feature, text in FIELDS.items() if feature in names}


def test_by_default_fields_are_sentences_and_a_path() -> None:
    assert DEFAULT.join(FIELDS) == "Red mug. For coffee. Acme. Home > Kitchen > Mugs"
    assert DEFAULT.join(some("brand")) == "Acme"
    assert DEFAULT.join(some("cat1", "cat3")) == "Home > Mugs"
    assert DEFAULT.join({}) == ""
    assert DEFAULT.features == TEXT_FEATURES


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (TEXT_FEATURES, "Red mug. Brand: Acme!. Category: Home > Kitchen > Mugs"),
        (("brand", "cat2", "cat3"), "Brand: Acme!. Category: Kitchen > Mugs"),
        (("title", "cat2"), "Red mug. Category: Kitchen"),
        (("cat1", "cat3"), "Category: Home > Mugs"),
        (("description",), ""),
    ],
)
def test_words_around_a_field_go_with_it(names: tuple[str, ...], text: str) -> None:
    assert LABELLED.join(some(*names)) == text
    assert LABELLED.features == ("title", "brand", "cat1", "cat2", "cat3")


@given(st.sets(st.sampled_from(TEXT_FEATURES)), st.permutations(["{title}", "({brand})", "{cat1}/{cat2}", "{cat3}"]))
def test_the_fields_that_are_there_and_no_others_stand_in_the_text(names: set[str], parts: list[str]) -> None:
    template = Template(parts)
    text = template.join(some(*names))
    for feature in template.features:
        assert (FIELDS[feature].rstrip(".") in text) == (feature in names)
    assert "{" not in text
    assert not text.startswith((". ", "/"))
    assert not text.endswith((". ", "/"))


@pytest.mark.parametrize("part", ["", "a product", "{image}", "{0}", "{}", "{title:>9}", "{title!r}", "{title"])
def test_parts_that_name_no_text_feature_are_refused(part: str) -> None:
    with pytest.raises(ValueError, match=r"wanted one or more of \{title\}|expected '}'"):
        Template([part])


@given(
    names=st.sets(st.sampled_from(TEXT_FEATURES)),
    seed=st.integers(0, 1000),
    dropout=st.floats(0, 0.99),
    category_dropout=st.floats(0, 1),
)
def test_some_field_always_stays(names: set[str], seed: int, dropout: float, category_dropout: float) -> None:
    fields: Fields = {feature: text for feature, text in FIELDS.items() if feature in names}
    kept = drop_fields(fields, rng=Random(seed), dropout=dropout, category_dropout=category_dropout)
    assert bool(kept) == bool(fields)
    assert kept.items() <= fields.items()


def test_categories_are_left_out_together_and_as_often_as_asked() -> None:
    rng = Random(0)
    drawn = [drop_fields(FIELDS, rng=rng, dropout=0.3, category_dropout=0.6) for _ in range(2000)]
    assert all(("cat1" in kept) == ("cat2" in kept) == ("cat3" in kept) for kept in drawn if len(kept) > 1)
    assert np.mean(["title" in kept for kept in drawn]) == pytest.approx(0.7, abs=0.04)
    assert np.mean(["cat1" in kept for kept in drawn]) == pytest.approx(0.4, abs=0.04)


def test_paths_lose_their_root_until_they_fit_and_never_their_leaf() -> None:
    paths = ["A > B", "Home > Kitchen > Mugs", "a b c d e f"]
    texts = fitting_paths(paths, num_tokens=lambda text: len(text.split()), most_tokens=3)
    assert texts == ["A > B", "Kitchen > Mugs", "a b c d e f"]
