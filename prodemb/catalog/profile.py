"""What some rows of an unknown catalog, taken from all of it, say about each of its columns."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.catalog.categories import CategoryRule, category_rule
from prodemb.catalog.formats import Source
from prodemb.catalog.formats.records import RecordsSource
from prodemb.catalog.names import Name, read_name
from prodemb.catalog.nested import languages_in, parsed
from prodemb.catalog.pictures import ADDRESS, PICTURE_NAME, is_list, is_picture, kind_of, picture_of
from prodemb.catalog.values import as_texts, decoded, is_present, is_text, python_values
from prodemb.core.text import is_whole_number

NUM_ROWS = 3_000
"""Rows that are looked at."""
HEAD_ROWS = 1_024
"""So many of them are the first ones."""
ROWS_OF_A_BATCH = 64
"""So many come from each batch after them, evenly spaced."""
MAX_LOOKED_AT = 1_000
"""Columns whose values are looked at, each of which takes two milliseconds; those whose names say something first."""
MAX_CELL_CHARS = 100_000
MAX_SAMPLE_BYTES = 64 << 20
_NUM_PICTURES = 20
NUMBER = re.compile(r"^[-+]?[\d\s.,']*\d%?$")
DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ,].*)?$")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One column, by its name and some of its values. Shares are of the values that are there."""

    name: str
    cells: tuple[Any, ...]
    """The values that are there as the file has them: texts, or lists and objects; none of a column of bytes."""
    values: tuple[str, ...]
    """The same as plain texts."""
    present: npt.NDArray[np.bool_] = field(repr=False)
    """(num_rows,) where a value is there."""
    is_binary: bool = False
    """Whether the file has it as bytes."""
    holds_pictures: bool = False
    """Whether those bytes are pictures."""

    @property
    def num_rows(self) -> int:
        """Rows looked at."""
        return len(self.present)

    @cached_property
    def read(self) -> Name:
        """The name, read."""
        return read_name(self.name)

    @cached_property
    def filled(self) -> float:
        """Share of rows that have a value."""
        return float(self.present.mean()) if self.num_rows else 0.0

    @cached_property
    def distinct(self) -> float:
        """Distinct values as a share of all."""
        return len(set(self.values)) / max(1, len(self.values))

    @cached_property
    def is_constant(self) -> bool:
        """Whether there is one value only, in more rows than chance would have it."""
        return len(self.values) > 3 and len(set(self.values)) == 1

    @cached_property
    def is_counter(self) -> bool:
        """Whether the values number the rows: whole numbers that rise by one."""
        if len(self.values) < 3 or not all(is_whole_number(value) for value in self.values[:50]):
            return False
        numbers = [int(value) for value in self.values[:50]]
        return numbers[0] in (0, 1) and numbers == [*range(numbers[0], numbers[0] + len(numbers))]

    @cached_property
    def length(self) -> float:
        """Mean number of characters."""
        return sum(map(len, self.values)) / max(1, len(self.values))

    @cached_property
    def num_words(self) -> float:
        """Mean number of words; in scripts without spaces, of which two letters make one."""
        return sum(map(_num_words, self.values)) / max(1, len(self.values))

    @cached_property
    def numbers(self) -> float:
        """Share that are numbers."""
        return self._share(NUMBER.match)

    @cached_property
    def dates(self) -> float:
        """Share that are dates."""
        return self._share(DATE.match)

    @cached_property
    def addresses(self) -> float:
        """Share that are http(s) addresses, or lists of them."""
        return self._share(lambda value: ADDRESS.match(value.lstrip("[{'\" ")))

    @cached_property
    def codes(self) -> float:
        """Share that are a code: without spaces, with a digit in it, and no number with a point, date or address."""
        return self._share(_is_code)

    @cached_property
    def pictures(self) -> float:
        """Share that hold a picture: its file's name, an address with one, or the picture itself."""
        cells = self.cells[:200]
        return sum(map(_is_picture, cells)) / max(1, len(cells))

    @cached_property
    def inline_pictures(self) -> float:
        """Share of the cells with a picture in which the picture itself stands."""
        found = [picture for cell in self.cells[:200] if (picture := picture_of(cell)) is not None]
        return sum(isinstance(picture, bytes) for picture in found) / max(1, len(found))

    @cached_property
    def lists(self) -> float:
        """Share that are lists or objects, also those written out."""
        cells = self.cells[:200]
        return sum(not isinstance(parsed(cell) if isinstance(cell, str) else cell, str) for cell in cells) / max(
            1, len(cells)
        )

    @cached_property
    def categories(self) -> CategoryRule:
        """What stands between levels and between paths, were the values categories."""
        if self.addresses > 0.1 or self.pictures > 0.3:
            return CategoryRule()
        return category_rule([cell if isinstance(cell, str) else str(cell) for cell in self.cells])

    @cached_property
    def languages(self) -> dict[str, int]:
        """How many texts are in which language, where they say it."""
        counts: dict[str, int] = {}
        for cell in self.cells:
            for language in languages_in(parsed(cell) if isinstance(cell, str) else cell):
                counts[language] = counts.get(language, 0) + 1
        return counts

    def begins(self, titles: "Profile") -> float:
        """Share of titles that begin with some value of this column, as they do with a brand."""
        beginnings = {value.casefold().strip() for value in self.values if len(value) > 1}
        return titles._share(
            lambda title: any(
                " ".join(title.casefold().split(maxsplit=3)[:number]) in beginnings for number in range(1, 4)
            )
        )

    def _share(self, test: Callable[[str], object]) -> float:
        return sum(bool(test(value)) for value in self.values) / max(1, len(self.values))


def profiles_of(sources: Sequence[Source], *, whole: bool = True) -> list[Profile]:
    """Profiles of the columns, `MAX_LOOKED_AT` at most, in the order of the first of some files with the same columns.

    Rows are taken from all of the files: the first ones, and evenly from what follows.

    Args:
        whole: whether to go through the whole of text files, which takes as long as reading them; else their beginning.
    """
    binary = _binary_columns(sources[0])
    names = [name for name in _looked_at(_readable(sources[0].columns)) if name not in binary]
    kept, late = _rows_of(sources, names, whole=whole)
    if late:
        # Keys of JSON and elements of XML that come only in later rows.
        names = _looked_at([*names, *(name for name in late if name not in names)])
        kept, _ = _rows_of(sources, names, whole=whole)
    num_rows = sum(each.num_rows for each in kept)
    profiles = {
        name: Profile(
            name=name, cells=(), values=(), present=np.ones(num_rows, np.bool_), is_binary=True, holds_pictures=pictures
        )
        for name, pictures in binary.items()
    }
    if kept:
        table = pa.concat_tables(kept, promote_options="permissive").combine_chunks()
        profiles |= {name: _profile(name, table.column(name)) for name in names}
    else:
        nothing = np.zeros(0, np.bool_)
        profiles |= {name: Profile(name=name, cells=(), values=(), present=nothing) for name in names}
    return [profiles[name] for name in dict.fromkeys((*sources[0].columns, *names)) if name in profiles]


def _looked_at(names: Sequence[str]) -> list[str]:
    """At most `MAX_LOOKED_AT` of the names, in order: those that say something first."""
    if len(names) <= MAX_LOOKED_AT:
        return list(names)
    places = sorted(range(len(names)), key=lambda place: not read_name(names[place]).roles)
    return [names[place] for place in sorted(places[:MAX_LOOKED_AT])]


def _binary_columns(source: Source) -> dict[str, bool]:
    """The columns that hold bytes, and whether these are pictures; by a few rows, for pictures are large."""
    batch = next(source.batches(columns=_readable(source.columns), max_rows=_NUM_PICTURES, stop=_NUM_PICTURES), None)
    if batch is None:
        return {}
    columns = {name: _whole(batch.table.column(name)) for name in batch.table.column_names}
    binary = {
        name: column for name, column in columns.items() if kind_of(column.type) == "bytes" and _has_bytes(column)
    }
    return {name: _holds_pictures(column) for name, column in binary.items()}


def _rows_of(
    sources: Sequence[Source], columns: Sequence[str], *, whole: bool
) -> tuple[list[pa.Table], tuple[str, ...]]:
    """Some rows of files, and columns that the files turned out to have in later rows."""
    kept: list[pa.Table] = []
    num_rows = 0
    found: dict[str, None] = {}
    for source in sources:
        for table in _sampled(source, columns, whole=whole, head=max(ROWS_OF_A_BATCH, HEAD_ROWS // len(sources))):
            kept.append(table)
            num_rows += table.num_rows
        if num_rows > NUM_ROWS:
            step = num_rows / NUM_ROWS
            taken = pa.concat_tables(kept, promote_options="permissive").take(
                (np.arange(NUM_ROWS) * step).astype(np.int64)
            )
            kept, num_rows = [taken], taken.num_rows
        found |= dict.fromkeys(late_columns(source))
    return kept, _readable(tuple(found))


def late_columns(source: Source) -> dict[str, int]:
    """Columns of a file of records that are not among its first rows, and the row in which each came first."""
    return source.late_columns if isinstance(source, RecordsSource) else {}


def _readable(names: Sequence[str]) -> tuple[str, ...]:
    """Names without those that no table can have: half of a character, as JSON may escape it."""
    return tuple(name for name in names if not re.search("[\ud800-\udfff]", name))


def _sampled(source: Source, columns: Sequence[str], *, whole: bool, head: int) -> list[pa.Table]:
    """Some rows of a file, from all of it; none after so many that they take much memory."""
    if source.num_rows is not None and source.num_rows > head:
        starts = np.linspace(head, max(head, source.num_rows - ROWS_OF_A_BATCH), num=16).astype(np.int64)
        spans = [(0, head), *((int(start), int(start) + ROWS_OF_A_BATCH) for start in dict.fromkeys(starts.tolist()))]
        return [
            batch.table
            for start, stop in spans
            for batch in source.batches(columns=columns, start=start, stop=stop, max_rows=ROWS_OF_A_BATCH * 4)
        ]
    tables: list[pa.Table] = []
    num_seen = num_bytes = 0
    for batch in source.batches(columns=columns, stop=None if whole else head):
        table = batch.table
        if num_seen >= head:
            places = np.unique(np.linspace(0, table.num_rows - 1, num=min(ROWS_OF_A_BATCH, table.num_rows)).astype(int))
            table = table.take(places)
        elif num_seen + table.num_rows > head:
            table = table.slice(0, head - num_seen)
        num_seen += batch.table.num_rows
        tables.append(table)
        num_bytes += table.nbytes
        if num_bytes > MAX_SAMPLE_BYTES:
            break
        if len(tables) > 2 * NUM_ROWS // ROWS_OF_A_BATCH:
            tables = tables[: len(tables) // 2] + tables[len(tables) // 2 :: 2]
    return tables


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], column.type)
    return whole


def _profile(name: str, column: pa.ChunkedArray) -> Profile:
    whole = _whole(column)
    plain = as_texts(_clipped(whole)).to_pylist()
    present = np.asarray(is_present(whole).to_numpy(zero_copy_only=False), np.bool_)
    present &= np.array([value is not None for value in plain], np.bool_)
    cells = decoded(whole).to_pylist() if is_text(whole.type) else python_values(whole)
    return Profile(
        name=name,
        cells=tuple(cell for cell, is_there in zip(cells, present, strict=True) if is_there),
        values=tuple(value for value, is_there in zip(plain, present, strict=True) if is_there),
        present=present,
    )


def _clipped(column: pa.Array) -> pa.Array:
    """A column whose texts are short enough to look at; a picture in base64 is long."""
    if not is_text(column.type):
        return column
    cells = [cell and cell[:MAX_CELL_CHARS] for cell in decoded(column).to_pylist()]
    return pa.array(cells, pa.large_string())


def _has_bytes(column: pa.Array) -> bool:
    """Whether a column holds bytes: structs of bytes and a path, as Hugging Face writes pictures, may hold none."""
    if not pa.types.is_struct(column.type):
        return True
    return any(value and value.get("bytes") for value in column.slice(0, 1000).to_pylist())


def _holds_pictures(column: pa.Array) -> bool:
    some = [value for value in column.slice(0, 1000).to_pylist() if value][:_NUM_PICTURES]
    if is_list(column.type):
        some = [value[0] for value in some]
    found = [value.get("bytes") if isinstance(value, dict) else value for value in some]
    return any(isinstance(value, bytes) and is_picture(value) for value in found)


def _is_picture(cell: Any) -> bool:
    found = picture_of(cell)
    if isinstance(found, bytes):
        return is_picture(found)
    return found is not None and PICTURE_NAME.search(found.partition("?")[0].rstrip("]\"' ")) is not None


def _num_words(text: str) -> float:
    wide = sum("\u3000" < letter <= "\u9fff" or "\uac00" <= letter <= "\ud7af" for letter in text)
    return len(text.split()) + wide / 2 if wide else len(text.split())


def _is_code(value: str) -> bool:
    if " " in value or len(value) > 64 or ADDRESS.match(value) or DATE.match(value):
        return False
    is_decimal = re.fullmatch(r"[-+]?\d*[.,]\d+", value) is not None
    return any(letter.isdigit() for letter in value) and not is_decimal
