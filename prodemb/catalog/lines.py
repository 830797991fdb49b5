"""The rows of text catalogs (CSV, TSV, JSON lines), read so that one bad row costs that row and nothing more."""

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from prodemb.core.errors import CatalogError
from prodemb.core.text import counted

DELIMITERS = ",;\t|"
MAX_ROW_LINES = 5_000
"""A quoted value that runs over more lines than this was opened by a stray quote."""
MAX_ROW_CHARS = 64_000_000
"""A longer row is skipped, so that no file can fill the memory."""
MAX_DEPTH = 50
"""A JSON row with more lists and objects inside each other is skipped."""
NUM_REMEMBERED = 1_000
"""Skipped rows kept by number; the rest are counted."""
UNDECODED = re.compile("[\udc80-\udcff]")
_TELLING = 16
"""Bytes that tell a file's encoding: so many that a line of rubbish at its start seldom looks like UTF-16."""

Tell = Callable[[str], None]
"""Called with what a user should know of a file that can be read all the same."""


@dataclass(frozen=True)
class SkippedRow:
    """A row that could not be read."""

    file: Path
    row: int
    """Number of the data row in its file, from 1."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: row {self.row}: {self.reason}"


@dataclass
class SkippedRows:
    """Rows of one pass over a catalog that could not be read."""

    count: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    first: list[SkippedRow] = field(default_factory=list)
    """The first `NUM_REMEMBERED` of them."""

    def add(self, row: SkippedRow) -> None:
        """Count a row."""
        self.count += 1
        self.by_reason[row.reason] += 1
        if len(self.first) < NUM_REMEMBERED:
            self.first.append(row)


@dataclass(frozen=True)
class Row:
    """A row of a text catalog: its number in the file from 1, and its values, or why it has none."""

    number: int
    values: Any
    """A list of texts (CSV, TSV) or an object (JSON lines)."""
    fault: str | None = None


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open a text file, unpacking .gz: UTF-8, UTF-16 or UTF-32, with or without a mark.

    Bytes that are not UTF-8 come as lone surrogates, which `repaired` turns into text.

    Raises:
        CatalogError: the file cannot be read, also where that shows only later.
    """
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as binary:
            encoding = _encoding(binary.peek(_TELLING)[:_TELLING])
            errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
            yield io.TextIOWrapper(binary, encoding=encoding, errors=errors, newline="")
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        raise CatalogError(f"{path}: cannot be read: {error or type(error).__name__}") from error


def _encoding(start: bytes) -> str:
    """The encoding of a text that starts so; where there is no mark, the zeros in its first characters, Latin, tell."""
    if start[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    for encoding, width, place in (
        ("utf-32-le", 4, 0),
        ("utf-32-be", 4, 3),
        ("utf-16-le", 2, 0),
        ("utf-16-be", 2, 1),
    ):
        whole = len(start) // 4 * 4
        if whole and all(bool(byte) == (number % width == place) for number, byte in enumerate(start[:whole])):
            return encoding
    return "utf-8-sig"


def repaired(text: str) -> str:
    """Read the bytes that are not UTF-8 (lone surrogates here) as cp1252, the habit of Western spreadsheets."""
    return UNDECODED.sub(lambda match: bytes([ord(match[0]) - 0xDC00]).decode("cp1252", "replace"), text)


class _Lines:
    """Physical lines one by one; those of the row being read can be given back."""

    def __init__(self, file: TextIO, *, path: Path, tell: Tell | None = None) -> None:
        self._file = file
        self._path = path
        self._again: deque[str] = deque()
        self._tell = tell
        self.row: list[str] = []
        """Lines taken since `start_row`."""
        self.num_chars = 0

    def start_row(self) -> None:
        self.row = []
        self.num_chars = 0

    def give_back(self, lines: list[str]) -> None:
        """Put lines back to be read again, as they would have come."""
        self._again.extendleft(reversed(lines))

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.row) >= MAX_ROW_LINES or self.num_chars >= MAX_ROW_CHARS:
            raise _EndlessRowError
        line = self._again.popleft() if self._again else self._file.readline(MAX_ROW_CHARS)
        if not line:
            raise StopIteration
        if not line.isascii() and UNDECODED.search(line):
            line = repaired(line)
            if self._tell is not None:
                self._tell(f"{self._path}: not UTF-8 throughout; the bytes that are not are read as cp1252")
                self._tell = None
        self.row.append(line)
        self.num_chars += len(line)
        return line

    def skip_to_line_end(self) -> None:
        """After a line that was cut for its length: pass over the rest of it."""
        while self.row and not self.row[-1].endswith(("\n", "\r")):
            self.start_row()
            if next(self, None) is None:
                return


class _EndlessRowError(Exception):
    """A quote was opened and not closed."""


def header_of(path: Path, *, delimiter: str | None) -> tuple[list[str], str]:
    """The column names of a CSV or TSV file and its delimiter, found by counting in the header where None is given."""
    with opened(path) as file:
        lines = _Lines(file, path=path)
        line = next((line for line in lines if line.strip()), "")
        if delimiter is None:
            unquoted = re.sub(r'"[^"]*"', "", line)
            delimiter = max(DELIMITERS, key=unquoted.count)
        lines.give_back([line])
        lines.start_row()
        try:
            names = next(_parser(lines, delimiter), [])
        except (_EndlessRowError, csv.Error) as error:
            raise CatalogError(f"{path}: the header has a quote that is not closed") from error
    return [name.strip() for name in names], delimiter


def delimited_rows(path: Path, *, delimiter: str, tell: Tell | None = None) -> Iterator[Row]:
    """The data rows of a CSV or TSV file with a header.

    A quote opened by mistake swallows the rows after it. That shows in a wrong number of values, in a value of
    thousands of lines, or in lines that are rows by themselves; then only the first line is given up, and reading goes
    on at the next, so that no other row is lost.
    """
    with opened(path) as file:
        lines = _Lines(file, path=path, tell=tell)
        parser = _parser(lines, delimiter)
        num_columns = 0
        number = 0
        while True:
            lines.start_row()
            try:
                values = next(parser, None)
                fault = None
            except (_EndlessRowError, csv.Error):
                values, fault = [], "a quote that is not closed"
                parser = _parser(lines, delimiter)
            if values is None and not lines.row:
                return
            if not num_columns:
                num_columns = len(values or [])
                continue
            if fault is None and not values:
                continue  # an empty line
            number += 1
            values = values or []
            if fault is None and len(values) != num_columns:
                fault = f"found {counted(len(values), 'value')}, wanted {num_columns}"
            if fault is None and lines.num_chars >= MAX_ROW_CHARS:
                fault = f"longer than {MAX_ROW_CHARS} characters"
            if len(lines.row) > 1 and (fault or _holds_rows(lines.row, delimiter, num_columns=num_columns)):
                fault = "a quote that is not closed"
                lines.give_back(lines.row[1:])
            elif fault:
                lines.skip_to_line_end()
            yield Row(number, values, fault)


def _parser(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    # The limit is the csv module's own and for the whole process; nothing else here reads CSV.
    csv.field_size_limit(MAX_ROW_CHARS * 2)
    return csv.reader(lines, delimiter=delimiter)


def _holds_rows(lines: list[str], delimiter: str, *, num_columns: int) -> bool:
    """Whether a row of several lines is in truth that many rows, joined by a stray quote and another one after it.

    Then the first line has the right number of values when quotes count for nothing, and each further line begins
    with something like the first one's id and has the right number as well. Text in quotes hardly ever does all that;
    where it is not sure, as when ids do not come first, the file is taken at its word.
    """
    own_id = lines[0].partition(delimiter)[0].strip('"')
    for line in lines[1:]:
        id_there = line.partition(delimiter)[0].strip('"')
        is_alike = _character(id_there) == _character(own_id) and abs(len(id_there) - len(own_id)) <= 2
        if not (id_there and is_alike):
            return False
    first = next(csv.reader(lines[:1], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])
    return len(first) == num_columns and all(
        len(next(csv.reader([line], delimiter=delimiter), [])) == num_columns for line in lines[1:]
    )


def _character(product_id: str) -> tuple[bool, bool, bool]:
    """What ids of one catalog have in common: being a number, having digits, having spaces."""
    return product_id.isdigit(), bool(re.search(r"\d", product_id)), bool(re.search(r"\s", product_id))


def json_rows(path: Path, *, tell: Tell | None = None) -> Iterator[Row]:
    """The rows of a JSON lines file: one object a line; empty lines do not count."""
    with opened(path) as file:
        number = 0
        lines = _Lines(file, path=path, tell=tell)
        while True:
            lines.start_row()
            line = next(lines, None)
            if line is None:
                return
            if not line.strip():
                continue
            number += 1
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                lines.skip_to_line_end()
                yield Row(number, {}, "not valid JSON")
                continue
            fault = None if isinstance(values, dict) else f"found {type(values).__name__}, wanted a JSON object"
            if line.count("[") + line.count("{") > MAX_DEPTH and _is_deep(values):
                fault = f"nested more than {MAX_DEPTH} deep"
            yield Row(number, values, fault)


def _is_deep(value: Any) -> bool:
    """Whether lists and objects stand in each other more than `MAX_DEPTH` deep."""
    inside = [value]
    for _ in range(MAX_DEPTH):
        inside = [
            part
            for outer in inside
            if isinstance(outer, list | dict)
            for part in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(part, list | dict) for part in inside)


def kept(rows: Iterator[Row], *, path: Path, skip: Callable[[SkippedRow], None]) -> Iterator[Row]:
    """The rows without a fault; the others go to `skip`."""
    for row in rows:
        if row.fault is None:
            yield row
        else:
            skip(SkippedRow(path, row.number, row.fault))
