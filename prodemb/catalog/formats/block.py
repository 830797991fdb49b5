"""Where records and values are in a block of delimited text whose quotes are regular, for pyarrow to parse."""

import codecs
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from prodemb.catalog.formats.dialect import Dialect
from prodemb.catalog.formats.rows import Fault, Rows

_QUOTE, _NEWLINE, _RETURN, _HASH = b'"\n\r#'


class Block:
    """Where records and values are in a block of text whose quotes are regular."""

    def __init__(self, content: bytes, dialect: Dialect, rows: Rows) -> None:
        self.content = content
        self._dialect = dialect
        self._num_columns = rows.num_columns
        self._lead = rows.lead
        self.num_records = 0
        """None of them where the quotes are not regular."""
        self.num_bytes = 0
        self.faults: list[tuple[int, Fault]] = []
        if dialect.quoting == "backslash" and b"\\" in content:
            return
        if content.startswith(codecs.BOM_UTF8):
            return  # pyarrow would leave it out
        if not content.endswith(b"\n"):
            content += b"\n"
        characters = np.frombuffer(content, np.uint8)
        is_newline = characters == _NEWLINE
        if np.count_nonzero(is_newline) * 4 > len(content):
            return
        if b"\r" in content:
            returns = np.flatnonzero(characters == _RETURN)
            if not is_newline[np.minimum(returns + 1, len(characters) - 1)].all():
                return
        is_delimiter = characters == ord(dialect.delimiter)
        has_quotes = dialect.quoting != "none" and b'"' in content
        if has_quotes:
            quotes = np.flatnonzero(characters == _QUOTE)
            inside = np.bitwise_xor.accumulate(characters == _QUOTE)
            newlines = np.flatnonzero(is_newline & ~inside)
            if not len(newlines):
                return
            last = int(newlines[-1]) + 1
            quotes = quotes[: np.searchsorted(quotes, last)]
            if not _are_regular(characters, quotes, ord(dialect.delimiter)):
                return
            is_delimiter &= ~inside
            characters, is_delimiter, is_newline = characters[:last], is_delimiter[:last], is_newline[:last]
        else:
            newlines = np.flatnonzero(is_newline)
            last = len(content)
        self._ends = newlines
        self._starts = np.concatenate([[0], newlines[:-1] + 1])
        delimiters = np.flatnonzero(is_delimiter)
        if not len(delimiters) and self._num_columns > 1:
            return
        until = np.searchsorted(delimiters, newlines)
        counts = np.diff(until, prepend=0)
        self.irregular: npt.NDArray[np.bool_] = counts != self._num_columns - 1
        self.several_lines: list[tuple[int, int]] = []
        if has_quotes:
            all_newlines = np.flatnonzero(is_newline)
            if len(all_newlines) > len(newlines):
                num_lines = np.diff(np.searchsorted(all_newlines, newlines, side="right"), prepend=0)
                places = np.flatnonzero(num_lines > 1)
                self.several_lines = [(int(self._starts[each]), int(newlines[each]) + 1) for each in places]
        self._find_doubtful(characters, is_delimiter, delimiters, until, counts)
        self._content = content
        self.num_records = len(newlines)
        self.num_bytes = min(last, len(self.content))

    def _find_doubtful(
        self,
        characters: npt.NDArray[np.uint8],
        is_delimiter: npt.NDArray[np.bool_],
        delimiters: npt.NDArray[np.int64],
        until: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
    ) -> None:
        """Mark the records that may be mended, or be no products: of another length, empty, remarks, comments."""
        # Blank: nothing but white space, and the quotes of empty values.
        has_ink = (characters > 32) & ~is_delimiter & (characters != _QUOTE)
        if self._num_columns == 1:
            self.doubtful = self.irregular | ~np.logical_or.reduceat(has_ink, self._starts)
            lead_starts = self._starts
        else:
            # In an irregular record the places are another's, and do not count: it is doubtful anyway.
            at = np.minimum(until - counts + self._lead, len(delimiters) - 1)
            lead_ends = np.clip(delimiters[at], self._starts, self._ends)
            lead_starts = self._starts if self._lead == 0 else delimiters[np.maximum(at - 1, 0)] + 1
            bounds = np.stack([self._starts, lead_ends], axis=1).ravel()
            # Where a record begins with its delimiter, reduceat gives that delimiter for the empty part: no ink.
            self.doubtful = self.irregular | ~np.logical_or.reduceat(has_ink, bounds)[1::2]
        lead_starts = np.minimum(lead_starts, len(characters) - 1)
        first, second = characters[lead_starts], characters[np.minimum(lead_starts + 1, len(characters) - 1)]
        is_quoted = (first == _QUOTE) & ((second == _HASH) | (second <= 32))
        self.doubtful |= (first == _HASH) | (first <= 32) | is_quoted

    def record(self, place: int) -> str:
        """A record as text."""
        return self._content[self._starts[place] : self._ends[place]].decode()

    def parsed(self, regular: npt.NDArray[np.int64], *, places: Sequence[int], names: Sequence[str]) -> pa.Table | None:
        """The columns at `places` of the regular records, under the given names; None where pyarrow cannot."""
        if not len(regular):
            return None
        content = self._content[: self.num_bytes] if self.num_bytes < len(self._content) else self._content
        if len(regular) < self.num_records:
            content = b"".join(content[self._starts[each] : self._ends[each] + 1] for each in regular)
        own = [str(each) for each in range(self._num_columns)]
        wanted = list(dict.fromkeys(own[place] for place in places))
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(content),
                read_options=pyarrow.csv.ReadOptions(column_names=own, block_size=len(content) + 1),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self._dialect.delimiter,
                    quote_char=False if self._dialect.quoting == "none" else '"',
                    newlines_in_values=self._dialect.quoting != "none",
                    ignore_empty_lines=False,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.large_string()),
                    include_columns=wanted,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            return None
        if table.num_rows != len(regular):
            return None
        return pa.Table.from_arrays([table.column(own[place]) for place in places], names=list(names))


def _are_regular(characters: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], delimiter: int) -> bool:
    """Whether each quote opens a value at its start, closes it at its end, or is one of two."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    before = characters[np.maximum(opening - 1, 0)]
    opens = (opening == 0) | (before == delimiter) | (before == _NEWLINE)
    opens[1:] |= opening[1:] == closing[:-1] + 1
    after = characters[np.minimum(closing + 1, len(characters) - 1)]
    closes = (after == delimiter) | (after == _NEWLINE) | (after == _RETURN)
    closes[:-1] |= opening[1:] == closing[:-1] + 1
    return bool(opens.all() and closes.all())
