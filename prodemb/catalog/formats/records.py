"""Sources whose rows are records with keys of their own (JSON, XML): what they share."""

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Any

from prodemb.catalog.formats.encoding import utf8_chunks
from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.rows import Fault
from prodemb.catalog.formats.source import BATCH_BYTES, MAX_CELL_BYTES, MAX_COLUMNS, RowBatch, Source, text_batch

NUM_SAMPLED = 10_000
"""Records that are looked at for their keys."""
SAMPLED_BYTES = 32 << 20
"""No more records are looked at after so much text."""
MAX_DEPTH = 50
"""A record with more lists and objects inside each other is skipped."""

Record = tuple[int, Mapping[str, Any] | Fault]
"""A record's number in the file and its values, or why it has none."""


class RecordsSource(Source):
    """A file of records with keys of their own; a record that lacks a key has null there."""

    def __init__(self, packed: Packed, *, format: str, encoding: str, columns: Sequence[str]) -> None:
        super().__init__(packed.file, format=format, columns=columns, compression=packed.compression)
        self._packed = packed
        self.encoding = encoding
        self.late_columns: dict[str, int] = {}
        """Keys that were not in the records looked at, and the row of the last pass where each comes first."""

    def read_beside(self, name: str) -> bytes | None:
        return self._packed.read_beside(name)

    def _check_columns(self, columns: list[str]) -> None:
        """Any key may come in a later record."""

    @abstractmethod
    def _records(self, *, of_first: int | None = None) -> Iterator[Record]:
        """All records, or those in about the first so many bytes of text."""

    def _chunks(self, stream: IO[bytes], of_first: int | None) -> Iterator[bytes]:
        """The text as UTF-8; no more than about the first so many bytes of it where that is given."""
        taken = 0
        for chunk in utf8_chunks(stream, self.encoding or "utf-8", tell=self._note):
            yield chunk
            taken += len(chunk)
            if of_first is not None and taken >= of_first:
                return

    def _read(self, columns: list[str], *, max_rows: int) -> Iterator[RowBatch]:
        known = set(self.columns)
        self.late_columns = {}
        numbers: list[int] = []
        rows: list[tuple[str | None, ...]] = []
        num_chars = 0
        for number, record in self._records():
            if isinstance(record, Fault):
                (self._skip if record.is_lost else self._ignore)(number, record.reason)
                continue
            if not known.issuperset(record) and len(self.late_columns) < MAX_COLUMNS:
                self.late_columns |= {
                    key: number for key in record if key not in known and key not in self.late_columns
                }
            taken = tuple(
                [value if type(value) is str or value is None else as_text(value) for value in map(record.get, columns)]
            )
            row_chars = sum(map(len, filter(None, taken)))
            if row_chars > MAX_CELL_BYTES // 4 and any(text and len(text.encode()) > MAX_CELL_BYTES for text in taken):
                self._skip(number, f"a value of more than {MAX_CELL_BYTES:,} bytes")
                continue
            rows.append(taken)
            numbers.append(number)
            num_chars += row_chars
            if len(numbers) >= max_rows or num_chars >= BATCH_BYTES // 2:
                yield text_batch(numbers, columns, list(zip(*rows, strict=True)))
                numbers, rows, num_chars = [], [], 0
        if numbers:
            yield text_batch(numbers, columns, list(zip(*rows, strict=True)))


def keys_of(records: Iterable[Record]) -> tuple[str, ...]:
    """The keys of the first records, in the order in which they come."""
    keys: dict[str, None] = {}
    for _, record in islice(records, NUM_SAMPLED):
        if not isinstance(record, Fault):
            keys.update(dict.fromkeys(record))
        if len(keys) > MAX_COLUMNS:
            break
    return tuple(keys)


def as_text(value: Any) -> str | None:
    """A JSON value as it is written; a list or an object as JSON text."""
    if value is None or type(value) is str:
        return value
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def is_deep(value: Any) -> bool:
    """Whether lists and objects stand in each other more than `MAX_DEPTH` deep."""
    inside = [value]
    for _ in range(MAX_DEPTH):
        inside = [
            part
            for outer in inside
            for part in (outer.values() if type(outer) is dict else outer)
            if type(part) is dict or type(part) is list
        ]
        if not inside:
            return False
    return True
