"""Comparison keys and spellings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.aliases.normalise import (
    LONGEST,
    choose_spelling,
    normalise_brand,
    repair,
    spelling_rule,
    tidy_spelling,
    words_of,
)


@pytest.mark.parametrize(
    ("key", "spellings"),
    [
        ("nike", ["Nike", "NIKE", "nike", "Nike®", "NIKE™", "Nike(R)", "Nike, Inc.", " Nike ", "NikeÂ®", "Nike GmbH"]),
        ("loreal", ["L'Oréal", "LOreal", "L Oreal", "L’Oréal", "L\u00e2\u20ac\u2122Or\u00c3\u00a9al", "L'OREAL S.A."]),
        ("nestle", ["Nestlé", "NestlÃ©", "NESTLE", "Nestlé S.p.A."]),
        ("dolcegabbana", ["Dolce & Gabbana", "Dolce and Gabbana", "Dolce&Gabbana", "Dolce &amp; Gabbana"]),
        ("hm", ["H&M", "H & M", "HM"]),
        ("muller", ["Müller GmbH & Co. KG", "Muller", "MÜLLER AG", "Müller Kft."]),
        ("redtape", ["Red Tape", "RedTape", "RED-TAPE", "red_tape"]),
        ("foo", ["Foo S. A. de C. V.", "Foo sp. z o.o.", "Foo Pvt Ltd", "Foo B.V.", "Foo Co., Ltd.", "Foo SARL"]),
        ("soliver", ["s.Oliver", "S. Oliver", "sOliver"]),
        ("soni", ["ソニー株式会社", "ソニー"]),
        ("yamaha", ["株式会社ヤマハ", "㈱ヤマハ", "ヤマハ(株)", "ヤマハ 株式会社"]),
        ("samseongjeonja", ["(주)삼성전자", "주식회사 삼성전자", "삼성전자"]),
        ("romashka", ["ООО Ромашка", "ООО «Ромашка»", "Ромашка"]),
        ("incredible", ["Inc.redible", "Inc.redible Ltd"]),
        ("and", ["AND", "and"]),
    ],
)
def test_spellings_of_one_name_share_a_key(key: str, spellings: list[str]) -> None:
    assert {spelling: normalise_brand(spelling) for spelling in spellings} == dict.fromkeys(spellings, key)


@pytest.mark.parametrize("alone", ["Co", "Limited", "The Limited", "Pvt Ltd", "S.A.", "AB", "Inc."])
def test_a_legal_suffix_is_never_the_whole_name(alone: str) -> None:
    assert normalise_brand(alone)
    assert tidy_spelling(alone)


def test_legal_words_inside_a_name_stay() -> None:
    assert normalise_brand("Inc.5 Shoes") == "inc5shoes"
    assert normalise_brand("AG Adriano") == "agadriano"
    assert normalise_brand("The Honest Company") == "thehonestcompany"
    assert tidy_spelling("Inc.redible") == "Inc.redible"


@pytest.mark.parametrize(
    ("supplied", "shown"),
    [("株式会社ヤマハ", "ヤマハ"), ("㈱ヤマハ", "ヤマハ"), ("ООО «Ромашка»", "Ромашка"), ("株式会社", "株式会社")],
)
def test_a_legal_form_before_the_name_is_not_shown(supplied: str, shown: str) -> None:
    assert tidy_spelling(supplied) == shown


@given(st.text())
def test_the_key_is_idempotent_and_plain(text: str) -> None:
    key = normalise_brand(text)
    assert normalise_brand(key) == key
    assert key.isascii()
    assert key == "" or key.isalnum()


@given(st.text())
def test_no_text_raises(text: str) -> None:
    repair(text)
    words_of(text)
    assert spelling_rule(text, canonical=tidy_spelling(text)) is not None


@given(st.lists(st.sampled_from(["Nike", "Inc", "Ltd", "and", "&", "Co.", "S.A.", "GmbH", "A", "B.V"]), min_size=1))
def test_the_key_survives_any_pile_of_legal_words(words: list[str]) -> None:
    key = normalise_brand(" ".join(words))
    assert normalise_brand(key) == key
    assert key or all(word == "&" for word in words)


@pytest.mark.parametrize(
    ("supplied", "canonical", "rule"),
    [
        ("Nike", "Nike", "exact"),
        ("NIKE", "Nike", "case"),
        ("Nike®", "Nike", "marks"),
        ("NestlÃ©", "Nestlé", "mojibake"),
        ("Red-Tape", "Red Tape", "punctuation-spacing"),
        ("Nike Pvt. Ltd.", "Nike", "legal_suffix"),
        ("Nestle", "Nestlé", "transliteration"),
        ("Adidas", "Nike", "unlike"),
    ],
)
def test_the_mildest_rule_is_named(supplied: str, canonical: str, rule: str) -> None:
    assert spelling_rule(supplied, canonical=canonical) == rule


@pytest.mark.parametrize(
    ("spellings", "chosen"),
    [
        ({"NIKE": 60, "Nike": 40, "nike": 5}, "Nike"),
        ({"HP": 90, "Hp": 10}, "HP"),
        ({"BMW": 5}, "BMW"),
        ({"ASUS": 95, "Asus": 5}, "ASUS"),
        ({"adidas": 3, "Adidas Inc.": 2}, "Adidas"),
        ({"Nike, Inc.": 10, "Nike": 1}, "Nike"),
        ({"aramis": 1}, "aramis"),
        ({"Loreal": 3, "L'Oréal": 9}, "L'Oréal"),
    ],
)
def test_the_canonical_spelling_is_frequent_and_well_formed(spellings: dict[str, int], chosen: str) -> None:
    assert choose_spelling(spellings) == chosen


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 100), min_size=1))
def test_the_chosen_spelling_does_not_depend_on_order(spellings: dict[str, int]) -> None:
    assert choose_spelling(spellings) == choose_spelling(dict(reversed(spellings.items())))


def test_a_description_in_the_brand_field_costs_no_more_than_its_beginning() -> None:
    name = "Nike " + "ﷺ " * 5_000_000
    assert normalise_brand(name) == normalise_brand(name[: 10 * LONGEST])
    assert len(tidy_spelling(name)) < 20 * LONGEST
