"""JSON in any layout: an object a line, an array, objects one after another, or an array somewhere inside an object.

Python's own parser is called on one value after another of a bounded piece of text. A streaming parser of events was
not taken because it ends at the first fault in a file; here a record that is no JSON costs that record.
"""

import ast
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from prodemb.catalog.formats.json_products import Finder
from prodemb.catalog.formats.json_values import NOT_JSON, TOO_LONG, JsonPath, OpenValues, json_decoder
from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.records import MAX_DEPTH, SAMPLED_BYTES, Record, RecordsSource, is_deep, keys_of
from prodemb.catalog.formats.rows import Fault
from prodemb.catalog.formats.text import Text, TooLongError
from prodemb.core.errors import CatalogError

NUM_LOOKED_AT = 50
"""Values that tell whether each record is inside of an object of its own."""
MAX_PYTHON_CHARS = 1 << 20
_PYTHON = re.compile(r"\{\s*(?:u?'|\}|\d)")
Layout = Literal["lines", "values"]


class JsonSource(RecordsSource):
    """A JSON file."""

    def __init__(self, packed: Packed, *, encoding: str, sample: str, is_whole: bool) -> None:
        """
        Args:
            sample: the file's beginning as text.
        """
        self._layout: Layout = "lines" if are_json_lines(sample, is_whole=is_whole) else "values"
        self._path: JsonPath = ()
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

    def _values(self, of_first: int | None = None) -> OpenValues:
        @contextmanager
        def opened() -> Iterator[Iterator[bytes]]:
            with self._packed.open() as stream:
                yield self._chunks(stream, of_first)

        return OpenValues(opened())

    def _find_products(self) -> None:
        """Where in an object its products are: in the array, or the object of objects, whose keys look most like it."""
        with self._values() as values:
            if values.next_character() != "{":
                return
            best = Finder(values).best(of_lines=self._layout == "lines")
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
        decoder = json_decoder()
        number = 0
        with self._packed.open() as stream:
            text = Text(self._chunks(stream, of_first))
            while True:
                number += 1
                try:
                    line = text.line(0)
                except TooLongError:
                    text.take_line()
                    yield number, Fault(TOO_LONG)
                    continue
                if line is None:
                    return
                text.take(len(line))
                content = _without_frame(line.decode())
                if content:
                    try:
                        yield number, _loads(content, decoder)
                    except (ValueError, RecursionError):
                        yield number, Fault(NOT_JSON)


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


def are_json_lines(sample: str, *, is_whole: bool) -> bool:
    """Whether most lines are objects by themselves."""
    lines = sample.split("\n")
    lines = [content for line in (lines if is_whole else lines[:-1])[:200] if (content := _without_frame(line))]
    decoder = json_decoder()
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
        value = ast.literal_eval(line)
    except (SyntaxError, MemoryError) as error:
        raise ValueError(NOT_JSON) from error
    return {str(key): part for key, part in value.items()} if isinstance(value, dict) else value


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else "a single value"
