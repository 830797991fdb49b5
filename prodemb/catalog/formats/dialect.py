"""How a delimited text is written: its delimiter and its quotes, found by what its lines have in common."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from prodemb.catalog.formats.header import find_header, known_share

Quoting = Literal["doubled", "backslash", "none"]
"""How a quote stands in a quoted value: as two, behind a backslash; "none" where quotes are text like any other."""

DELIMITERS = (",", ";", "\t", "|", "^", "~", "\x01", "\x1f")
NUM_SAMPLE_LINES = 300
MAX_SAMPLED_LINES = 5_000
"""Lines of one record."""
MAX_WASTED_LINES = 20_000
"""After so many lines were looked at for a quote that none of them closes, few are looked at."""
_SEP_LINE = re.compile(r'^"?sep=([\t !#-/:;<-@\[-`{-~\x01-\x08\x1c-\x1f])"?\s*$', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How values are told apart."""

    delimiter: str
    quoting: Quoting

    @cached_property
    def spaces_then_end(self) -> re.Pattern[str]:
        """Spaces at the end of a value."""
        return re.compile(rf" +(?={re.escape(self.delimiter)}|$)")


class Record:
    """A record as it is put together from the lines it runs over."""

    def __init__(self, dialect: Dialect) -> None:
        self._delimiter = dialect.delimiter
        self._quoting = dialect.quoting
        self._dialect = dialect
        self.values: list[str] = []
        self.bare_quotes = 0
        """Quotes inside of quoted values that are not written as they ought to be."""
        self._open: list[str] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a quote is waiting to be closed."""
        return self._open is not None

    def add(self, line: str) -> None:
        """Take a line, without the newline at its end."""
        line_end = "\r" if line.endswith("\r") else ""
        line = line[: len(line) - len(line_end)]
        if self._open is None and (self._quoting == "none" or '"' not in line):
            self.values += line.split(self._delimiter)
            return
        position = 0
        if self._open is not None:
            self._open.append("\n")
            position = self._quoted(line, 0)
        while 0 <= position <= len(line):
            start = position
            while line[start : start + 1] == " ":
                start += 1
            if line[start : start + 1] == '"':
                self._open = []
                position = self._quoted(line, start + 1)
                continue
            end = line.find(self._delimiter, position)
            self.values.append(line[position:] if end < 0 else line[position:end])
            position = end + 1 if end >= 0 else -1
        if self._open is not None:
            self._open.append(line_end)

    def _quoted(self, line: str, start: int) -> int:
        """Take what stands in quotes from `start` on; where the next value begins, -1 at the line's end."""
        assert self._open is not None
        is_escaping = self._quoting == "backslash"
        look = start
        while (quote := line.find('"', look)) >= 0:
            if is_escaping and _is_escaped(line, quote, start):
                look = quote + 1
                continue
            after = line[quote + 1 : quote + 2]
            if after == '"':
                look = quote + 2
                continue
            end = quote + 1
            if after == " " and (spaces := self._dialect.spaces_then_end.match(line, quote + 1)):
                end, after = spaces.end(), line[spaces.end() : spaces.end() + 1]
            if after in ("", self._delimiter):
                self._open.append(line[start:quote])
                value = "".join(self._open).replace('""', '"')
                self.values.append(re.sub(r'\\(["\\])', r"\1", value) if is_escaping else value)
                self._open = None
                return end + 1 if after else -1
            self.bare_quotes += 1
            look = quote + 1
        self._open.append(line[start:])
        return -1


def _is_escaped(line: str, quote: int, start: int) -> bool:
    place = quote
    while place > start and line[place - 1] == "\\":
        place -= 1
    return (quote - place) % 2 == 1


def plain_values(line: str, delimiter: str) -> list[str]:
    """A line's values where quotes count for nothing, but those around a whole value."""
    values = line.removesuffix("\r").split(delimiter)
    return [value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value for value in values]


def values_of_line(line: str, delimiter: str, *, num_columns: int) -> list[str] | None:
    """The values of a line whose quotes are not as they ought to be, where a way to see them gives as many as columns.

    First only quotes around a whole value count (`"Heron" Lamp` keeps its own), then none.
    """
    line = line.removesuffix("\r")
    values: list[str] = []
    position = 0
    while position <= len(line):
        match = _whole_value(delimiter).match(line, position)
        assert match is not None
        values.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        position = match.end() + 1
    if len(values) == num_columns:
        return values
    plain = plain_values(line, delimiter)
    return plain if len(plain) == num_columns else None


@cache
def _whole_value(delimiter: str) -> re.Pattern[str]:
    """A value with quotes around all of it, or else up to the delimiter."""
    sign = re.escape(delimiter)
    return re.compile(rf'"((?:[^"]++|"")*+)"(?={sign}|$)|([^{sign}]*+)')


def sample_records(
    lines: Sequence[str], dialect: Dialect, *, is_cut: bool = False
) -> Iterator[tuple[list[str], int, int]]:
    """Records as they seem before anything is known of a file: values, how many lines, quotes that are odd.

    One whose quote is not closed is its first line.

    Args:
        is_cut: the text goes on after `lines`, and so may the last record.
    """
    place = wasted = 0
    while place < len(lines):
        record = Record(dialect)
        end = place
        last = min(len(lines), place + (MAX_SAMPLED_LINES if wasted < MAX_WASTED_LINES else 20))
        while end == place or (record.is_open and end < last):
            record.add(lines[end])
            end += 1
        if not record.is_open:
            yield record.values, end - place, record.bare_quotes
        elif is_cut and end == len(lines) and end - place > 1:
            return
        else:
            wasted += end - place
            yield plain_values(lines[place], dialect.delimiter), 1, record.bare_quotes + 1
            end = place + 1
        place = end


def find_dialect(lines: Sequence[str]) -> tuple[Dialect, int]:
    """The dialect of a text by its first lines, and how many of them are about nothing else (`sep=;`)."""
    if lines and (told := _SEP_LINE.match(lines[0].strip("\ufeff\r "))):
        quoting = _quoting(lines[1 : NUM_SAMPLE_LINES + 1], told[1])[0]
        return Dialect(told[1], quoting), 1
    lines = lines[:NUM_SAMPLE_LINES]
    best, dialect = 0.0, Dialect(",", "doubled")
    for delimiter in DELIMITERS:
        if not any(delimiter in line for line in lines):
            continue
        quoting, records = _quoting(lines, delimiter)
        score = _score(records)
        if score > best:
            best, dialect = score, Dialect(delimiter, quoting)
    return dialect, 0


def _quoting(lines: Sequence[str], delimiter: str) -> tuple[Quoting, list[list[str]]]:
    """How quotes are written with a delimiter, and the records that come of it."""
    doubled = list(sample_records(lines, Dialect(delimiter, "doubled"), is_cut=True))
    odd = sum(each[2] for each in doubled)
    if not odd:
        return "doubled", [each[0] for each in doubled]
    if any('\\"' in line for line in lines):
        escaped = list(sample_records(lines, Dialect(delimiter, "backslash"), is_cut=True))
        if sum(each[2] for each in escaped) < odd:
            return "backslash", [each[0] for each in escaped]
    plain = [line.removesuffix("\r").split(delimiter) for line in lines]
    widths = Counter(len(each) for each in plain if any(map(str.strip, each)))
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    # Values that are quoted as they should be, around a delimiter or a quote, say that quotes mean something.
    doubled_quotes = any(value[:1] == '"' and '""' in value[1:-1] for each in plain for value in each)
    if width > 1 and count >= 0.98 * widths.total() and not doubled_quotes:
        return "none", plain
    return "doubled", [each[0] for each in doubled]


def _score(records: Sequence[Sequence[str]]) -> float:
    """How much a text looks like a table: how many values its records have, and how many of them as many."""
    widths = Counter(_width(record) for record in records if any(map(str.strip, record)))
    if not widths:
        return 0.0
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    widest = max(widths)
    if width < 2 <= widest and widths[widest] * 3 >= count:
        width, count = widest, widths[widest]
    if width < 2:
        return 0.0
    header = find_header(records)
    known = (
        known_share(header.names) if header is not None and header.row is not None and len(header.names) > 1 else 0.0
    )
    return count / widths.total() * math.log2(width + 1) + 2 * known


def _width(record: Sequence[str]) -> int:
    return len(record) - 1 if len(record) > 1 and not record[-1].strip() else len(record)
