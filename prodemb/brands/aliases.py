"""The alias table: every supplied brand string, its canonical brand and the decision behind it, as a file to edit."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self, get_args

import polars as pl

from prodemb.brands.junk import UNBRANDED, UNKNOWN, find_junk
from prodemb.brands.normalise import normalise_brand, tidy_spelling
from prodemb.errors import CatalogError
from prodemb.files import replacing

Status = Literal["accepted", "review", "rejected"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_ESCAPE = "'"
_NEEDED = ("supplied", "canonical")
_TEXTS = ("supplied", "canonical", "rule", "status", "proposed")


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


class AliasTable:
    """What every supplied string stands for; one row a distinct string, in a stable order."""

    def __init__(self, rows: Iterable[AliasRow]) -> None:
        self.rows = tuple(rows)
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
        """The canonical brand as a training label; None where there is none to learn (junk, no-name, never seen)."""
        found = self.verdict(supplied)
        return None if found in (UNKNOWN, UNBRANDED) else found

    def canonical_of(self, supplied: pl.Series | list[str | None]) -> pl.Series:
        """`lookup` for a whole column; each distinct string is looked up once. Returns a String series, same order."""
        column = pl.Series("brand", supplied, dtype=pl.String)
        distinct = column.unique().drop_nulls()
        labels = pl.Series([self.lookup(text) for text in distinct], dtype=pl.String)
        return column.replace_strict(distinct, labels, default=None, return_dtype=pl.String).alias("canonical")

    def frame(self) -> pl.DataFrame:
        """The rows as a table with the columns of an alias file."""
        columns = {name: [getattr(row, name) for row in self.rows] for name in COLUMNS}
        schema = {"score": pl.Float64, "products": pl.Int64}
        return pl.DataFrame(columns, schema={name: schema.get(name, pl.String()) for name in COLUMNS})

    def write(self, path: Path) -> None:
        """Write the table as Parquet or, for any other suffix, as CSV; whole or not at all.

        CSV cells that a spreadsheet would run as a formula (they begin with = + - @) get an apostrophe in front, and
        so do those that begin with an apostrophe; `read` takes it off again.
        """
        table = self.frame()
        with replacing(path) as temporary:
            if path.suffix.lower() == ".parquet":
                table.write_parquet(temporary)
            else:
                table.with_columns(_escaped(name) for name in _TEXTS).write_csv(temporary, quote_style="necessary")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an alias file, edited or not. Needs the columns supplied and canonical; the others have defaults.

        Raises:
            CatalogError: the file is missing or unreadable, lacks a column, repeats a string or has an unknown status.
        """
        if not path.is_file():
            raise CatalogError(f"{path}: no such alias file; `prodemb brands CATALOG {path.name}` writes one")
        try:
            if path.suffix.lower() == ".parquet":
                table = pl.read_parquet(path)
            else:
                table = pl.read_csv(path.read_bytes(), infer_schema=False, encoding="utf8-lossy")
                table = table.with_columns(_unescaped(name) for name in _TEXTS if name in table.columns)
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise CatalogError(f"{path}: cannot be read as an alias file ({reason}); wanted CSV or Parquet") from None
        return cls(_rows_of(table, source=str(path)))


def read_aliases(path: Path) -> AliasTable:
    """Read an alias file; see `AliasTable.read`."""
    return AliasTable.read(path)


def _escaped(name: str) -> pl.Expr:
    cell = pl.col(name)
    risky = cell.str.slice(0, 1).is_in([*_FORMULA_STARTS, _ESCAPE])
    return pl.when(risky).then(pl.lit(_ESCAPE) + cell).otherwise(cell).alias(name)


def _unescaped(name: str) -> pl.Expr:
    cell = pl.col(name)
    escaped = cell.str.slice(0, 1).eq(_ESCAPE) & cell.str.slice(1, 1).is_in([*_FORMULA_STARTS, _ESCAPE])
    return pl.when(escaped).then(cell.str.slice(1)).otherwise(cell).alias(name)


def _rows_of(table: pl.DataFrame, *, source: str) -> list[AliasRow]:
    """The rows of a table that was read.

    Raises:
        CatalogError: a column is missing, a string is repeated, or a cell cannot be used; names the row.
    """
    for name in _NEEDED:
        if name not in table.columns:
            raise CatalogError(f"{source}: found columns {', '.join(table.columns)}, wanted also {name!r}")
    rows: dict[str, AliasRow] = {}
    for number, cells in enumerate(table.iter_rows(named=True), start=2):
        row = _row_of({name: cells.get(name) for name in COLUMNS}, where=f"{source}: row {number}")
        if rows.setdefault(row.supplied, row) is not row:
            raise CatalogError(f"{source}: row {number}: {row.supplied!r} stands here a second time; keep one row")
    return list(rows.values())


def _row_of(cells: dict[str, str | float | int | None], *, where: str) -> AliasRow:
    """One row from its cells; empty cells take the row's defaults."""
    supplied = str(cells["supplied"] or "")
    canonical = str(cells["canonical"] or "").strip()
    status = str(cells["status"] or "accepted").strip().lower()
    if status not in get_args(Status):
        raise CatalogError(f"{where}: status: found {status!r}, wanted one of {', '.join(get_args(Status))}")
    try:
        score, products = float(cells["score"] or 0.0), int(float(cells["products"] or 0))
    except ValueError:
        found = f"score {cells['score']!r}, products {cells['products']!r}"
        raise CatalogError(f"{where}: found {found}, wanted two numbers") from None
    row = AliasRow(
        supplied=supplied,
        canonical=canonical or UNKNOWN,
        score=score,
        products=products,
        status=status,  # type: ignore[arg-type]
        proposed=str(cells["proposed"] or "").strip() or None,
    )
    return replace(row, rule=str(cells["rule"])) if cells["rule"] else row
