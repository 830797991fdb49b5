"""The first picture of a cell, in whatever spelling."""

import base64
from typing import Any

import pyarrow as pa
import pytest

from prodemb.catalog.pictures import as_pictures, kind_of, picture_of

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(60)
BASE64 = base64.b64encode(PICTURE).decode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("images/a, b.jpg", "images/a, b.jpg"),
        (" https://x.y/a,b.jpg ", "https://x.y/a,b.jpg"),
        ("https://x.y/a.jpg,https://x.y/b.jpg", "https://x.y/a.jpg"),
        ("https://x.y/a.jpg | https://x.y/b.jpg", "https://x.y/a.jpg"),
        ("https://x.y/1;//x.y/2", "https://x.y/1"),
        ("a_0.jpg,a_1.jpg", "a_0.jpg"),
        ("a.jpg;b.jpg;c.jpg", "a.jpg"),
        ("a.jpg\nb.jpg", "a.jpg"),
        ('["https://x.y/a.jpg", "https://x.y/b.jpg"]', "https://x.y/a.jpg"),
        ("['https://x.y/a.jpg', 'https://x.y/b.jpg']", "https://x.y/a.jpg"),
        ("{https://x.y/a.jpg,https://x.y/b.jpg}", "https://x.y/a.jpg"),
        ("[1] mug.jpg", "[1] mug.jpg"),
        ('"https://x.y/a.jpg"', "https://x.y/a.jpg"),
        ("https://x.y/?f=a.jpg&amp;reg=2", "https://x.y/?f=a.jpg&reg=2"),
        ('=IMAGE("https://x.y/a.jpg", 4, 60, 60)', "https://x.y/a.jpg"),
        ('=HYPERLINK("https://x.y/a.jpg";"A")', "https://x.y/a.jpg"),
        ('<img alt="" src="https://x.y/a.jpg">', "https://x.y/a.jpg"),
        ("![](https://x.y/a.jpg)", "https://x.y/a.jpg"),
        ("//x.y/a.jpg", "//x.y/a.jpg"),
        ("img.shop.example/a.jpg", "https://img.shop.example/a.jpg"),
        ("pics/a.jpg", "pics/a.jpg"),
        ("/a/b.jpg", "/a/b.jpg"),
        ("nan", None),
        ("['nan']", None),
        (f"data:image/png;base64,{BASE64}", PICTURE),
        (BASE64, PICTURE),
        (f"[{BASE64!r}]", PICTURE),
        (["", "a.jpg"], "a.jpg"),
        ([], None),
        ({"bytes": None, "path": "a.jpg"}, "a.jpg"),
        ({"bytes": PICTURE, "path": "a.jpg"}, PICTURE),
        ([{"src": "a.jpg", "id": 4}], "a.jpg"),
        ([{"thumb": "t.jpg", "large": "l.jpg", "hi_res": None}, {"large": "m.jpg"}], "l.jpg"),
        ([{"url": "b.jpg"}, {"url": "a.jpg", "is_main": True}], "a.jpg"),
        ([{"url": "a_100.jpg", "width": 100}, {"url": "a_800.jpg", "width": 800}], "a_800.jpg"),
        ([{"url": "p1.jpg", "width": 100}, {"url": "p2.jpg", "width": 800}], "p1.jpg"),
        ({"hires": ["h.jpg"], "large": ["l.jpg"]}, "h.jpg"),
        (None, None),
        (7, None),
    ],
)
def test_the_first_picture_is_taken(value: Any, expected: str | bytes | None) -> None:
    assert picture_of(value) == expected
    if isinstance(value, str):
        (found,) = as_pictures(pa.array([value]), kind="path").to_pylist()
        assert found == (f"data:;base64,{BASE64}" if isinstance(expected, bytes) else expected)
        (found,) = as_pictures(pa.array([value]), kind="bytes").to_pylist()
        assert found == (expected if isinstance(expected, bytes) else None)


def test_pictures_in_columns() -> None:
    face = pa.array([{"bytes": b"x", "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}, None, {"bytes": b""}])
    assert kind_of(face.type) == "bytes"
    assert as_pictures(face, kind="bytes").to_pylist() == [b"x", None, None, None]
    assert as_pictures(pa.array([b"x", b"", None]), kind="bytes").to_pylist() == [b"x", None, None]
    assert as_pictures(pa.array([[b"x", b"y"], [], None]), kind="bytes").to_pylist() == [b"x", None, None]
    assert as_pictures(pa.array(["a.jpg"]).dictionary_encode(), kind="path").type == pa.large_string()
    column = pa.array([["a.jpg", "b.jpg"]], pa.list_(pa.string(), 2))
    assert kind_of(column.type) == "path"
    assert as_pictures(column, kind="path").to_pylist() == ["a.jpg"]


def test_a_path_in_deep_brackets_is_text() -> None:
    deep = "[" * 990 + "]" * 990
    assert picture_of(deep) in (deep, None)
