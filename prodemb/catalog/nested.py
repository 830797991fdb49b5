"""Lists and objects in a cell: reading them where they are written out as text, and the texts they hold."""

import json
import re
from collections.abc import Iterator
from typing import Any

TEXT_KEYS = ("value", "text", "name", "title", "label", "content", "display_name", "displayname", "caption")
"""The keys under which an object holds its text, the surest first; compared without `@`, `#`, `$` and `_`."""
LANGUAGE_KEYS = ("language_tag", "language", "lang", "locale", "language_code", "languagecode", "culture", "xml:lang")
MAX_LITERAL_CHARS = 1_000_000
"""A longer cell is no list or object that somebody printed."""
_MAX_DEPTH = 50
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}")
_LANGUAGE_NAMES = frozenset(
    "ar bg bn ca cs cy da de el en es et eu fa fi fr gl he hi hr hu id is it ja ka kk ko lt lv mk ms mt nb nl nn no pl"
    " pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur uz vi zh".split()
)
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[\[\](){},:])|[uUbBrR]{0,2}(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)')"""
    r"""|(?P<word>[^\s\[\](){},:"']+))""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_CONSTANTS = {"none": None, "null": None, "nan": None, "true": True, "false": False}


def parsed(text: str) -> Any:
    """A list or an object that stands written out in a text, as JSON or as Python, numpy and pandas print it.

    Anything else comes back as the text that it is.
    """
    start = text.lstrip()[:1]
    if start not in ("[", "{", "(") or text.rstrip()[-1:] not in ("]", "}", ")") or len(text) > MAX_LITERAL_CHARS:
        return text
    if start == "(" and not re.match(r"\s*\(\s*[\"'\[({]", text):
        return text
    if start != "(":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return text if is_too_deep(found) else found
    try:
        return _Literal(text).value()
    except ValueError:
        return text


def is_too_deep(value: Any) -> bool:
    """Whether lists and objects stand in each other deeper than any feed has them."""
    inside = [value]
    for _ in range(_MAX_DEPTH):
        inside = [
            part
            for outer in inside
            if isinstance(outer, list | dict)
            for part in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not inside:
            return False
    return any(isinstance(part, list | dict) for part in inside)


class _Literal:
    """A list or object as Python prints it; numpy's go without commas between their values.

    Raises ValueError where the text is none. Quotes must be around texts, or `[S]Size=M` would be a list.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self) -> Any:
        found = self._next(depth=0)
        if self._text[self._at :].strip():
            raise ValueError
        return found

    def _token(self) -> re.Match[str]:
        token = _TOKEN.match(self._text, self._at)
        if token is None:
            raise ValueError
        self._at = token.end()
        return token

    def _next(self, *, depth: int) -> Any:
        token = self._token()
        return self._of(token, depth=depth)

    def _of(self, token: re.Match[str], *, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError
        for quoted in (token["double"], token["single"]):
            if quoted is not None:
                return _ESCAPE.sub(_unescape, quoted) if "\\" in quoted else quoted
        match token["mark"]:
            case "[":
                return self._list("]", depth=depth)
            case "(":
                return self._list(")", depth=depth)
            case "{":
                return self._object(depth=depth)
            case None:
                return _constant(token["word"])
        raise ValueError

    def _list(self, end: str, *, depth: int) -> list[Any]:
        values: list[Any] = []
        while True:
            token = self._token()
            if token["mark"] == end:
                return values
            if token["mark"] == ",":
                continue
            values.append(self._of(token, depth=depth + 1))

    def _object(self, *, depth: int) -> Any:
        found: dict[str, Any] = {}
        while True:
            token = self._token()
            if token["mark"] == "}":
                return found
            if token["mark"] == ",":
                continue
            key = self._of(token, depth=depth + 1)
            if self._token()["mark"] != ":" or isinstance(key, list | dict):
                raise ValueError
            found[str(key)] = self._next(depth=depth + 1)


def _constant(word: str) -> Any:
    if word.lower() in _CONSTANTS:
        return _CONSTANTS[word.lower()]
    number = float(word)  # a word that is no number is no value: ValueError
    return int(word) if re.fullmatch(r"[+-]?\d+", word) else number


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number <= 0x10FFFF else "\ufffd"
    return _ESCAPES.get(code, code)


def plain_key(key: str) -> str:
    """A key as it is compared: lower case, without the marks that XML and JSON put before it."""
    return key.lower().lstrip("@#$_")


def language_of(value: dict[str, Any]) -> str | None:
    """The language that an object says its text is in, as it stands there."""
    for key, tag in value.items():
        if plain_key(key) in LANGUAGE_KEYS and isinstance(tag, str) and _LANGUAGE.fullmatch(tag):
            return tag
    return None


def is_by_language(value: dict[str, Any]) -> bool:
    """Whether an object's keys are languages: `{"en": "Mug", "de": "Tasse"}`."""
    return bool(value) and all(
        _LANGUAGE.fullmatch(key) and re.split("[-_]", key.lower())[0] in _LANGUAGE_NAMES for key in value
    )


def languages_in(value: Any) -> Iterator[str]:
    """The languages that a value's texts are in, as they stand there, with repetition."""
    match value:
        case list():
            for part in value:
                yield from languages_in(part)
        case dict() if is_by_language(value):
            yield from value
        case dict() if (language := language_of(value)) is not None:
            yield language


def texts_in(value: Any, *, language: str | None) -> list[str]:
    """The texts of a value, in one language where there are several: `language`, or that of the first text."""
    match value:
        case None:
            return []
        case str():
            return [value]
        case bool():
            return [str(value).lower()]
        case list():
            return [text for part in in_language(value, language) for text in texts_in(part, language=language)]
        case dict() if is_by_language(value):
            return texts_in(_best(value, language), language=language)
        case dict():
            return texts_in(_content(value), language=language)
        case float():
            return [] if value != value else [_number(value)]
        case _:
            return [str(value)]


def in_language(parts: list[Any], language: str | None) -> list[Any]:
    """The parts of a list that are in a language, or else in that of the first; parts without a language all stay."""
    tags = [language_of(part) if isinstance(part, dict) else None for part in parts]
    there = [tag for tag in tags if tag is not None]
    if not there:
        return parts
    exact = next((tag for tag in there if language and tag.lower() == language.lower()), None)
    chosen = exact or next((tag for tag in there if is_same_language(tag, language)), there[0])
    return [part for part, tag in zip(parts, tags, strict=True) if tag is None or tag == chosen]


def _best(by_language: dict[str, Any], language: str | None) -> Any:
    exact = [key for key in by_language if language and key.lower() == language.lower()]
    alike = [key for key in by_language if is_same_language(key, language)]
    return by_language[(exact or alike or [*by_language])[0]]


def is_same_language(tag: str, language: str | None) -> bool:
    """Whether two tags are of one language: en, en-GB and en_US are."""
    return language is not None and re.split("[-_]", tag.lower())[0] == re.split("[-_]", language.lower())[0]


def _content(value: dict[str, Any]) -> Any:
    """What an object is about: the value of its text key, or of one that ends like it (`node_name`)."""
    plain = {plain_key(key): part for key, part in value.items()}
    for key in TEXT_KEYS:
        if plain.get(key) not in (None, "", [], {}):
            return plain[key]
    for key in TEXT_KEYS:
        for own, part in plain.items():
            if own.endswith(f"_{key}") and part not in (None, "", [], {}):
                return part
    if any(key in plain for key in TEXT_KEYS):
        return None
    known = [key for key in plain if key not in (*LANGUAGE_KEYS, "id", "unit", "position")]
    if len(known) == 1:
        return plain[known[0]]
    pairs = ((key, texts_in(part, language=None)) for key, part in value.items())
    return "; ".join(f"{key}: {' '.join(texts)}" for key, texts in pairs if texts) or None


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2.0**53 else str(value)
