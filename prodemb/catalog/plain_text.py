"""Plain text: tags, entities, words for nothing and white space are cleaned away, once and for all columns."""

import html
import re
from functools import lru_cache

import polars as pl
import pyarrow as pa

NULL_WORDS = frozenset(
    {"nan", "null", "(null)", "none", "<na>", "nat", r"\n", "n/a", "#n/a", "-", "--"}
    | {"#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!"}
)
"""What databases, spreadsheets and programs write where there is no value, in lower case."""
_LONGEST_NULL_WORD = max(map(len, NULL_WORDS))
_MAX_ESCAPES = 3
"""How often entities may be escaped over each other."""

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_HIDDEN = re.compile(r"<(script|style)\b[^>]*>.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.DOTALL)
_TAG = re.compile(r"""</?[A-Za-z](?:[^<>"']|"[^"<]*"|'[^'<]*')*>|</?[A-Za-z][^<>]*>|<[!?][A-Za-z][^<>]*>""")
_CUT_TAG = re.compile(r"<[A-Za-z][A-Za-z0-9]*\s+[\w:-]+\s*=[^<>]*\Z|</[A-Za-z0-9]*\Z")
"""A tag that the text ends in the middle of, as where it was cut to a length."""
_WRITTEN_BREAK = re.compile(r"(?<![\w\\])(?<![A-Za-z]:)(?:\\r\\n|\\n|\\r)+(?!\w*\\)")
"""Line breaks written out as a backslash and a letter, but not the folders of a Windows path."""
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff\ufffe\uffff]+")
_INVISIBLE = re.compile(r"[\x00\xad\u2060]")

_MARKED = r"[<&]|\\[nr]"
"""Cells that only Python can clean, as Rust's regular expressions put it."""
_UNEVEN = r"[^\S ]|  |^ | $|[\p{Cc}\u{ad}\u{200b}\u{2028}\u{2029}\u{2060}\u{feff}\u{fffe}\u{ffff}]"


def plain_text(text: str) -> str | None:
    """A text without markup, entities, control characters and repeated white space; None where nothing is left of it.

    A tag becomes a space. What `<style>` and `<script>` hold is left out; a `<` that opens no tag stays.
    """
    if "<" in text or "&" in text:
        text = _without_markup(text)
    if "\\" in text:
        text = _WRITTEN_BREAK.sub(" ", text) if text.strip().lower() not in NULL_WORDS else text
    text = " ".join(text.split())
    if not text.isprintable():
        text = _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()
    return None if not text or is_null_word(text) else text


def is_null_word(text: str) -> bool:
    """Whether a text stands for no value."""
    return len(text) <= _LONGEST_NULL_WORD and text.lower() in NULL_WORDS


def unescaped(text: str) -> str:
    """Entities resolved, also those that were escaped again; `&copy` without a semicolon is none.

    In an address `&reg=1` is a part of its query.
    """
    for _ in range(_MAX_ESCAPES):
        if "&" not in text:
            break
        before, text = text, _ENTITY.sub(_character, text)
        if text == before:
            break
    return text


def _character(entity: re.Match[str]) -> str:
    return _character_of(entity[0])


@lru_cache(maxsize=4096)
def _character_of(entity: str) -> str:
    return html.unescape(entity)


def plain_texts(column: pa.LargeStringArray) -> pa.LargeStringArray:
    """`plain_text` of a whole column; most cells hold nothing that takes Python."""
    series = pl.Series(values=column)
    is_marked = series.str.contains(_MARKED).fill_null(value=False)
    if is_marked.any():
        cells = series.to_list()
        for place in is_marked.arg_true():
            cells[place] = plain_text(cells[place])
        series = pl.Series(values=cells, dtype=pl.String)
    if series.str.contains(_UNEVEN).any():
        series = (
            series.str.replace_all(r"[\x00\u{ad}\u{2060}]+", "")
            .str.replace_all(r"[\s\p{Cc}\u{200b}\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}]+", " ")
            .str.strip_chars(" ")
        )
    return without_null_words(series).to_arrow(compat_level=pl.CompatLevel.oldest())


def without_null_words(series: pl.Series) -> pl.Series:
    """Texts that stand for no value, and empty ones, made null."""
    lengths = series.str.len_bytes()
    if not (lengths <= _LONGEST_NULL_WORD).any():
        return series
    is_null = (lengths == 0) | ((lengths <= _LONGEST_NULL_WORD) & series.str.to_lowercase().is_in(list(NULL_WORDS)))
    return series.set(is_null.fill_null(value=False), None)


def _without_markup(text: str) -> str:
    text = unescaped(text)
    if "<" not in text:
        return text
    if "<s" in text or "<S" in text:
        text = _HIDDEN.sub(" ", text)
    if "<!" in text:
        text = _COMMENT.sub(" ", _CDATA.sub(r"\1", text))
    text = _TAG.sub(" ", text)
    return unescaped(_CUT_TAG.sub("", text) if "<" in text else text)
