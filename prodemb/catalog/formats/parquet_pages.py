"""What a Parquet file says of its column chunks and pages, read before pyarrow unpacks any of them.

A page is unpacked whole, and its values may stand for more bytes than it has: by a dictionary, or as the beginning of
others. The file's footer need not tell the truth about either, the heads of the pages are what a reader goes by. And
where the footer's statistics are damaged, pyarrow 26 ends the process when asked for a column chunk.

Source: https://github.com/apache/parquet-format, parquet.thrift, and Thrift's compact protocol.
"""

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

from prodemb.core.bounded import check_footer

_BYTE_ARRAY = 6
_DICTIONARY_PAGE = 2
_DELTA_BYTE_ARRAY = 7
CODED = frozenset({0, 2, 8})
"""Encodings beside a dictionary that pyarrow reads as one: PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY."""
_HEAD_BYTES, _MAX_HEAD_BYTES = 1 << 13, 1 << 24
_MAX_DEPTH = 20


@dataclass(frozen=True)
class ColumnChunk:
    """The values of one column in one row group."""

    row_group: int
    leaf: int
    """Which of the schema's leaves it is, from 0; what the chunk says of its own name need not be so."""
    is_bytes: bool
    """Whether its values are texts or bytes, of any length."""
    num_rows: int
    num_values: int
    start: int
    """Where its pages begin in the file."""
    num_bytes: int
    """Of its pages, packed."""


@dataclass(frozen=True)
class Pages:
    """What the pages of a column chunk say of themselves."""

    sizes: tuple[int, ...]
    """Bytes of each page, unpacked."""
    has_dictionary: bool
    encodings: Set[int]

    @property
    def largest(self) -> int:
        """Bytes of the largest one, unpacked."""
        return max(self.sizes, default=0)

    @property
    def may_repeat(self) -> bool:
        """Whether what stands once may belong to many values."""
        return self.has_dictionary or _DELTA_BYTE_ARRAY in self.encodings


def column_chunks(file: BufferedReader) -> list[ColumnChunk]:
    """The column chunks of all row groups, in the file's order.

    Raises:
        ValueError: the file has no footer that can be read.
    """
    check_footer(file)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    num_bytes = int.from_bytes(file.read(8)[:4], "little")
    file.seek(max(0, size - 8 - num_bytes))
    try:
        footer, _ = _struct(file.read(num_bytes), 0)
        return [
            _chunk(each[3], row_group=number, leaf=leaf, num_rows=group[3])
            for number, group in enumerate(footer[4])
            for leaf, each in enumerate(group[1])
        ]
    except (IndexError, KeyError, TypeError, AttributeError):
        raise ValueError("the metadata cannot be read") from None


def pages_of(file: BufferedReader, chunk: ColumnChunk) -> Pages:
    """What the pages of a column chunk say of themselves. Raises ValueError where they cannot be told apart."""
    sizes, encodings, has_dictionary = [], set(), False
    for head in _heads(file, chunk):
        sizes.append(head[2])
        has_dictionary |= head[1] == _DICTIONARY_PAGE
        about = head.get(5) or head.get(8)
        if isinstance(about, dict):
            encodings.add(about.get(2 if 5 in head else 4, -1))
    return Pages(tuple(sizes), has_dictionary=has_dictionary, encodings=encodings)


def _chunk(about: dict[int, Any], *, row_group: int, leaf: int, num_rows: int) -> ColumnChunk:
    first, dictionary = about[9], about.get(11, 0)
    return ColumnChunk(
        row_group=row_group,
        leaf=leaf,
        is_bytes=about[1] == _BYTE_ARRAY,
        num_rows=num_rows,
        num_values=about[5],
        start=dictionary if 0 < dictionary < first else first,
        num_bytes=about[7],
    )


def _heads(file: BufferedReader, chunk: ColumnChunk) -> Iterator[dict[int, Any]]:
    """The heads of its pages."""
    at, end = chunk.start, chunk.start + chunk.num_bytes
    while 0 < at < end:
        for num_bytes in (_HEAD_BYTES, _MAX_HEAD_BYTES):
            try:
                head, length = _struct(os.pread(file.fileno(), min(num_bytes, end - at), at), 0)
                _, packed = head[1], head[3]
                if head[2] < 0 or packed < 0:
                    raise ValueError(f"row group {chunk.row_group}: a page of {head[2]} bytes")
                break
            except (IndexError, KeyError, TypeError):
                continue
        else:
            raise ValueError(f"row group {chunk.row_group}: the head of a page cannot be read")
        yield head
        at += length + packed


def _struct(data: bytes, at: int, *, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their numbers, and where it ends. Raises IndexError where it does not."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        kind = head & 15
        fields[number], at = (kind == 1, at) if kind in (1, 2) else _value(kind, data, at, depth=depth)
    return fields, at + 1


def _value(kind: int, data: bytes, at: int, *, depth: int) -> tuple[Any, int]:
    match kind:
        case 3 | 1 | 2:
            return data[at], at + 1
        case 4 | 5 | 6:
            return _integer(data, at)
        case 7 if at + 8 <= len(data):
            return None, at + 8
        case 8:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise IndexError
            return data[at : at + length], at + length
        case 9 | 10 if depth < _MAX_DEPTH:
            return _list(data, at, depth=depth + 1)
        case 12 if depth < _MAX_DEPTH:
            return _struct(data, at, depth=depth + 1)
    raise IndexError


def _list(data: bytes, at: int, *, depth: int) -> tuple[list[Any], int]:
    size, kind = data[at] >> 4, data[at] & 15
    at += 1
    if size == 15:
        size, at = _varint(data, at)
    values = []
    for _ in range(size):
        value, at = _value(kind, data, at, depth=depth)
        values.append(value)
    return values, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) >= 0x80 and shift < 63:
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    return value | byte << shift, at + 1


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
