"""Delimited text (CSV, TSV and their kin), read so that one bad row costs that row and nothing more.

Blocks whose quotes and numbers of values are all regular are parsed by pyarrow; the others row by row. Both give the
same rows.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.formats.block import Block
from prodemb.catalog.formats.dialect import Dialect, Record, find_dialect, plain_values, sample_records, values_of_line
from prodemb.catalog.formats.encoding import utf8_chunks
from prodemb.catalog.formats.header import Header, find_header
from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.rows import TOTALS, Fault, Rows
from prodemb.catalog.formats.source import MAX_COLUMNS, MAX_ROW_BYTES, RowBatch, Source, text_batch
from prodemb.catalog.formats.text import SAMPLE_BYTES, Text, TooLongError
from prodemb.core.errors import CatalogError

BLOCK_BYTES = 4 << 20
NUM_SAMPLED = 2_000
"""Records at the beginning that tell what the columns' values look like."""
MAX_ROW_LINES = 5_000
"""A quoted value that runs over more lines than this was opened by a stray quote."""
LOOKED_AHEAD = 4
"""Bytes that may be read ahead in vain for each byte that has been read: so reading stays linear in a file's size."""
LINE_BYTES = 64
"""Bytes that each line counts as more when it is read ahead in vain: short lines cost as much as they do."""
MAX_SLOW_SHARE = 0.1
"""A block with more irregular rows than this is read row by row altogether."""
_TOTALS = rf"(?i)^[^\pL\pN]*(?:{TOTALS})"
_UNCLOSED = "a quote that is not closed"


class DelimitedSource(Source):
    """A delimited text file."""

    def __init__(self, packed: Packed, *, encoding: str, sample: str, is_whole: bool) -> None:
        """
        Args:
            sample: the file's beginning as text; whole lines unless `is_whole`.
        """
        path = packed.path
        self._packed = packed
        self._has_old_line_ends = "\n" not in sample and "\r" in sample
        lines = (sample.replace("\r", "\n") if self._has_old_line_ends else sample).split("\n")
        if not is_whole:
            lines = lines[:-1]
            if not lines:
                raise CatalogError(f"{path}: its first line is longer than {SAMPLE_BYTES:,} bytes, wanted a table")
        self._dialect, self._num_told = find_dialect(lines)
        sampled = sample_records(lines[self._num_told :], self._dialect, is_cut=not is_whole)
        self._preamble = list(islice(sampled, NUM_SAMPLED))
        records = [each[0] for each in self._preamble]
        header = find_header(records)
        if header is None:
            raise CatalogError(f"{path}: found no line with values, wanted a table")
        if len(header.names) > MAX_COLUMNS:
            raise CatalogError(f"{path}: found {len(header.names):,} columns, wanted at most {MAX_COLUMNS:,}")
        self._header: Header = header
        delimiter = self._dialect.delimiter
        super().__init__(
            packed.file,
            format={",": "csv", "\t": "tsv"}.get(delimiter, "delimited text"),
            columns=header.names,
            compression=packed.compression,
        )
        self.encoding = encoding
        self.delimiter = delimiter
        self.header_row = None if header.row is None else self._num_told + header.row + 1
        self._rows = Rows(
            header.names,
            [] if header.row is None else records[header.row],
            records[header.first_data :],
            delimiter=delimiter,
        )

    def read_beside(self, name: str) -> bytes | None:
        return self._packed.read_beside(name)

    def _read(self, columns: list[str], *, max_rows: int) -> Iterator[RowBatch]:
        places = [self.columns.index(name) for name in columns]
        with self._packed.open() as stream:
            chunks = utf8_chunks(stream, self.encoding or "utf-8", tell=self._note)
            if self._has_old_line_ends:
                chunks = (chunk.replace(b"\r", b"\n") for chunk in chunks)
            text = Text(chunks)
            row = self._pass_header(text)
            parser = _Parser(self, text, self._dialect, self._rows, places=places)
            yield from parser.batches(row)

    def _pass_header(self, text: Text) -> int:
        """Pass over what stands above the rows; how many records that were."""
        for _ in range(self._num_told):
            text.take_line()
        for place, (_, num_lines, _) in enumerate(self._preamble[: self._header.first_data]):
            for _ in range(num_lines):
                text.take_line()
            if place in self._header.labels:
                self._ignore(self._num_told + place + 1, "a row of labels or remarks at the header")
        return self._num_told + self._header.first_data


class _Parser:
    """One pass over the rows of a text."""

    def __init__(self, source: DelimitedSource, text: Text, dialect: Dialect, rows: Rows, *, places: list[int]) -> None:
        self._source = source
        self._text = text
        self._dialect = dialect
        self._rows = rows
        self._places = places
        self._delimiter = dialect.delimiter
        self._allowance = MAX_ROW_BYTES
        """Bytes that may still be read ahead in vain."""

    def batches(self, row: int) -> Iterator[RowBatch]:
        """All rows after the record with the number `row`."""
        while True:
            block = self._text.block(BLOCK_BYTES)
            regular = Block(block, self._dialect, self._rows) if block else None
            if regular is not None and regular.num_records and self._has_no_joined_rows(regular):
                found = self._fast(regular, row)
                if found is not None:
                    self._text.take(regular.num_bytes)
                    row += regular.num_records
                    if len(found.rows):
                        yield found
                    continue
            end = self._text.taken + max(len(block), 1)
            numbers: list[int] = []
            taken: list[list[str]] = []
            while self._text.taken < end:
                values = self._next()
                if values is _END:
                    break
                row += 1
                if isinstance(values, Fault):
                    self._leave_out(row, values)
                elif values is not None:
                    numbers.append(row)
                    taken.append([values[place] for place in self._places])
            if numbers:
                columns = list(zip(*taken, strict=True)) if self._places else []
                yield text_batch(numbers, self._names, columns)
            if self._text.taken < end:
                return

    @property
    def _names(self) -> list[str]:
        return [self._source.columns[place] for place in self._places]

    def _leave_out(self, row: int, fault: Fault) -> None:
        (self._source._skip if fault.is_lost else self._source._ignore)(row, fault.reason)

    def _next(self) -> list[str] | Fault | None:
        """The next record's values; the fault of one that has none; None of an empty one, and `_END` at the end."""
        try:
            line = self._text.line(0)
        except TooLongError:
            self._text.take_line()
            return Fault(f"longer than {MAX_ROW_BYTES:,} bytes")
        if line is None:
            return _END
        first = _text(line)
        record = Record(self._dialect)
        record.add(first)
        if record.is_open:
            ahead = self._over_lines(record, first, len(line))
            if ahead is not None:
                values, num_bytes = ahead
                self._go_on(num_bytes)
                return self._rows.finished(values)
            self._go_on(len(line))
            return self._of_unclosed_line(first)
        self._go_on(len(line))
        return self._of_closed_line(record, first)

    def _of_unclosed_line(self, line: str) -> list[str] | Fault | None:
        """The values of a line whose quote is not closed: as they are, where there are as many as columns."""
        values = values_of_line(line, self._delimiter, num_columns=self._rows.num_columns)
        if values is not None:
            return self._rows.finished(values)
        finished = self._rows.finished(plain_values(line, self._delimiter))
        return Fault(_UNCLOSED) if isinstance(finished, Fault) and finished.is_lost else finished

    def _go_on(self, num_bytes: int) -> None:
        self._text.take(num_bytes)
        self._allowance = min(MAX_ROW_BYTES, self._allowance + LOOKED_AHEAD * num_bytes)

    def _over_lines(self, record: Record, first: str, num_bytes: int) -> tuple[list[str], int] | None:
        """The values of a record that runs over several lines and its bytes; None where its quote is a stray one."""
        lines, ahead = [first], 0
        num_columns = self._rows.num_columns
        found = None
        while True:
            try:
                is_allowed = ahead < self._allowance and len(lines) < MAX_ROW_LINES
                line = self._text.line(num_bytes) if is_allowed else None
            except TooLongError:
                line = None
            if line is None:
                break
            num_bytes += len(line)
            ahead += len(line) + LINE_BYTES
            lines.append(_text(line))
            record.add(lines[-1])
            if not record.is_open:
                # A row of another number of values is one only where its first line is none by itself.
                is_whole = len(record.values) == num_columns or (
                    not isinstance(self._rows.finished(record.values), Fault)
                    and len(plain_values(first, self._delimiter)) != num_columns
                )
                if is_whole and not holds_rows(lines, self._dialect, num_columns=num_columns):
                    found = record.values, num_bytes
                break
            if len(record.values) >= num_columns + 1:
                break
        if found is None:
            self._allowance = max(0, self._allowance - ahead)
        return found

    def _has_no_joined_rows(self, block: "Block") -> bool:
        """Whether each record of several lines is one, and not rows that two stray quotes joined."""
        for first, last in block.several_lines:
            lines = block.content[first:last].decode().removesuffix("\n").split("\n")
            if len(lines) > MAX_ROW_LINES or holds_rows(lines, self._dialect, num_columns=self._rows.num_columns):
                return False
        return True

    def _fast(self, block: "Block", row: int) -> RowBatch | None:
        """A block's rows by pyarrow, with the few irregular ones among them by themselves; None where they are many."""
        doubtful = block.doubtful.copy()
        rows = np.arange(row + 1, row + 1 + block.num_records, dtype=np.int64)
        if doubtful.sum() > MAX_SLOW_SHARE * block.num_records + 1:
            return None
        regular = np.flatnonzero(~block.irregular)
        table = block.parsed(regular, places=[self._rows.lead, *self._places], names=["", *self._names])
        if table is None:
            return None
        odd = pc.match_substring_regex(table.column(0), pattern=_TOTALS)
        if self._rows.lead_name:
            odd = pc.or_(odd, pc.equal(pc.utf8_trim_whitespace(table.column(0)), self._rows.lead_name))
        doubtful[regular] |= np.asarray(odd.combine_chunks())
        if doubtful.sum() > MAX_SLOW_SHARE * block.num_records + 1:
            return None
        keep = ~doubtful[regular]
        table = table.select(range(1, table.num_columns))
        if not keep.all():
            table = table.filter(pa.array(keep))
        numbers = rows[regular][keep]
        mended_numbers: list[int] = []
        mended: list[list[str]] = []
        for place in np.flatnonzero(doubtful):
            line = block.record(int(place))
            if "\n" in line:
                return None
            record = Record(self._dialect)
            record.add(line)
            values = self._of_closed_line(record, line)
            number = int(rows[place])
            if isinstance(values, Fault):
                block.faults.append((number, values))
            elif values is not None:
                mended_numbers.append(number)
                mended.append([values[each] for each in self._places])
        for number, fault in block.faults:
            self._leave_out(number, fault)
        if not self._places:
            numbers = np.sort(np.concatenate([numbers, np.asarray(mended_numbers, np.int64)]))
            return text_batch(numbers.tolist(), [], [])
        if mended:
            more = text_batch(mended_numbers, self._names, list(zip(*mended, strict=True)))
            numbers = np.concatenate([numbers, more.rows])
            order = np.argsort(numbers, kind="stable")
            table = pa.concat_tables([table, more.table]).take(pa.array(order))
            numbers = numbers[order]
        return RowBatch(numbers, table)

    def _of_closed_line(self, record: Record, line: str) -> list[str] | Fault | None:
        values = record.values
        if len(values) != self._rows.num_columns and '"' in line and self._dialect.quoting != "none":
            values = values_of_line(line, self._delimiter, num_columns=self._rows.num_columns) or values
        return self._rows.finished(values)


_END = Fault("the end")


def _text(line: bytes) -> str:
    return line.removesuffix(b"\n").decode()


def holds_rows(lines: Sequence[str], dialect: Dialect, *, num_columns: int) -> bool:
    """Whether a record of several lines is in truth that many rows, joined by a stray quote and another one after it.

    Then the first line has the right number of values when quotes count for nothing, and each further line begins
    with something like the first one's id and has the right number as well. Text in quotes hardly ever does all that;
    where it is not sure, as when ids do not come first, the file is taken at its word.
    """
    if len(lines) < 2 or num_columns < 2:
        return False
    own = _kind(lines[0].partition(dialect.delimiter)[0].strip('"'))
    for line in lines[1:]:
        there = _kind(line.partition(dialect.delimiter)[0].strip('"'))
        if there is None or own is None or there[:-1] != own[:-1] or abs(there[-1] - own[-1]) > 2:
            return False
    if len(lines[0].split(dialect.delimiter)) != num_columns:
        return False
    for line in lines[1:]:
        record = Record(dialect)
        record.add(line)
        if len(record.values) + record.is_open != num_columns and len(line.split(dialect.delimiter)) != num_columns:
            return False
    return True


def _kind(product_id: str) -> tuple[bool, bool, bool, int] | None:
    """What ids of one catalog have in common: being a number, having digits, having spaces, about the same length."""
    if not product_id:
        return None
    has_digits = any(map(str.isdigit, product_id))
    return product_id.isdigit(), has_digits, any(map(str.isspace, product_id)), len(product_id)
