"""All the names that can be the brand of a product, and which of them its supplied brand and its title name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.brands.aliases import AliasTable
from prodemb.brands.evidence import Title, fold_titles
from prodemb.brands.junk import UNBRANDED, UNKNOWN
from prodemb.brands.normalise import normalise_brand, tidy_spelling, words_of
from prodemb.brands.titles import TitleMatches, TitleNames
from prodemb.brands.vocabulary import LEGAL_SUFFIXES

Ids = npt.NDArray[np.int64]
"""Numbers of names in `BrandNames.names`; -1 where there is none."""

NO_NAME = -1


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the supplied brand and the title of n products name."""

    supplied: Ids
    """(n,) the name that the supplied brand stands for; -1 where it is absent or junk."""
    is_known: npt.NDArray[np.bool_]
    """(n,) whether that name was known before."""
    in_title: npt.NDArray[np.bool_]
    """(n,) whether the supplied brand stands in the title, as it is spelled or in another spelling."""
    titles: TitleMatches
    """The names in the titles."""
    new_names: tuple[str, ...] = field(default=())
    """Names of supplied strings that nobody has seen before; their numbers follow those of the known names."""


class BrandNames:
    """The names of brands, numbered: the head's classes first, then UNBRANDED, then the alias table's other brands."""

    def __init__(self, classes: Sequence[str], *, aliases: AliasTable, redirects: Mapping[str, str]) -> None:
        """Number the names.

        Args:
            classes: the head's, in its order.
            aliases: what supplied strings stand for. Names that differ from a class in spelling alone are that class.
            redirects: names that stand for others among these, as `find_redirects` learns them.
        """
        self.aliases = aliases
        self.redirects = dict(redirects)
        self.num_classes = len(classes)
        self.names = [*classes, UNBRANDED]
        self._ids: dict[str, int] = {}
        for number, name in enumerate(classes):
            self._ids.setdefault(_key(name), number)
        self._ids[_key(UNBRANDED)] = len(classes)
        for name in sorted({row.effective for row in aliases.rows} - {UNKNOWN, UNBRANDED}):
            if _key(name) not in self._ids:
                self._ids[_key(name)] = len(self.names)
                self.names.append(name)
        self._titles = TitleNames(self._spellings())
        for name, meant in self.redirects.items():
            self._ids[_key(name)] = self._ids[_key(meant)]
        self._meant = np.array([self.id_of(name) for name in self.names], dtype=np.int64)

    def redirected(self, redirects: Mapping[int, int]) -> "BrandNames":
        """The same names, some of which stand for others; numbers to numbers."""
        named = {self.names[name]: self.names[meant] for name, meant in redirects.items()}
        return BrandNames(self.names[: self.num_classes], aliases=self.aliases, redirects=named)

    def id_of(self, name: str) -> int:
        """The number of a name in any spelling; -1 where it is none of these."""
        return self._ids.get(_key(name), NO_NAME)

    def ids_of(self, names: pl.Series) -> Ids:
        """`id_of` for a column, (n,); -1 where it is null too."""
        column = names.cast(pl.String)
        distinct = column.unique().drop_nulls()
        numbers = pl.Series([self.id_of(name) for name in distinct], dtype=pl.Int64)
        return column.replace_strict(distinct, numbers, default=NO_NAME, return_dtype=pl.Int64).to_numpy()

    def said(self, *, supplied: pl.Series, titles: pl.Series) -> Said:
        """What the texts of n products name.

        Args:
            supplied: (n,) string, the supplied brands; null where there is none.
            titles: (n,) string; null where there is none.
        """
        distinct = supplied.cast(pl.String).unique(maintain_order=True).drop_nulls()
        new_names: dict[str, int] = {}
        numbers = [self._number(text, new_names=new_names) for text in distinct]
        names = pl.Series([number for number, _ in numbers], dtype=pl.Int64)
        known = pl.Series([is_known for _, is_known in numbers], dtype=pl.Boolean)
        column = supplied.cast(pl.String)
        ids = column.replace_strict(distinct, names, default=NO_NAME, return_dtype=pl.Int64).to_numpy()
        found = self._meant_by(self._titles.find(titles))
        spelled = _stand_in_titles(column, titles=titles)
        return Said(
            supplied=ids,
            is_known=column.replace_strict(distinct, known, default=False, return_dtype=pl.Boolean).to_numpy(),
            in_title=(ids >= 0) & (spelled | (found.names == ids[:, None]).any(axis=1)),
            titles=found,
            new_names=tuple(new_names),
        )

    def _meant_by(self, found: TitleMatches) -> TitleMatches:
        """The matches with the names that the found ones stand for."""
        names, inside = (np.where(some >= 0, self._meant[some], NO_NAME) for some in (found.names, found.inside))
        # What a longer name stands for is not inside it ("Casio" in "Casio Edifice").
        return TitleMatches(names=names, places=found.places, inside=np.where(inside == names, NO_NAME, inside))

    def _number(self, supplied: str, *, new_names: dict[str, int]) -> tuple[int, bool]:
        """The number of what a supplied string stands for, and whether that was known before."""
        verdict = self.aliases.verdict(supplied)
        if verdict is not None:
            return (NO_NAME if verdict == UNKNOWN else self.id_of(verdict)), True
        name = tidy_spelling(supplied)
        number = self.id_of(name)
        if number != NO_NAME or not name:
            return number, number != NO_NAME
        return len(self.names) + new_names.setdefault(name, len(new_names)), False

    def _spellings(self) -> dict[str, int]:
        """Folded words to numbers, for the search in titles; where two names are spelled alike, a class comes first."""
        found: dict[str, int] = {}
        for number, name in enumerate(self.names):
            if name != UNBRANDED:
                _add(found, name, number=number)
        for row in self.aliases.rows:
            if row.effective not in (UNKNOWN, UNBRANDED):
                _add(found, row.supplied, number=self.id_of(row.effective))
        return found


def _add(found: dict[str, int], name: str, *, number: int) -> None:
    """Add a name's folded words, with and without a legal form at its end."""
    words = words_of(name)
    while words:
        found.setdefault(" ".join(words), number)
        if len(words) == 1 or words[-1] not in LEGAL_SUFFIXES:
            break
        words = words[:-1]


def _key(name: str) -> str:
    """What spellings of one name have in common."""
    return normalise_brand(name) or name


def _stand_in_titles(supplied: pl.Series, *, titles: pl.Series) -> npt.NDArray[np.bool_]:
    """Whether each supplied brand stands in its title by its letters, (n,) bool."""
    distinct = supplied.unique().drop_nulls()
    keys = pl.Series([normalise_brand(text) for text in distinct], dtype=pl.String)
    wanted = supplied.replace_strict(distinct, keys, default=None, return_dtype=pl.String).fill_null("")
    spaced = fold_titles(titles.cast(pl.String).fill_null(""))
    compact = spaced.str.replace_all(" ", "", literal=True)
    rows = pl.DataFrame({"key": wanted, "spaced": spaced, "compact": compact}).with_row_index()
    # Few titles hold the letters at all; only those are looked at word by word.
    likely = rows.filter((pl.col("key") != "") & pl.col("compact").str.contains(pl.col("key"), literal=True))
    stands = np.zeros(len(rows), dtype=np.bool_)
    stands[[row for row, key, *title in likely.iter_rows() if Title(*title).names(key)]] = True
    return stands
