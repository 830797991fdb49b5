"""The rows of a table with a header: which are products, which are mended, and which are left out and why."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from prodemb.catalog.formats.source import MAX_CELL_BYTES
from prodemb.core.text import counted

_URL = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
_NUMBER = re.compile(r"^\s*-?[\d.,\s]*\d\s*([€$£¥%]|[A-Z]{3})?\s*$")
_AMOUNT = re.compile(r"^[\s\d.,+\-€$£¥%]*([A-Z]{3})?\s*$")
TOTALS = (
    "total|totals|subtotal|grand total|sum|summe|gesamt|gesamtsumme|zwischensumme|total general|somme|totale|totaal"
    "|итого|всего|итог|razem|suma|celkem|toplam|合計|総計|小計|合计|总计|합계"
)
_TOTAL = re.compile(rf"^\W*(?:{TOTALS})\b", re.IGNORECASE)
_WHITE = "".join(map(chr, range(33)))
_NUM_SHAPED = 2_000
"""Sound rows that columns' shapes are learned from."""


def is_blank(cell: str) -> bool:
    """Whether a cell has nothing but ASCII's white space."""
    return not cell.strip(_WHITE)


@dataclass(frozen=True)
class Fault:
    """Why a row gives no values."""

    reason: str
    is_lost: bool = True
    """False where nothing is lost: the row is no product."""


@dataclass
class _Shape:
    """What the values of a column have in common."""

    num: int = 0
    empty: int = 0
    urls: int = 0
    addresses: int = 0
    numbers: int = 0
    spaces: int = 0
    delimiters: int = 0
    levels: int = 0
    leading: int = 0
    longest: int = 0
    values: Counter[str] | None = None

    def add(self, value: str, delimiter: str) -> None:
        self.num += 1
        if not value.strip():
            self.empty += 1
            return
        self.urls += bool(_URL.match(value))
        self.addresses += "://" in value
        self.numbers += bool(_NUMBER.match(value))
        self.spaces += " " in value.strip()
        self.delimiters += delimiter in value
        self.levels += ">" in value
        self.leading += value[:1] == " "
        self.longest = max(self.longest, len(value))
        if self.values is None:
            self.values = Counter()
        if len(value) <= 60:
            self.values[value] += 1

    def cost(self, value: str, delimiter: str) -> float:
        """How ill a value fits: 0 where it may well be one of them, 1 or more where it is none."""
        filled = self.num - self.empty
        if not value.strip():
            return 1.0 if self.num >= 5 and self.empty < 0.02 * self.num else 0.0
        if filled < 2:
            return 0.2
        cost = 0.0
        has_address = "://" in value
        if has_address and not _URL.match(value) and self.addresses < 0.02 * filled:
            cost += 1.5
        for share, has in (
            (self.urls / filled, bool(_URL.match(value))),
            (self.numbers / filled, bool(_NUMBER.match(value))),
        ):
            if share > 0.95 and not has:
                cost += 2.0
            elif share < 0.02 and has:
                cost += 2.0 if has_address else 1.0
        if self.spaces < 0.02 * filled and " " in value.strip():
            cost += 2.0 * min(1.0, filled / 25)
        if self.delimiters < 0.02 * filled and delimiter in value:
            cost += 0.6
        if self.leading == 0 and value[:1] == " ":
            cost += 1.5
        share_of_paths = self.levels / filled
        if share_of_paths == 0.0 if ">" in value else share_of_paths > 0.9:
            cost += 1.0
        if len(value) > 3 * self.longest + 20:
            cost += 1.0
        if self.values is not None and filled >= 6:
            # Where values repeat, as brands do, one seen before is a good sign.
            repeated = 1 - len(self.values) / max(1, sum(self.values.values()))
            cost += -0.6 if value in self.values else 0.6 * max(0.0, repeated)
        return cost


class Rows:
    """Takes the records below a header and gives their values, or the fault."""

    def __init__(
        self, names: Sequence[str], header: Sequence[str], sample: Sequence[Sequence[str]], *, delimiter: str
    ) -> None:
        """
        Args:
            names: of the columns.
            header: the header's cells as written.
            sample: records below the header.
        """
        self.num_columns = len(names)
        self._header = [cell.strip() for cell in header[: len(names)]]
        self.lead = next((place for place, name in enumerate(self._header) if name), 0)
        """The first column that has a name: remarks, totals and comments stand there."""
        self.lead_name = self._header[self.lead] if self._header else ""
        longer = sum(len(record) > len(names) and is_blank(record[-1]) for record in sample)
        self._ends_with_delimiter = longer * 2 > len(sample)
        self._sample = [
            record for each in sample if len(record := self._without_end(list(each), len(names))) == len(names)
        ][:_NUM_SHAPED]
        self._delimiter = delimiter
        filled = [record for record in sample if sum(not is_blank(cell) for cell in record) > 1]
        firsts = [record[self.lead].strip(_WHITE) for record in filled if len(record) > self.lead]
        self._lead_has_hashes = sum(first.startswith("#") for first in firsts) > 0.5 * len(firsts)
        firsts = [first for first in firsts if first != self.lead_name and not first.startswith("#")]
        self._lead_is_text = sum(" " in first for first in firsts) > 0.1 * len(firsts)

    @cached_property
    def _shapes(self) -> list[_Shape]:
        shapes = [_Shape() for _ in range(self.num_columns)]
        for record in self._sample:
            for shape, value in zip(shapes, record, strict=True):
                shape.add(value, self._delimiter)
        return shapes

    def finished(self, record: list[str]) -> list[str] | Fault | None:
        """A record's values; the fault where it has none that count; None where it is empty."""
        if all(map(is_blank, record)):
            return None
        wanted = self.num_columns
        if wanted == 1:
            record = [self._delimiter.join(self._without_end(record, 1))]
        if (fault := self.no_product(record)) is not None:
            return fault
        if len(record) > wanted:
            record = self._shortened(record)
            if len(record) > wanted:
                return Fault(f"found {counted(len(record), 'value')}, wanted {wanted}")
        elif len(record) < wanted:
            if len(record) < 2 or not self._is_sound(record):
                return Fault(f"found {counted(len(record), 'value')}, wanted {wanted}")
            record = record + [""] * (wanted - len(record))
        if any(len(value) > MAX_CELL_BYTES // 4 and len(value.encode()) > MAX_CELL_BYTES for value in record):
            return Fault(f"a value of more than {MAX_CELL_BYTES:,} bytes")
        return record

    def no_product(self, record: list[str]) -> Fault | None:
        """The fault of a record that is a comment, the header once more, a remark or a total."""
        if len(record) <= self.lead:
            return None
        first = record[self.lead].strip(_WHITE)
        is_cut_comment = len(record) != self.num_columns and not self._lead_has_hashes
        if first.startswith("#") and (is_cut_comment or all(cell.strip()[:1] in ("", "#") for cell in record)):
            return Fault("a comment", is_lost=False)
        if first and first == self.lead_name:
            cells = [cell.strip() for cell in record[: len(self._header)]]
            if cells == self._header:
                return Fault("the header once more", is_lost=False)
        if self.num_columns < 3:
            return None
        num_filled = sum(1 for cell in record if not is_blank(cell))
        if num_filled == 1 and " " in first and not self._lead_is_text:
            return Fault("a remark: only its first cell has a value", is_lost=False)
        if num_filled * 2 <= self.num_columns + 1 and _TOTAL.match(first):
            others = [cell for cell in record[self.lead + 1 :] if not is_blank(cell)]
            if others and all(_AMOUNT.match(cell) for cell in others):
                return Fault("a total", is_lost=False)
        return None

    def _shortened(self, record: list[str]) -> list[str]:
        """A record with too many values: without empty ones at its end, or with those joined that a title was cut into.

        Joined only where one way fits what stands in the other rows clearly better than each other way.
        """
        wanted = self.num_columns
        record = self._without_end(record, wanted)
        if len(record) == wanted or len(record) > 3 * wanted + 20 or wanted > 500:
            return record
        extra = len(record) - wanted
        cut = record[:wanted]
        is_cut = all(map(is_blank, record[wanted:]))
        if len(self._sample) < 3:
            return cut if is_cut else record
        ways = {tuple(cut): self._cost(cut)} if is_cut else {}
        for place in range(wanted):
            end = place + extra + 1
            joined = (*record[:place], self._delimiter.join(record[place:end]), *record[end:])
            ways[joined] = self._cost(joined)
        by_space = self._joined_at_spaces(record)
        if by_space is not None and len(by_space) == wanted:
            # As text goes on after a comma, and as no value begins.
            ways[tuple(by_space)] = self._cost(by_space) - 1.0
        best, *others = sorted(ways, key=lambda way: ways[way])
        is_clear = ways[best] < 1.9 and all(ways[other] > ways[best] + 0.5 for other in others[:1])
        return list(best) if is_clear else record

    def _without_end(self, record: list[str], wanted: int) -> list[str]:
        """A record without the empty values that all rows have after their last one."""
        while self._ends_with_delimiter and len(record) > wanted and is_blank(record[-1]):
            record = record[:-1]
        return record

    def _joined_at_spaces(self, record: list[str]) -> list[str] | None:
        """The values joined to the one before them that begin with a space, as no value of another row does."""
        if any(shape.leading for shape in self._shapes):
            return None
        joined: list[str] = []
        for value in record:
            if joined and value[:1] == " " and value.strip():
                joined[-1] += self._delimiter + value
            else:
                joined.append(value)
        return joined

    def _cost(self, record: Sequence[str]) -> float:
        return sum(shape.cost(value, self._delimiter) for shape, value in zip(self._shapes, record, strict=True))

    def _is_sound(self, record: Sequence[str]) -> bool:
        """Whether the values that are there may be the first ones of a row."""
        if any(value.startswith('"') and (len(value) == 1 or not value.endswith('"')) for value in record):
            return False
        costs = [shape.cost(value, self._delimiter) for shape, value in zip(self._shapes, record, strict=False)]
        return max(costs, default=0.0) < 2.0
