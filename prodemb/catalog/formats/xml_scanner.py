"""The text of an XML document's records, found without parsing it, and mended where it is not well-formed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.entities import html5

from prodemb.catalog.formats.rows import Fault
from prodemb.catalog.formats.source import MAX_ROW_BYTES

TAG_BYTES = 4096
"""No start tag of a record is longer."""
_ENTITY = re.compile(rb"&(?!#\d+;|#[xX][0-9a-fA-F]+;|(?:amp|lt|gt|quot|apos);)(\w+;)?")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_FORBIDDEN_NUMBER = re.compile(rb"&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2\d|3[01]));", re.IGNORECASE)
_CDATA = re.compile(rb"(<!\[CDATA\[.*?(?:\]\]>|\Z))", re.DOTALL)
_NOT_CLOSED = "its XML element is not closed"
_TOO_LONG = f"longer than {MAX_ROW_BYTES:,} bytes"


@dataclass(frozen=True)
class RecordTag:
    """The tag of the records."""

    local: str
    nests: bool
    """Whether it also comes inside of a record."""


class Scanner:
    """Finds the records' text in a document, holding one at a time."""

    def __init__(self, chunks: Iterator[bytes], record: RecordTag, *, start: int) -> None:
        self._chunks = chunks
        self._nests = record.nests
        name = rb"(?:[\w.-]+:)?" + re.escape(record.local.encode())
        self._tokens = re.compile(
            rb"<!\[CDATA\[|<!--|<(?P<start>" + name + rb")(?=[\s/>])[^<>]*?(?P<empty>/)?>|</(?P<end>" + name + rb")\s*>"
        )
        self._buffer = b""
        self._skip = start

    def _fill(self) -> bool:
        while (chunk := next(self._chunks, None)) is not None:
            if self._skip >= len(chunk):
                self._skip -= len(chunk)
                continue
            self._buffer += chunk[self._skip :]
            self._skip = 0
            return True
        return False

    def records(self) -> Iterator[bytes | Fault]:
        """The text of each record, and a fault for one that is cut off or too long."""
        start: int | None = None
        depth = position = 0
        is_long = False
        until = b""
        """What ends the CDATA section or the comment that `position` is in."""
        while True:
            if until:
                end = self._buffer.find(until, position)
                if end >= 0:
                    position, until = end + len(until), b""
                    continue
                position = max(position, len(self._buffer) - 2)
            elif (token := self._tokens.search(self._buffer, position)) is None:
                # A token may be cut in two.
                position = max(position, len(self._buffer) - TAG_BYTES)
            else:
                position = token.end()
                if token["start"]:
                    if start is not None and not self._nests:
                        yield Fault(_NOT_CLOSED)
                        depth, is_long = 0, False
                    if depth == 0:
                        start = token.start()
                    depth += 0 if token["empty"] else 1
                    if depth == 0:
                        yield self._buffer[start:position]
                        start = None
                elif token["end"]:
                    depth = max(0, depth - 1)
                    if depth == 0 and start is not None:
                        yield Fault(_TOO_LONG) if is_long else self._buffer[start:position]
                        start, is_long = None, False
                else:
                    until = b"]]>" if token[0].startswith(b"<![") else b"-->"
                continue
            # More text is needed: what is behind goes, and so does a record that is too long.
            if start is not None and len(self._buffer) - start > MAX_ROW_BYTES:
                is_long = True
            dropped = position if start is None or is_long else start
            start = None if start is None else 0
            self._buffer = self._buffer[dropped:]
            position -= dropped
            if not self._fill():
                if start is not None:
                    yield Fault(_TOO_LONG if is_long else _NOT_CLOSED)
                return


def mended(text: bytes) -> bytes:
    """Text with what XML forbids taken out: bare ampersands, entities of HTML, control characters; but not in CDATA."""
    text = _FORBIDDEN.sub(b"", text)
    parts = _CDATA.split(text)
    parts[0::2] = [_ENTITY.sub(_resolved, _FORBIDDEN_NUMBER.sub(b" ", part)) for part in parts[0::2]]
    return b"".join(parts)


def _resolved(match: re.Match[bytes]) -> bytes:
    name = (match[1] or b"").decode("ascii", "replace")
    if name and (characters := html5.get(name)) is not None:
        return "".join(f"&#{ord(each)};" for each in characters).encode()
    return b"&amp;" + (match[1] or b"")
