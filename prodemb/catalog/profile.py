"""What the first rows of an unknown catalog say about each of its columns."""

import itertools
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pyarrow as pa

from prodemb.catalog.sources import CatalogFile, read
from prodemb.core.errors import CatalogError

NUM_ROWS = 3_000
"""Rows that are looked at."""
PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")
PICTURE_NAME = re.compile(r"\.(jpe?g|png|webp|gif|bmp|tiff?|avif)$", re.IGNORECASE)
ADDRESS = re.compile(r"^\W*(https?:)?//", re.IGNORECASE)
NUMBER = re.compile(r"^[-+]?\d+([.,]\d+)?$")
SEPARATORS = (">>", ">", "»", "|", "/")
"""What stands between the levels of a category path, the surest first."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One column of a catalog, by its name and its first values. Shares are of the values that are there."""

    name: str
    values: tuple[str, ...]
    """The values that are there; none of a column of bytes."""
    num_rows: int
    holds_pictures: bool
    """Whether it holds the bytes of pictures."""

    @cached_property
    def words(self) -> str:
        """The name in plain words: lower case, no accents, `_` between them."""
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name)
        plain = unicodedata.normalize("NFKD", spaced).encode("ascii", "ignore").decode()
        return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_").removeprefix("g_")

    @cached_property
    def is_unique(self) -> bool:
        """Whether each row has a value that no other row has."""
        return len(set(self.values)) == self.num_rows

    @cached_property
    def distinct(self) -> float:
        """Distinct values as a share of all."""
        return len(set(self.values)) / max(1, len(self.values))

    @cached_property
    def length(self) -> float:
        """Mean number of characters."""
        return sum(map(len, self.values)) / max(1, len(self.values))

    @cached_property
    def num_words(self) -> float:
        """Mean number of words."""
        return sum(len(value.split()) for value in self.values) / max(1, len(self.values))

    @cached_property
    def numbers(self) -> float:
        """Share that are numbers."""
        return self._share(NUMBER.match)

    @cached_property
    def addresses(self) -> float:
        """Share that are http(s) addresses."""
        return self._share(ADDRESS.match)

    @cached_property
    def picture_names(self) -> float:
        """Share that end as the names of picture files do."""
        return self._share(lambda value: PICTURE_NAME.search(value.partition("?")[0].rstrip("]\"' ")))

    @cached_property
    def separator(self) -> str | None:
        """What stands between levels in most values, where they are paths of categories."""
        if self.addresses > 0.1 or self.picture_names > 0.1:
            return None
        return next((mark for mark in SEPARATORS if self._share(partial(_contains, mark)) > 0.6), None)

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


def profiles_of(file: CatalogFile) -> list[Profile]:
    """Profiles of all columns, in the file's order.

    Raises:
        CatalogError: the file has no row that can be read.
    """
    named = [name for name in file.names if name]
    texts = {f"{place}": name for place, name in enumerate(named) if file.image_kinds.get(name) != "bytes"}
    first = next(read(file, columns=texts, num_rows=NUM_ROWS, skip=lambda row: None), None)
    if first is None:
        raise CatalogError(f"{file.path}: found no product in it, wanted at least one row that can be read")
    _, table = first
    pictures = {name for name in named if name not in texts.values() and _holds_pictures(file, name)}
    values = {name: _present(table.column(key)) for key, name in texts.items()}
    return [
        Profile(name=name, values=values.get(name, ()), num_rows=table.num_rows, holds_pictures=name in pictures)
        for name in named
    ]


def picture_root(values: Sequence[str], *, folder: Path) -> Path | None:
    """The folder under which local pictures are found: the catalog's, one inside it, or one they name outright."""
    paths = [Path(value.replace("\\", "/")) for value in values if not ADDRESS.match(value)][:50]
    if not paths:
        return None
    if all(path.is_absolute() for path in paths):
        parents = set.intersection(*({*path.parents} for path in paths))
        return max(parents, key=lambda parent: len(parent.parts)) if any(map(_is_file, paths)) else None
    inside = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    for root in itertools.chain([folder], inside, [folder.parent]):
        if any(_is_file(root / path) for path in paths):
            return root
    return None


def _contains(mark: str, value: str) -> bool:
    return mark in value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _present(column: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(value for value in column.to_pylist() if value is not None)


def _holds_pictures(file: CatalogFile, name: str) -> bool:
    batches = read(file, columns={"image": name}, num_rows=20, skip=lambda row: None, image_as="bytes")
    _, table = next(batches)
    values = [value for value in table.column("image").to_pylist() if value is not None]
    return any(value.startswith(PICTURE_STARTS) or value[4:8] == b"ftyp" for value in values)
