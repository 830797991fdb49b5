"""Product texts from templates, where what is absent leaves no trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.features import TEXT_FEATURES
from prodemb.core.template import Fields, Template
from prodemb.finetune.config import FinetuneConfig

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


def test_what_two_parts_say_alike_stands_once() -> None:
    template = Template(["{title}", "{description}", "{brand}"])
    assert template.join({"title": "Red mug", "description": "Red mug.", "brand": "Acme"}) == "Red mug. Acme"
