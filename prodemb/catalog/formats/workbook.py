"""Workbooks of spreadsheet programs: .xlsx, .xlsb, .xls and .ods, by python-calamine (the extra `excel`)."""

import datetime
import zipfile
from collections.abc import Iterator
from typing import Any

from prodemb.catalog.formats.header import NUM_LOOKED_AT, Header, find_header, is_known, known_share
from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.rows import Fault, Rows
from prodemb.catalog.formats.source import BATCH_BYTES, MAX_COLUMNS, RowBatch, Source, text_batch
from prodemb.core.errors import CatalogError

MAX_SHEET_BYTES = 2 << 30
"""A workbook is held in memory; one that is larger unpacked is refused."""
NUM_SAMPLED = 300


class WorkbookSource(Source):
    """The first sheet of a workbook that holds a table."""

    def __init__(self, packed: Packed, *, format: str) -> None:
        self._packed = packed
        self.file = packed.file
        names = self._sheet_names()
        samples = [list(self._first_rows(place, NUM_SAMPLED)) for place in range(len(names))]
        tables = [place for place, sample in enumerate(samples) if _looks_like_products(sample)]
        filled = [place for place, sample in enumerate(samples) if any(cell for _, row in sample for cell in row)]
        if not filled:
            raise CatalogError(f"{packed.path}: found no sheet with a table in this workbook")
        self._sheet = (tables or sorted(filled, key=lambda place: _width(samples[place]) < 2))[0]
        sample = samples[self._sheet]
        records = [row for _, row in sample]
        header = find_header(records[:NUM_LOOKED_AT])
        if header is None:
            raise CatalogError(f"{packed.path}: found no row with values in the sheet {names[self._sheet]!r}")
        self._header: Header = header
        if len(header.names) > MAX_COLUMNS:
            raise CatalogError(f"{packed.path}: found {len(header.names):,} columns, wanted at most {MAX_COLUMNS:,}")
        super().__init__(packed.file, format=format, columns=header.names, compression=packed.compression)
        self.sheet = names[self._sheet]
        """Name of the sheet that is read."""
        self.header_row = None if header.row is None else sample[header.row][0]
        if len(names) > 1:
            self.notes["sheets"] = f"has {len(names)} sheets; {self.sheet!r} is read"
        self._rows = Rows(
            header.names,
            [] if header.row is None else records[header.row],
            [_fitted(record, len(header.names)) for record in records[header.first_data :]],
            delimiter="\n",
        )

    def _opened(self) -> Any:
        try:
            import python_calamine
        except ModuleNotFoundError as error:
            raise CatalogError(
                f"{self.path}: found a workbook, which needs the extra `excel`: pip install 'prodemb[excel]', or save "
                "it as CSV"
            ) from error
        with self._packed.open_on_disk() as place:
            if zipfile.is_zipfile(place):
                with zipfile.ZipFile(place) as archive:
                    size = sum(each.file_size for each in archive.infolist())
                if size > MAX_SHEET_BYTES:
                    raise CatalogError(
                        f"{self.path}: {size:,} bytes unpacked, too large for a workbook: save it as CSV"
                    )
            try:
                return python_calamine.CalamineWorkbook.from_path(str(place))
            except (python_calamine.CalamineError, OSError) as error:
                raise CatalogError(f"{self.path}: not a workbook that can be read: {error}; save it as CSV") from error

    def _sheet_names(self) -> list[str]:
        self._book = self._opened()
        return list(self._book.sheet_names)

    def _all_rows(self, place: int) -> Iterator[tuple[int, list[str]]]:
        sheet = self._book.get_sheet_by_index(place)
        if sheet.start is None:
            return
        for number, row in enumerate(sheet.iter_rows(), start=1 + sheet.start[0]):
            yield number, [_shown(cell) for cell in row]

    def _first_rows(self, place: int, num_rows: int) -> Iterator[tuple[int, list[str]]]:
        for count, row in enumerate(self._all_rows(place)):
            if count >= num_rows:
                return
            yield row

    def _read(self, columns: list[str], *, max_rows: int) -> Iterator[RowBatch]:
        places = [self.columns.index(name) for name in columns]
        numbers: list[int] = []
        taken: list[list[str]] = []
        num_chars = 0
        if self.sheet and len(self._book.sheet_names) > 1:
            self.notes["sheets"] = f"has {len(self._book.sheet_names)} sheets; {self.sheet!r} is read"
        for place, (number, row) in enumerate(self._all_rows(self._sheet)):
            if place < self._header.first_data:
                if place in self._header.labels:
                    self._ignore(number, "a row of labels or remarks at the header")
                continue
            values = self._rows.finished(_fitted(row, len(self.columns)))
            if isinstance(values, Fault):
                (self._skip if values.is_lost else self._ignore)(number, values.reason)
            elif values is not None:
                numbers.append(number)
                taken.append([values[each] for each in places])
                num_chars += sum(map(len, taken[-1]))
                if len(numbers) >= max_rows or num_chars > BATCH_BYTES // 2:
                    yield text_batch(numbers, columns, list(zip(*taken, strict=True)))
                    numbers, taken, num_chars = [], [], 0
        if numbers:
            yield text_batch(numbers, columns, list(zip(*taken, strict=True)) if places else [])


def _width(sample: list[tuple[int, list[str]]]) -> int:
    return max((sum(1 for cell in row if cell.strip()) for _, row in sample), default=0)


def _looks_like_products(sample: list[tuple[int, list[str]]]) -> bool:
    """Whether a sheet has a header with names that are known above its rows, and is no list of remarks."""
    header = find_header([row for _, row in sample][:NUM_LOOKED_AT])
    if header is None or header.row is None or len(header.names) < 2 or header.first_data >= len(sample):
        return False
    return known_share(header.names) >= 0.4 and sum(is_known(name) for name in header.names) > 1


def _fitted(row: list[str], width: int) -> list[str]:
    """A row without the empty cells right of the table."""
    while len(row) > width and not row[-1].strip():
        row = row[:-1]
    return row


def _shown(cell: Any) -> str:
    """A cell's value as a spreadsheet shows it: whole numbers without a point, dates as ISO has them."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(sep=" ") if cell.time() != datetime.time() else cell.date().isoformat()
    return str(cell)
