"""Whatever a file holds becomes a plain text or nothing."""

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog.values import as_texts, is_present, text_of, texts


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["Mug", "", " \t\u00a0", None]), ["Mug", None, None, None]),
        (pa.array([187, None]), ["187", None]),
        (pa.array([187.0, 1.5, float("nan"), None]), ["187", "1.5", None, None]),
        (pa.array([True]), ["true"]),
        (pa.array(["a", "a", None]).dictionary_encode(), ["a", "a", None]),
        (pa.array([b"Caf\xc3\xa9", b"Caf\xe9"]), ["Café", "Café"]),
        (pa.array([["Home", None, "Mugs"], [], None]), ["Home Mugs", None, None]),
        (pa.array(['["One", "two"]', "['One' 'two']", "[]", "[S] Size"]), ["One two", "One two", None, "[S] Size"]),
        (pa.array([{"name": "Acme", "id": 4}]), ["Acme"]),
        (pa.array(['{"value": "Acme", "language_tag": "en"}']), ["Acme"]),
        (pa.array([{"width": 1, "height": 2}]), ["width: 1; height: 2"]),
        (pa.nulls(2), [None, None]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([datetime.date(2024, 2, 1)]), ["2024-02-01"]),
        (pa.array(["nul\0byte"]), ["nulbyte"]),
        (pa.array(["view"], pa.string_view()), ["view"]),
    ],
)
def test_columns_become_texts(column: pa.Array, expected: list[str | None]) -> None:
    found = as_texts(column)
    assert found.type == pa.large_string()
    assert found.to_pylist() == expected


def test_one_language_counts() -> None:
    column = pa.array(
        [
            '[{"language_tag": "de_DE", "value": "Uhr"}, {"language_tag": "en_GB", "value": "Clock"}]',
            '{"en": "Mug", "de": "Tasse"}',
            '[{"lang": "fr", "text": "Tasse"}]',
        ]
    )
    assert as_texts(column, language="en").to_pylist() == ["Clock", "Mug", "Tasse"]
    assert as_texts(column, language="de_DE").to_pylist() == ["Uhr", "Tasse", "Tasse"]
    assert as_texts(column).to_pylist() == ["Uhr", "Mug", "Tasse"]


def test_text_that_is_not_utf8_is_read_as_cp1252() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"Caf\xe9", b"Mug"], pa.binary()).buffers())
    assert as_texts(broken).to_pylist() == ["Café", "Mug"]


def test_lone_surrogates_are_replaced() -> None:
    assert texts(["Mug \ud800", None, "\ud83d\ude00"], of=None).to_pylist() == ["Mug \ufffd", None, "\U0001f600"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.lists(json_values, max_size=5))
def test_any_json_value_becomes_a_text_that_can_be_stored(values: list[Any]) -> None:
    found = texts(values, of=text_of)
    found.validate(full=True)
    assert len(found) == len(values)
    assert not any(text is not None and not text.strip() for text in found.to_pylist())


def test_moments_that_python_cannot_hold_are_written_as_arrow_does() -> None:
    fine = pa.array([1, 2_000, None], pa.timestamp("ns"))
    assert as_texts(fine).to_pylist() == ["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00.000002", None]
    # Arrow writes "<value out of range: ...>", which is no value.
    assert as_texts(pa.array([2**61], pa.timestamp("us"))).to_pylist() == [None]
    assert as_texts(pa.array([2**61, 0], pa.timestamp("us", "Mars/Phobos"))).to_pylist() == [str(2**61), "0"]


def test_what_is_there_is_told_without_cleaning() -> None:
    assert is_present(pa.array(["Mug", " ", "NULL", "[]", None])).to_pylist() == [True, False, False, False, False]
    assert is_present(pa.array([1.0, float("nan"), None])).to_pylist() == [True, False, False]
    assert is_present(pa.array([["a"], [], None])).to_pylist() == [True, False, False]
