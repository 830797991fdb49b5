"""Junk and no-names in the brand field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.aliases.junk import UNBRANDED, UNKNOWN, find_junk


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        *(
            (text, "placeholder")
            for text in ("N/A", "none", r"\N", "-", "", " ", "???", "Does not apply", "keine Angabe", "Otros")
        ),
        *((text, "colour") for text in ("Red", "BLACK", "Light pink", "Multi-Color", "Noir", "schwarz", "Grey/ White")),
        *((text, "fit") for text in ("Regular", "Slim Fit", "slim-fit", "Super Skinny")),
        *((text, "size") for text in ("XL", "Free Size", "500 ml", "Taille unique", "2XL")),
        *((text, "number") for text in ("123", "12.5", "0")),
        *((text, "url") for text in ("https://shop.example/x", "www.example.com", "someone@example.com")),
        *((text, "audience") for text in ("Women", "Herren", "Boys & Girls")),
        ("Printed", "pattern"),
        ("Cotton", "material"),
    ],
)
def test_junk_is_unknown_with_its_rule(text: str, rule: str) -> None:
    junk = find_junk(text)
    assert junk is not None
    assert (junk.canonical, junk.rule) == (UNKNOWN, rule)


@pytest.mark.parametrize(
    "text",
    ["Generic", "Unbranded", "No brand", "OEM", "no-name", "Sans marque", "ohne Marke", "Sin marca", "Senza marca",
     "Unbranded/Generic", "Tidak Ada Merk", "No brands", "без бренда", "ノーブランド", "无品牌", "không thương hiệu"],
)  # fmt: skip
def test_honest_no_names_are_unbranded(text: str) -> None:
    junk = find_junk(text)
    assert junk is not None
    assert (junk.canonical, junk.rule) == (UNBRANDED, "unbranded")


@pytest.mark.parametrize(
    "text",
    ["Red Tape", "And Red", "3M", "109F", "F5", "612 League", "MINI", "AND", "ONE", "Slim Jim", "Nike", "W",
     "Blackberry", "7 For All Mankind", "G&G", "Regular Show Toys", "skyandle.in", "小米"],
)  # fmt: skip
def test_names_with_such_words_are_no_junk(text: str) -> None:
    assert find_junk(text) is None


@pytest.mark.parametrize("text", ["4711", "Orange", "Red Rose"])
def test_some_junk_may_be_a_name(text: str) -> None:
    junk = find_junk(text)
    assert junk is not None
    assert junk.may_be_name


@given(st.text())
def test_no_text_raises(text: str) -> None:
    find_junk(text)
