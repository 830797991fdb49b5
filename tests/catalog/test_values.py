"""Whatever a file holds becomes a text, a picture or nothing."""

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog.values import as_images, as_text, image_kind, image_path_of, split_path, text_of, texts


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["Mug", "", " \t\u00a0", None]), ["Mug", None, None, None]),
        (pa.array([187, None]), ["187", None]),
        (pa.array([187.0, 1.5, float("nan"), None]), ["187", "1.5", None, None]),
        (pa.array([True]), ["true"]),
        (pa.array(["a", "a", None]).dictionary_encode(), ["a", "a", None]),
        (pa.array([b"Caf\xc3\xa9", b"Caf\xe9"]), ["Café", "Café"]),
        (pa.array([["Home", None, "Mugs"], [], None]), ["Home > Mugs", None, None]),
        (pa.array([{"a": 1}]), ['{"a": 1}']),
        (pa.nulls(2), [None, None]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([datetime.date(2024, 2, 1)]), ["2024-02-01"]),
        (pa.array(["nul\0byte"]), ["nul\0byte"]),
        (pa.array(["view"], pa.string_view()), ["view"]),
    ],
)
def test_columns_become_texts(column: pa.Array, expected: list[str | None]) -> None:
    found = as_text(column)
    assert found.type == pa.large_string()
    assert found.to_pylist() == expected


def test_text_that_is_not_utf8_is_read_as_cp1252() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"Caf\xe9", b"Mug"], pa.binary()).buffers())
    assert as_text(broken).to_pylist() == ["Café", "Mug"]


def test_lone_surrogates_are_replaced() -> None:
    assert texts(["Mug \ud800", None, "\ud83d\ude00"]).to_pylist() == ["Mug \ufffd", None, "\U0001f600"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.lists(json_values, max_size=5))
def test_any_json_value_becomes_a_text_that_can_be_stored(values: list[Any]) -> None:
    for found in (texts(values), texts(values, of=image_path_of)):
        found.validate(full=True)
        assert len(found) == len(values)
        assert not any(text is not None and not text.strip() for text in found.to_pylist())
    assert all(text_of(value) is None or isinstance(text_of(value), str) for value in values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("images/a, b.jpg", "images/a, b.jpg"),
        (" https://x.y/a,b.jpg ", "https://x.y/a,b.jpg"),
        ("https://x.y/a.jpg,https://x.y/b.jpg", "https://x.y/a.jpg"),
        ("https://x.y/a.jpg | https://x.y/b.jpg", "https://x.y/a.jpg"),
        ('["https://x.y/a.jpg", "https://x.y/b.jpg"]', "https://x.y/a.jpg"),
        ("[1] mug.jpg", "[1] mug.jpg"),
        (["", "a.jpg"], "a.jpg"),
        ([], None),
        ({"bytes": None, "path": "a.jpg"}, "a.jpg"),
        ([{"src": "a.jpg"}], "a.jpg"),
        (None, None),
    ],
)
def test_the_first_picture_is_taken(value: Any, expected: str | None) -> None:
    assert image_path_of(value) == expected


def test_pictures_in_columns() -> None:
    face = pa.array([{"bytes": b"x", "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}, None, {"bytes": b""}])
    assert image_kind(face.type) == "bytes"
    assert as_images(face, kind="bytes").to_pylist() == [b"x", None, None, None]
    assert as_images(face, kind="path").to_pylist() == ["a.jpg", "b.jpg", None, None]
    assert as_images(pa.array([b"x", b"", None]), kind="bytes").to_pylist() == [b"x", None, None]
    assert as_images(pa.array([[b"x", b"y"], [], None]), kind="bytes").to_pylist() == [b"x", None, None]
    assert as_images(pa.array(["a.jpg", " ", '["b.jpg"]']), kind="path").to_pylist() == ["a.jpg", None, "b.jpg"]
    assert as_images(pa.array(["a.jpg"]).dictionary_encode(), kind="path").type == pa.large_string()


def test_category_paths_are_split() -> None:
    paths = pa.array(["Home > Kitchen > Mugs > Blue", "Home>Kitchen", "Toys", None, " > "])
    levels = split_path(paths, separator=" > ", num_levels=3)
    assert list(zip(*(level.to_pylist() for level in levels), strict=True)) == [
        ("Home", "Kitchen", "Mugs > Blue"),
        ("Home", "Kitchen", None),
        ("Toys", None, None),
        (None, None, None),
        (None, None, None),
    ]


def test_moments_that_python_cannot_hold_are_written_as_arrow_does() -> None:
    fine = pa.array([1, 2_000, None], pa.timestamp("ns"))
    assert as_text(fine).to_pylist() == ["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00.000002", None]
    assert as_text(pa.array([2**61], pa.timestamp("us"))).to_pylist() == [f"<value out of range: {2**61}>"]
    assert as_text(pa.array([2**61, 0], pa.timestamp("us", "Mars/Phobos"))).to_pylist() == [str(2**61), "0"]


def test_a_list_of_fixed_size_may_hold_pictures() -> None:
    column = pa.array([["a.jpg", "b.jpg"]], pa.list_(pa.string(), 2))
    assert image_kind(column.type) == "path"
    assert as_images(column, kind="path").to_pylist() == ["a.jpg"]


def test_a_path_in_deep_brackets_is_text() -> None:
    deep = "[" * 990 + "]" * 990
    assert image_path_of(deep) in (deep, None)
