"""Markup, entities, words for nothing and white space go; the words stay."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog.plain_text import plain_text, plain_texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Salt &amp; Pepper", "Salt & Pepper"),
        ("&lt;p&gt;In &amp;amp; out&lt;/p&gt;", "In & out"),
        ("Under < 80 cm and > 3 mm", "Under < 80 cm and > 3 mm"),
        ("<style>p{color:red}</style><p>Oil</p><script>var a = '<b>';</script>", "Oil"),
        ("<STYLE>never closed", None),
        ("One.<br/><br />Two&nbsp;three", "One. Two three"),
        ("<a title=\"a > b\" href='#'>Link</a>", "Link"),
        ("<!-- note -->Text", "Text"),
        ("<![CDATA[Text]]>", "Text"),
        ("Cut off <a href='https://", "Cut off"),
        ("size <M", "size <M"),
        ("R&D &copy 2", "R&D &copy 2"),
        ("off.\\n\\nNext", "off. Next"),
        ("C:\\new\\readme", "C:\\new\\readme"),
        ("  two\t\nlines\u00a0 ", "two lines"),
        ("a\x00b\u200bc\u00ad", "ab c"),
        ("nan", None),
        (" NULL ", None),
        ("\\N", None),
        ("#N/A", None),
        ("-", None),
        ("<p></p>", None),
        ("None of it", "None of it"),
        ("", None),
    ],
)
def test_text_is_plain(text: str, expected: str | None) -> None:
    assert plain_text(text) == expected
    assert plain_texts(pa.array([text, None], pa.large_string())).to_pylist() == [expected, None]


@settings(deadline=None)
@given(st.lists(st.text(alphabet="<>&;/\\ ab\n\t\"'=-!nN\u00a0\u200b", max_size=20) | st.none(), max_size=6))
def test_a_column_is_cleaned_as_its_cells_are(cells: list[str | None]) -> None:
    found = plain_texts(pa.array(cells, pa.large_string())).to_pylist()
    assert found == [None if cell is None else plain_text(cell) for cell in cells]


def test_hostile_markup_takes_no_time() -> None:
    for text in ("<" * 200_000, "<a " * 60_000, "&lt;" * 60_000, '<a "' * 50_000, "<!--" * 50_000, "<script" * 30_000):
        plain_text(text)
