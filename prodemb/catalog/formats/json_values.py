"""The values of a JSON text, one after another, in bounded memory; one that is no JSON costs no other."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from prodemb.catalog.formats.rows import Fault
from prodemb.catalog.formats.source import MAX_ROW_BYTES
from prodemb.catalog.formats.text import TooLongError

PIECE_CHARS = 1 << 16
NOT_JSON = "not valid JSON"
TOO_LONG = f"longer than {MAX_ROW_BYTES:,} bytes"

JsonPath = tuple[str, ...]
"""Keys from the outermost object inwards."""


def json_decoder() -> json.JSONDecoder:
    """Python's decoder as feeds need it.

    Numbers stay as they are written; NaN, as pandas writes it, is absent. Raw newlines in texts are let pass.
    """
    return json.JSONDecoder(parse_float=str, parse_constant=lambda _: None, strict=False)


class BadValueError(Exception):
    """What stands here is no JSON value."""


class OpenValues:
    """The values of a JSON text, one after another, in bounded memory; a context that opens the file."""

    def __init__(self, opened: AbstractContextManager[Iterator[bytes]]) -> None:
        """
        Args:
            opened: gives the text as UTF-8, in chunks of whole characters.
        """
        self._opened = opened
        self._decoder = json_decoder()
        self._buffer = ""
        self._position = 0
        self._is_at_end = False
        self._first_key: str | None = None
        self._indent: str | None = None
        self.taken = 0
        """Characters passed so far, those in the buffer not counted."""

    def __enter__(self) -> "OpenValues":
        self._pieces = self._small(self._opened.__enter__())
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
            BadValueError: it is no JSON.
            TooLongError: it is longer than `MAX_ROW_BYTES`.
        """
        self.next_character()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._position)
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - 16
                if self._is_at_end or not is_cut:
                    raise BadValueError from error
            except (ValueError, RecursionError) as error:
                raise BadValueError from error
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
            return Fault(TOO_LONG)
        except BadValueError:
            self._find_next()
            return Fault(NOT_JSON)
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
            BadValueError: it is no JSON object.
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
                raise BadValueError
            self.pass_by()
            yield key

    def at_path(self, path: JsonPath, *, is_map: bool) -> Iterator[Any]:
        """The rows at a path in the value that begins here, which is passed."""
        try:
            yield from self._at_path(path, is_map=is_map)
        except BadValueError:
            yield Fault(NOT_JSON)
            self._position = len(self._buffer)
            while self._fill():
                self._position = len(self._buffer)
        except TooLongError:
            self.skip_value()
            yield Fault(TOO_LONG)

    def _at_path(self, path: JsonPath, *, is_map: bool) -> Iterator[Any]:
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
