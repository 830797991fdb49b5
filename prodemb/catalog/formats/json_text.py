"""JSON in any layout: an object a line, an array, objects one after another, or an array somewhere inside an object.

Python's own parser is called on one value after another of a bounded piece of text. A streaming parser of events was
not taken because it ends at the first fault in a file; here a record that is no JSON costs that record.
"""

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from prodemb.catalog.formats.header import is_known
from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.records import MAX_DEPTH, SAMPLED_BYTES, Record, RecordsSource, is_deep, keys_of
from prodemb.catalog.formats.rows import Fault
from prodemb.catalog.formats.source import MAX_ROW_BYTES
from prodemb.catalog.formats.text import Text, TooLongError
from prodemb.core.errors import CatalogError

MAX_SEARCHED_CHARS = 64 << 20
"""Text of an object in which the array of its products is looked for."""
MAX_PATH = 6
NUM_LOOKED_AT = 50
PIECE_CHARS = 1 << 16
MAX_KNOWN_OF_PAGE = 2
"""A row has more names that are known than a page of rows has ("page", "total")."""
MAX_PYTHON_CHARS = 1 << 20
_PYTHON = re.compile(r"\{\s*(?:u?'|\}|\d)")
_NOT_JSON = "not valid JSON"
_TOO_LONG = f"longer than {MAX_ROW_BYTES:,} bytes"
_PRODUCTS = re.compile(
    r"^(products?|items?|offers?|listings?|catalog(ue)?|goods|articles?|artikel|produkte|produits|productos|prodotti"
    r"|results?|data|rows|records|entries|hits|nodes|edges|value|товары)$",
    re.IGNORECASE,
)
_PARTS = re.compile(
    r"variant|image|picture|photo|media|option|categor|tax|shipping|attribute|filter|facet|review|link|store|brand|vendor",
    re.IGNORECASE,
)

Layout = Literal["lines", "values"]
Path_ = tuple[str, ...]


def _decoder() -> json.JSONDecoder:
    # Numbers stay as they are written; NaN, as pandas writes it, is absent. Raw newlines in texts are let pass.
    return json.JSONDecoder(parse_float=str, parse_constant=lambda _: None, strict=False)


class JsonSource(RecordsSource):
    """A JSON file."""

    def __init__(self, packed: Packed, *, encoding: str, sample: str, is_whole: bool) -> None:
        """
        Args:
            sample: the file's beginning as text.
        """
        self._layout: Layout = "lines" if _is_lines(sample, is_whole=is_whole) else "values"
        self._path: Path_ = ()
        self._is_map = False
        self._wrapper: str | None = None
        self._names: list[str] | None = None
        start = sample.lstrip()[:1]
        super().__init__(packed, format=self._format(start), encoding=encoding, columns=())
        if start == "{":
            self._find_products()
        self._find_wrapper()
        columns = keys_of(self._records(of_first=SAMPLED_BYTES))
        if not columns:
            raise CatalogError(f"{packed.path}: found no JSON object with a value, wanted one for each product")
        super().__init__(packed, format=self._format(start), encoding=encoding, columns=columns)

    def _format(self, start: str) -> str:
        if start == "[":
            return "json array"
        return "json object" if self._path or self._is_map else "json lines"

    def _values(self, of_first: int | None = None) -> "_OpenValues":
        return _OpenValues(self, of_first)

    def _find_products(self) -> None:
        """Where in an object its products are: in the array, or the object of objects, whose keys look most like it."""
        with self._values() as values:
            if values.next_character() != "{":
                return
            best = _Finder(values).best(of_lines=self._layout == "lines")
        if best is not None:
            self._path, self._is_map = best.path, best.is_map
            self._layout = "values"

    def _find_wrapper(self) -> None:
        """Whether each record is an object inside of one (`{"node": {...}}`), or a list below one of names."""
        first: list[Any] = []
        for _, value in self._raw(SAMPLED_BYTES):
            first.append(value)
            if len(first) >= NUM_LOOKED_AT:
                break
        objects = [each for each in first if isinstance(each, dict)]
        if objects and all(len(each) == 1 for each in objects):
            keys = {key for each in objects for key in each}
            if len(keys) == 1 and all(isinstance(value, dict) for each in objects for value in each.values()):
                (self._wrapper,) = keys
        lists = [each for each in first if isinstance(each, list)]
        if len(lists) > 1 and len(lists) == len(first) and all(isinstance(name, str) for name in lists[0]):
            self._names = lists[0]

    def _records(self, *, of_first: int | None = None) -> Iterator[Record]:
        is_names = self._names is not None
        for number, value in self._raw(of_first):
            if isinstance(value, Fault):
                yield number, value
            elif isinstance(value, list) and self._names is not None:
                if not is_names:
                    yield number, dict(zip(self._names, value, strict=False))
                is_names = False
            elif not isinstance(value, dict):
                yield number, Fault(f"found {_kind(value)}, wanted a JSON object")
            else:
                inside = value.get(self._wrapper) if self._wrapper is not None and len(value) == 1 else None
                value = inside if isinstance(inside, dict) else value
                if is_deep(value):
                    yield number, Fault(f"nested more than {MAX_DEPTH} deep")
                else:
                    yield number, value

    def _raw(self, of_first: int | None) -> Iterator[tuple[int, Any]]:
        """The values that are rows, with their numbers; a fault for one that cannot be read."""
        if self._layout == "lines":
            yield from self._lines(of_first)
            return
        number = 0
        with self._values(of_first) as values:
            while character := values.next_character():
                if character in ",]}":
                    values.pass_by()
                    continue
                found: Iterator[Any]
                if (self._path or self._is_map) and character in "{[":
                    found = values.at_path(self._path, is_map=self._is_map)
                elif character == "[":
                    found = values.elements()
                else:
                    found = iter([values.value_or_fault()])
                for value in found:
                    number += 1
                    yield number, value

    def _lines(self, of_first: int | None) -> Iterator[tuple[int, Any]]:
        decoder = _decoder()
        number = 0
        with self._packed.open() as stream:
            text = Text(self._chunks(stream, of_first))
            while True:
                number += 1
                try:
                    line = text.line(0)
                except TooLongError:
                    text.take_line()
                    yield number, Fault(_TOO_LONG)
                    continue
                if line is None:
                    return
                text.take(len(line))
                content = _without_frame(line.decode())
                if content:
                    try:
                        yield number, _loads(content, decoder)
                    except (ValueError, RecursionError):
                        yield number, Fault(_NOT_JSON)


def _without_frame(line: str) -> str:
    """A line without what makes an array of a file of lines: a bracket by itself or around, a comma at the end."""
    line = line.strip()
    if line[:1] == "{" and line[-1] == "}":
        return line
    line = line.removesuffix(",").rstrip()
    if line in ("[", "]"):
        return ""
    if line.startswith("[{"):
        line = line[1:]
    return line[:-1].rstrip() if line.endswith("}]") and not line.startswith("[") else line


def _is_lines(sample: str, *, is_whole: bool) -> bool:
    """Whether most lines are objects by themselves."""
    lines = sample.split("\n")
    lines = [content for line in (lines if is_whole else lines[:-1])[:200] if (content := _without_frame(line))]
    decoder = _decoder()
    objects = 0
    for line in lines:
        if line.startswith("{"):
            try:
                objects += isinstance(_loads(line, decoder), dict)
            except (ValueError, RecursionError):
                continue
    if len(lines) == 1 and objects == 1:
        # One object: a single row, unless it holds the rows.
        return not any(isinstance(each, dict | list) for each in _loads(lines[0], decoder).values())
    return objects * 2 > len(lines)


def _loads(line: str, decoder: json.JSONDecoder) -> Any:
    """A line's value; also of one that is written as Python writes a dictionary.

    Raises:
        ValueError: it is neither.
    """
    try:
        return decoder.decode(line)
    except ValueError:
        if not _PYTHON.match(line) or len(line) > MAX_PYTHON_CHARS:
            raise
    try:
        return ast.literal_eval(line)
    except (SyntaxError, MemoryError) as error:
        raise ValueError(_NOT_JSON) from error


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else "a single value"


class _BadValueError(Exception):
    """What stands here is no JSON value."""


class _OpenValues:
    """The values of a JSON text, one after another, in bounded memory; a context that opens the file."""

    def __init__(self, source: JsonSource, of_first: int | None) -> None:
        self._source = source
        self._of_first = of_first
        self._decoder = _decoder()
        self._buffer = ""
        self._position = 0
        self._is_at_end = False
        self._first_key: str | None = None
        self._indent: str | None = None
        self.taken = 0
        """Characters passed so far, those in the buffer not counted."""

    def __enter__(self) -> "_OpenValues":
        self._opened = self._source._packed.open()
        self._pieces = self._small(self._source._chunks(self._opened.__enter__(), self._of_first))
        return self

    @staticmethod
    def _small(chunks: Iterator[bytes]) -> Iterator[str]:
        """Text in small pieces: an error of Python's parser looks through all that it was given for its line number."""
        for chunk in chunks:
            text = chunk.decode()
            for place in range(0, len(text), PIECE_CHARS):
                yield text[place : place + PIECE_CHARS]

    def __exit__(self, *error: Any) -> bool | None:
        return self._opened.__exit__(*error)

    @property
    def num_chars(self) -> int:
        """Characters passed so far."""
        return self.taken + self._position

    def _fill(self, *, at_least: int = 1) -> bool:
        """Have more text at hand; whether there is more."""
        parts, have = [self._buffer[self._position :]], 0
        while have < at_least and not self._is_at_end:
            if (piece := next(self._pieces, None)) is None:
                self._is_at_end = True
            else:
                parts.append(piece)
                have += len(piece)
        self.taken += self._position
        self._buffer, self._position = "".join(parts), 0
        return have > 0

    def next_character(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            found = _NO_SPACE.search(self._buffer, self._position)
            if found:
                self._position = found.start()
                return found[0]
            self._position = len(self._buffer)
            if not self._fill():
                return ""

    def pass_by(self) -> None:
        """Go on by a character."""
        self._position += 1

    def value(self) -> Any:
        """The value that begins here.

        Raises:
            _BadValueError: it is no JSON.
            TooLongError: it is longer than `MAX_ROW_BYTES`.
        """
        self.next_character()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._position)
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - 16
                if self._is_at_end or not is_cut:
                    raise _BadValueError from error
            except (ValueError, RecursionError) as error:
                raise _BadValueError from error
            else:
                if end < len(self._buffer) or self._is_at_end:
                    self._position = end
                    return value
            have = len(self._buffer) - self._position
            if have > MAX_ROW_BYTES:
                raise TooLongError
            if not self._fill(at_least=have):
                continue

    def value_or_fault(self) -> Any:
        """The value that begins here; where it is none a fault, with the position where the next one seems to begin."""
        self.next_character()
        start = self._buffer.rfind("\n", 0, self._position) + 1
        before = self._buffer[start : self._position]
        indent = before if start and not before.strip() else None
        try:
            value = self.value()
        except TooLongError:
            self.skip_value()
            return Fault(_TOO_LONG)
        except _BadValueError:
            self._find_next()
            return Fault(_NOT_JSON)
        if isinstance(value, dict) and value:
            self._first_key, self._indent = next(iter(value)), indent
        return value

    def elements(self) -> Iterator[Any]:
        """The elements of the array that begins here, with a fault for each that is no JSON."""
        self.pass_by()
        while character := self.next_character():
            if character == "]":
                self.pass_by()
                return
            if character == ",":
                self.pass_by()
            else:
                yield self.value_or_fault()

    def members(self) -> Iterator[str]:
        """The keys of the object that begins here; each value must be taken before the next key.

        Raises:
            _BadValueError: it is no JSON object.
            TooLongError: a key is too long.
        """
        self.pass_by()
        while character := self.next_character():
            if character == "}":
                self.pass_by()
                return
            if character == ",":
                self.pass_by()
                continue
            key = self.value()
            if not isinstance(key, str) or self.next_character() != ":":
                raise _BadValueError
            self.pass_by()
            yield key

    def at_path(self, path: Path_, *, is_map: bool) -> Iterator[Any]:
        """The rows at a path in the value that begins here, which is passed."""
        try:
            yield from self._at_path(path, is_map=is_map)
        except _BadValueError:
            yield Fault(_NOT_JSON)
            self._position = len(self._buffer)
            while self._fill():
                self._position = len(self._buffer)
        except TooLongError:
            self.skip_value()
            yield Fault(_TOO_LONG)

    def _at_path(self, path: Path_, *, is_map: bool) -> Iterator[Any]:
        character = self.next_character()
        if not path and character == "[" and not is_map:
            yield from self.elements()
        elif character == "{" and (path or is_map):
            for key in self.members():
                self.next_character()
                if path and key == path[0]:
                    yield from self._at_path(path[1:], is_map=is_map)
                elif path:
                    self.skip_value()
                else:
                    value = self.value_or_fault()
                    yield {"key": key, **value} if isinstance(value, dict) else value
        else:
            self.skip_value()

    def skip_value(self) -> None:
        """Pass the value that begins here, however long it is."""
        self.next_character()
        depth, is_text = 0, False
        while True:
            if is_text:
                if not self._pass_text():
                    return
                is_text = False
                if depth == 0:
                    return
            token = _TOKENS.search(self._buffer, self._position)
            if token is None:
                self._position = len(self._buffer)
                if not self._fill():
                    return
                continue
            mark = token[0]
            if depth == 0 and mark in "}],":
                # The end of what the value, a number or a word, is in.
                self._position = token.start()
                return
            self._position = token.end()
            if mark == '"':
                is_text = True
            elif mark in "{[":
                depth += 1
            elif mark in "}]":
                depth -= 1
                if depth == 0:
                    return

    def _pass_text(self) -> bool:
        """Pass the rest of a text in quotes; False where it does not end."""
        while True:
            quote = self._buffer.find('"', self._position)
            end = quote if quote >= 0 else len(self._buffer)
            escape = self._buffer.find("\\", self._position, end)
            if escape >= 0:
                self._position = escape + 2
                if self._position > len(self._buffer):
                    self._position = escape
                    if not self._fill():
                        return False
            elif quote >= 0:
                self._position = quote + 1
                return True
            else:
                self._position = end
                if not self._fill():
                    return False

    def _find_next(self) -> None:
        """Go to where the next record seems to begin: on a line like the others' first, or with the same first key."""
        if self._indent is not None:
            pattern = re.compile(rf"(?<=\n){re.escape(self._indent)}(?=[{{\]])")
        elif self._first_key is not None:
            pattern = re.compile(
                rf"(?<=[,\s\[}}])(?=\{{\s*{re.escape(json.dumps(self._first_key, ensure_ascii=False))}\s*:)"
            )
        else:
            pattern = re.compile(r"(?<=[,\s\[}])(?=\{)")
        self._position += 1
        while True:
            found = pattern.search(self._buffer, self._position)
            if found:
                self._position = found.end()
                return
            self._position = max(self._position, len(self._buffer) - 4096)
            if not self._fill(at_least=8192):
                self._position = len(self._buffer)
                return


_NO_SPACE = re.compile(r"[^\s\ufeff]")
_TOKENS = re.compile(r'["{}\[\],]')


@dataclass
class _Place:
    """Objects that may be the products, somewhere in an object."""

    path: Path_
    is_map: bool
    keys: dict[str, int] = field(default_factory=dict)
    num: int = 0

    def add(self, keys: Mapping[str, Any]) -> None:
        self.num += 1
        if self.num <= NUM_LOOKED_AT:
            for key in list(keys)[:200]:
                self.keys[key] = self.keys.get(key, 0) + 1

    @property
    def is_alike(self) -> bool:
        """Whether most keys come in most of the objects."""
        looked_at = min(self.num, NUM_LOOKED_AT)
        return sum(self.keys.values()) >= 0.5 * looked_at * max(1, len(self.keys))

    def score(self) -> float:
        known = sum(is_known(key) for key in self.keys)
        name = self.path[-1] if self.path else ""
        score = min(known, 8) + math.log10(self.num + 1) + 3 * bool(_PRODUCTS.match(name))
        return score - 4 * any(bool(_PARTS.search(each)) for each in self.path) - (2 if self.is_map else 0)


class _Finder:
    """Looks through an object for arrays of objects, and for objects of objects that are alike."""

    def __init__(self, values: _OpenValues) -> None:
        self._values = values
        self.places: list[_Place] = []

    def best(self, *, of_lines: bool) -> _Place | None:
        """The place that looks most like products in the object that begins here; None where that is a row itself.

        Args:
            of_lines: the object is a line of JSON lines.
        """
        known, is_one_of_many = 0, of_lines
        try:
            first = self._in_object(())
            known = sum(is_known(key) for key, start in first.items() if start not in "{[")
            if self._values.next_character() in ("{", ","):
                # Objects one after another are rows where they are alike, and not pages that hold the rows.
                more = [self._next_document() for _ in range(3)]
                keys = set(first)
                alike = [each is not None and len(keys & each) * 2 >= len(keys | each) for each in more]
                is_one_of_many = known > MAX_KNOWN_OF_PAGE and any(alike)
            else:
                is_one_of_many = False
        except (_BadValueError, TooLongError):
            pass
        best = max(self.places, key=_Place.score, default=None)
        return best if best is not None and not is_one_of_many and best.score() > known else None

    def _next_document(self) -> set[str] | None:
        while self._values.next_character() == ",":
            self._values.pass_by()
        if self._values.next_character() != "{":
            return None
        value = self._values.value()
        return set(value) if isinstance(value, dict) else None

    def _in_object(self, path: Path_) -> dict[str, Any]:
        """Look through an object, and give its keys with what each is."""
        children = _Place(path, is_map=True)
        keys: dict[str, Any] = {}
        for key in self._values.members():
            character = self._values.next_character()
            if len(keys) < 1_000:
                keys[key] = character
            if self._values.num_chars > MAX_SEARCHED_CHARS:
                break
            if character == "{" and len(path) < MAX_PATH and len(children.keys) < 10_000:
                children.add(self._in_object((*path, key)))
            elif character == "[":
                self._in_array((*path, key))
            else:
                self._values.skip_value()
        if children.num >= 3 and children.num >= 0.8 * len(keys) and children.is_alike:
            self.places.append(children)
        return keys

    def _in_array(self, path: Path_) -> None:
        place = _Place(path, is_map=False)
        for value in self._values.elements():
            if isinstance(value, dict):
                # {"node": {...}}: what counts is inside.
                inside = next(iter(value.values())) if len(value) == 1 else None
                place.add(inside if isinstance(inside, dict) else value)
            if self._values.num_chars > MAX_SEARCHED_CHARS:
                break
        if place.num:
            self.places.append(place)
