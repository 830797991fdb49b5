"""All the names that can be the brand of a product, and which of them its supplied brand and its title name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.evidence import Title, fold_titles
from prodemb.aliases.junk import UNBRANDED, UNKNOWN
from prodemb.aliases.normalise import normalise_brand, tidy_spelling
from prodemb.aliases.table import AliasTable
from prodemb.aliases.titles import TitleMatches, TitleNames
from prodemb.aliases.vocabulary import LEGAL_SUFFIXES

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
    has_title: npt.NDArray[np.bool_]
    """(n,)."""
    titles: TitleMatches
    """The names in the titles."""
    new_names: tuple[str, ...] = field(default=())
    """Names of supplied strings that nobody has seen before; their numbers follow those of the known names."""

    def is_contradicted(self) -> npt.NDArray[np.bool_]:
        """(n,) whether the title names other brands and not the supplied one."""
        return (self.supplied >= 0) & ~self.in_title & np.asarray((self.titles.names >= 0).any(axis=1))


class BrandNames:
    """The names of brands, numbered: the head's classes, labels too rare for it, UNBRANDED, other canonical brands."""

    def __init__(
        self,
        classes: Sequence[str],
        *,
        aliases: AliasTable,
        redirects: Mapping[str, str],
        rare: Sequence[str] = (),
    ) -> None:
        """Number the names; of several in spellings of one key the first.

        Args:
            classes: the head's, in its order.
            rare: labels of so few products that the head has no class for them.
            aliases: what supplied strings stand for.
            redirects: names that stand for others among these, as `find_redirects` learns them.
        """
        self.aliases = aliases
        self.rare = tuple(rare)
        self.num_classes = len(classes)
        self.names = list(classes)
        self._own = {_key(name): number for number, name in reversed(list(enumerate(classes)))}
        for name in (*rare, UNBRANDED, *sorted({row.effective for row in aliases.rows} - {UNKNOWN, UNBRANDED})):
            if self._own.setdefault(_key(name), len(self.names)) == len(self.names):
                self.names.append(name)
        numbers = {self.own_id(name): self.own_id(meant) for name, meant in redirects.items()}
        self._meant = np.arange(len(self.names))
        self._meant[[name for name in numbers if name != NO_NAME]] = [
            name if meant == NO_NAME else meant for name, meant in numbers.items() if name != NO_NAME
        ]
        self.redirects = {
            self.names[name]: self.names[meant] for name, meant in enumerate(self._meant.tolist()) if name != meant
        }
        self._titles = TitleNames(self._spellings())

    def redirected(self, redirects: Mapping[int, int]) -> "BrandNames":
        """The same names, some of which stand for others; numbers to numbers."""
        named = {self.names[name]: self.names[meant] for name, meant in redirects.items()}
        return BrandNames(self.names[: self.num_classes], aliases=self.aliases, redirects=named, rare=self.rare)

    def own_id(self, name: str) -> int:
        """The number of a name in any spelling, itself; -1 where it is none of these."""
        return self._own.get(_key(name), NO_NAME)

    def own_ids(self, names: pl.Series) -> Ids:
        """`own_id` for a column, (n,); -1 where it is null too. Truth is told in these: nothing learned is in them."""
        column = names.cast(pl.String)
        distinct = column.unique().drop_nulls()
        numbers = pl.Series([self.own_id(name) for name in distinct], dtype=pl.Int64)
        return column.replace_strict(distinct, numbers, default=NO_NAME, return_dtype=pl.Int64).to_numpy()

    def id_of(self, name: str) -> int:
        """The number of what a name stands for; -1 where it is none of these."""
        number = self.own_id(name)
        return number if number == NO_NAME else int(self._meant[number])

    def ids_with(self, names: pl.Series, *, new_names: Sequence[str]) -> Ids:
        """`own_ids` of true brands, among them those that only some supplied strings name (`Said.new_names`)."""
        extra = {_key(name): len(self.names) + place for place, name in enumerate(new_names)}
        found = self.own_ids(names)
        rows = np.flatnonzero(found == NO_NAME)
        ids = found.copy()
        ids[rows] = [extra.get(_key(name), NO_NAME) if name else NO_NAME for name in names.gather(rows)]
        return ids

    def said(self, *, supplied: pl.Series, titles: pl.Series) -> Said:
        """What the texts of n products name.

        Args:
            supplied: (n,) string, the supplied brands; null where there is none.
            titles: (n,) string; null where there is none.
        """
        distinct = supplied.cast(pl.String).unique(maintain_order=True).drop_nulls()
        new_names: dict[str, tuple[int, str]] = {}
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
            has_title=(titles.cast(pl.String).fill_null("").str.strip_chars() != "").to_numpy(),
            titles=found,
            new_names=tuple(name for _, name in new_names.values()),
        )

    def _meant_by(self, found: TitleMatches) -> TitleMatches:
        """The matches with the names that the found ones stand for."""
        names, inside = (np.where(some >= 0, self._meant[some], NO_NAME) for some in (found.names, found.inside))
        earlier = np.tril(np.ones((names.shape[1], names.shape[1]), dtype=np.bool_), k=-1)
        names[((names[:, :, None] == names[:, None, :]) & earlier).any(axis=2)] = NO_NAME
        # What a longer name stands for is not inside it ("Casio" in "Casio Edifice").
        return TitleMatches(names=names, places=found.places, inside=np.where(inside == names, NO_NAME, inside))

    def _number(self, supplied: str, *, new_names: dict[str, tuple[int, str]]) -> tuple[int, bool]:
        """The number of what a supplied string stands for, and whether that was known before."""
        verdict = self.aliases.verdict(supplied)
        if verdict is not None:
            return (NO_NAME if verdict == UNKNOWN else self.id_of(verdict)), True
        name = tidy_spelling(supplied)
        number = self.id_of(name)
        if number != NO_NAME or not name:
            return number, number != NO_NAME
        number, _ = new_names.setdefault(_key(name), (len(self.names) + len(new_names), name))
        return number, False

    def _spellings(self) -> dict[str, int]:
        """Folded words to numbers, for the search in titles; where two names are spelled alike, the first."""
        known = [(name, number) for number, name in enumerate(self.names) if name != UNBRANDED]
        numbers = {name: self.own_id(name) for name in {row.effective for row in self.aliases.rows}}
        known += [
            (row.supplied, numbers[row.effective])
            for row in self.aliases.rows
            if row.effective not in (UNKNOWN, UNBRANDED)
        ]
        folded = fold_titles(pl.Series([text for text, _ in known], dtype=pl.String))
        found: dict[str, int] = {}
        for words, (_, number) in zip(folded, known, strict=True):
            for spelled in _with_and_without_legal_form(words):
                found.setdefault(spelled, number)
        return found


def _with_and_without_legal_form(words: str) -> Iterator[str]:
    """Folded words, and the same without the legal forms at their end."""
    while words:
        yield words
        words, _, last = words.rpartition(" ")
        if last not in LEGAL_SUFFIXES:
            break


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
