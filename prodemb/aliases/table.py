"""The alias table: every supplied brand string, its canonical brand and the decision behind it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal, Self

import polars as pl

from prodemb.aliases.junk import UNBRANDED, UNKNOWN, find_junk
from prodemb.aliases.normalise import normalise_brand, tidy_spelling

Status = Literal["accepted", "review", "rejected"]


@dataclass(frozen=True, slots=True)
class AliasRow:
    """One supplied string and its decision.

    `canonical` is what is in effect. A doubtful merge has status `review`: the string stays with its own name, and
    `proposed` names the brand it may belong to. A person answers by setting the status (`accepted` takes the
    proposal, `rejected` keeps the string apart for good) or by writing a canonical of their own.
    """

    supplied: str
    canonical: str
    rule: str = "edited"
    score: float = 1.0
    products: int = 0
    status: Status = "accepted"
    proposed: str | None = None
    decided: str | None = None
    """The canonical brand that prodemb decided on, by which a person's change is seen; None for a person's own row."""

    @property
    def is_edited(self) -> bool:
        """Whether a person decided, and not prodemb."""
        answered = self.status == "rejected" or (self.status == "accepted" and self.proposed is not None)
        return answered or self.decided != self.canonical

    @property
    def effective(self) -> str:
        """The canonical brand (or UNKNOWN, UNBRANDED) that this row gives its string."""
        if self.status == "review" or (self.status == "accepted" and not self.proposed):
            return self.canonical
        stands_alone = normalise_brand(self.canonical) == normalise_brand(self.supplied)
        if self.status == "accepted":
            return self.proposed or self.canonical if stands_alone else self.canonical
        return self.canonical if stands_alone or self.proposed else tidy_spelling(self.supplied)


COLUMNS = tuple(field.name for field in fields(AliasRow))
"""The columns of an alias file, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the person who edits an alias file has it: kept when the file is written again."""

    columns: tuple[str, ...] = COLUMNS
    """All columns of the file, in its order, a person's own among them."""
    separator: str = ","
    """Between the cells of a CSV file."""
    byte_order_mark: bool = False
    """Whether a CSV file begins with one, as spreadsheets want it."""
    own: pl.DataFrame = field(default_factory=pl.DataFrame)
    """The cells of a person's own columns, with the column supplied beside them; empty where there are none."""


class AliasTable:
    """What every supplied string stands for; one row per distinct string, in a stable order."""

    def __init__(self, rows: Iterable[AliasRow], *, layout: Layout | None = None) -> None:
        self.rows = tuple(rows)
        self.layout = layout or Layout()
        self._by_string = {row.supplied: row.effective for row in self.rows}

    @cached_property
    def _by_key(self) -> dict[str, str]:
        """What each comparison key stands for: what most products of its spellings do."""
        votes: dict[str, Counter[str]] = {}
        for row in self.rows:
            votes.setdefault(normalise_brand(row.supplied), Counter())[row.effective] += row.products + 1
        decided = {key: min(count, key=lambda name: (-count[name], name)) for key, count in votes.items() if key}
        for name in sorted(set(self._by_string.values()) - {UNKNOWN, UNBRANDED}):
            decided.setdefault(normalise_brand(name), name)
        return decided

    def __len__(self) -> int:
        return len(self.rows)

    def name_of_key(self, key: str) -> str | None:
        """The canonical brand, UNKNOWN or UNBRANDED of a comparison key (`normalise_brand`); None where unknown."""
        return self._by_key.get(key)

    def verdict(self, supplied: str | None) -> str | None:
        """The canonical brand, UNKNOWN, UNBRANDED, or None for a string that is neither known nor plain junk."""
        if supplied is None:
            return None
        found = self._by_string.get(supplied) or self._by_key.get(normalise_brand(supplied))
        if found is not None:
            return found
        junk = find_junk(supplied)
        return junk.canonical if junk and not junk.may_be_name else None

    def lookup(self, supplied: str | None) -> str | None:
        """The canonical brand as a training label; None for junk, no-name and unknown strings."""
        found = self.verdict(supplied)
        return None if found in (UNKNOWN, UNBRANDED) else found

    def canonical_of(self, supplied: pl.Series | list[str | None]) -> pl.Series:
        """`lookup` for a whole column; each distinct string is looked up once. Returns a String series, same order."""
        column = pl.Series("brand", supplied, dtype=pl.String)
        distinct = column.unique().drop_nulls()
        labels = pl.Series([self.lookup(text) for text in distinct], dtype=pl.String)
        return column.replace_strict(distinct, labels, default=None, return_dtype=pl.String).alias("canonical")

    @cached_property
    def _edited(self) -> dict[str, str]:
        """What a person decided for a comparison key."""
        return {normalise_brand(row.supplied): row.effective for row in self.rows if row.is_edited}

    def corrected(self, gold: pl.Series) -> pl.Series:
        """Gold labels with a person's corrections, (n,) string: renamed, or null where that says it is no brand."""
        distinct = gold.unique().drop_nulls()
        names = [self._edited.get(normalise_brand(name), name) for name in distinct]
        corrected = pl.Series([None if name in (UNKNOWN, UNBRANDED) else name for name in names], dtype=pl.String)
        return gold.replace_strict(distinct, corrected, default=None, return_dtype=pl.String)

    def is_persons(self, name: str) -> bool:
        """Whether a person said that some string stands for this brand."""
        return name in self._persons

    @cached_property
    def _persons(self) -> set[str]:
        return set(self._edited.values())

    def frame(self) -> pl.DataFrame:
        """The rows as a table with the columns of an alias file, and those that a person added to it."""
        columns = {name: [getattr(row, name) for row in self.rows] for name in COLUMNS}
        schema = {"score": pl.Float64, "products": pl.Int64}
        table = pl.DataFrame(columns, schema={name: schema.get(name, pl.String()) for name in COLUMNS})
        if self.layout.own.width:
            table = table.join(self.layout.own, on="supplied", how="left", maintain_order="left")
        return table.select(self.layout.columns)

    def with_rows(self, rows: Iterable[AliasRow]) -> Self:
        """The same file with other rows; a person's own cells stay with their strings."""
        return type(self)(rows, layout=self.layout)
