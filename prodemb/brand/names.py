"""The names that can be the brand of a product, and which of them its supplied brand and its title mention."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.evidence import Title, fold_titles
from prodemb.aliases.junk import UNBRANDED, UNKNOWN
from prodemb.aliases.normalise import normalise_brand, tidy_spelling
from prodemb.aliases.table import AliasTable
from prodemb.aliases.titles import TitleMatches, TitleNames
from prodemb.aliases.vocabulary import LEGAL_SUFFIXES

NameIds = npt.NDArray[np.int64]
"""Indices into `BrandNames.names`; -1 where there is none."""

NO_NAME = -1


@dataclass(frozen=True, kw_only=True)
class Mentions:
    """The names that the supplied brand and the title of n products mention."""

    supplied: NameIds
    """(n,) the name that the supplied brand stands for; -1 where it is absent or junk."""
    is_known: npt.NDArray[np.bool_]
    """(n,) whether that name is in the alias table or a class."""
    in_title: npt.NDArray[np.bool_]
    """(n,) whether the supplied brand is in the title, in its own or another spelling."""
    has_title: npt.NDArray[np.bool_]
    """(n,)."""
    titles: TitleMatches
    """The names in the titles."""
    new_names: tuple[str, ...] = field(default=())
    """Names of supplied strings that are not known; their ids follow those of the known names."""

    def without(self, hidden: NameIds) -> "Mentions":
        """The same where one name a product, (n,), is named nowhere."""
        titles, gone = self.titles, hidden[:, None]
        names, longer = (np.where(ids == gone, NO_NAME, ids) for ids in (titles.names, titles.longer))
        supplied = np.where(self.supplied == hidden, NO_NAME, self.supplied)
        there = supplied != NO_NAME
        return replace(
            self,
            supplied=supplied,
            is_known=self.is_known & there,
            in_title=self.in_title & there,
            titles=replace(titles, names=names, longer=longer),
        )

    def is_contradicted(self) -> npt.NDArray[np.bool_]:
        """(n,) whether the title names other brands and not the supplied one."""
        return (self.supplied >= 0) & ~self.in_title & np.asarray((self.titles.names >= 0).any(axis=1))


class BrandNames:
    """The ids of brand names: the head's classes, labels too rare for it, UNBRANDED, then other canonical brands."""

    def __init__(
        self,
        classes: Sequence[str],
        *,
        aliases: AliasTable,
        redirects: Mapping[str, str],
        rare: Sequence[str] = (),
    ) -> None:
        """Assign ids; names with one comparison key share the id of the first.

        Args:
            classes: the head's, in its order.
            aliases: what supplied strings stand for.
            redirects: names that stand for others among these, as learned by `find_redirects`.
            rare: labels of so few products that the head has no class for them.
        """
        self.aliases = aliases
        self.rare = tuple(rare)
        self.num_classes = len(classes)
        self.names = list(classes)
        self._ids = {_key(name): number for number, name in reversed(list(enumerate(classes)))}
        for name in (*rare, UNBRANDED, *sorted({row.effective for row in aliases.rows} - {UNKNOWN, UNBRANDED})):
            if self._ids.setdefault(_key(name), len(self.names)) == len(self.names):
                self.names.append(name)
        targets = {self.id_of(name): self.id_of(target) for name, target in redirects.items()}
        self._resolved = np.arange(len(self.names))
        self._resolved[[name for name in targets if name != NO_NAME]] = [
            name if target == NO_NAME else target for name, target in targets.items() if name != NO_NAME
        ]
        self.redirects = {
            self.names[name]: self.names[target]
            for name, target in enumerate(self._resolved.tolist())
            if name != target
        }
        self._titles = TitleNames(self._spellings())

    def redirected(self, redirects: Mapping[int, int]) -> "BrandNames":
        """The same names, some of which stand for others; ids to ids."""
        named = {self.names[name]: self.names[target] for name, target in redirects.items()}
        return BrandNames(self.names[: self.num_classes], aliases=self.aliases, redirects=named, rare=self.rare)

    def id_of(self, name: str) -> int:
        """The id of a name in any spelling, before redirects; -1 where it is unknown."""
        return self._ids.get(_key(name), NO_NAME)

    def ids_of(self, names: pl.Series) -> NameIds:
        """`id_of` for a column, (n,); -1 also where it is null. For true brands: nothing learned is applied."""
        column = names.cast(pl.String)
        distinct = column.unique().drop_nulls()
        numbers = pl.Series([self.id_of(name) for name in distinct], dtype=pl.Int64)
        return column.replace_strict(distinct, numbers, default=NO_NAME, return_dtype=pl.Int64).to_numpy()

    def resolved_id(self, name: str) -> int:
        """The id of what a name stands for, after redirects; -1 where it is unknown."""
        number = self.id_of(name)
        return number if number == NO_NAME else int(self._resolved[number])

    def ids_with_new(self, names: pl.Series, *, new_names: Sequence[str]) -> NameIds:
        """`ids_of` that also knows `Mentions.new_names`."""
        extra = {_key(name): len(self.names) + offset for offset, name in enumerate(new_names)}
        found = self.ids_of(names)
        rows = np.flatnonzero(found == NO_NAME)
        ids = found.copy()
        ids[rows] = [extra.get(_key(name), NO_NAME) if name else NO_NAME for name in names.gather(rows)]
        return ids

    def mentions(self, *, supplied: pl.Series, titles: pl.Series) -> Mentions:
        """The names that the texts of n products mention.

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
        found = self._resolve(self._titles.find(titles))
        spelled = _stand_in_titles(column, titles=titles)
        return Mentions(
            supplied=ids,
            is_known=column.replace_strict(distinct, known, default=False, return_dtype=pl.Boolean).to_numpy(),
            in_title=(ids >= 0) & (spelled | (found.names == ids[:, None]).any(axis=1)),
            has_title=(titles.cast(pl.String).fill_null("").str.strip_chars() != "").to_numpy(),
            titles=found,
            new_names=tuple(name for _, name in new_names.values()),
        )

    def _resolve(self, found: TitleMatches) -> TitleMatches:
        """The matches with each name replaced by what it stands for."""
        names, longer = (np.where(some >= 0, self._resolved[some], NO_NAME) for some in (found.names, found.longer))
        earlier = np.tril(np.ones((names.shape[1], names.shape[1]), dtype=np.bool_), k=-1)
        names[((names[:, :, None] == names[:, None, :]) & earlier).any(axis=2)] = NO_NAME
        # A name is no prefix of a longer one that stands for it ("Casio" in "Casio Edifice").
        longer = np.where(longer == names, NO_NAME, longer)
        return TitleMatches(names=names, offsets=found.offsets, longer=longer)

    def _number(self, supplied: str, *, new_names: dict[str, tuple[int, str]]) -> tuple[int, bool]:
        """The id of what a supplied string stands for, and whether it was known."""
        verdict = self.aliases.verdict(supplied)
        if verdict is not None:
            return (NO_NAME if verdict == UNKNOWN else self.resolved_id(verdict)), True
        name = tidy_spelling(supplied)
        number = self.resolved_id(name)
        if number != NO_NAME or not name:
            return number, number != NO_NAME
        number, _ = new_names.setdefault(_key(name), (len(self.names) + len(new_names), name))
        return number, False

    def _spellings(self) -> dict[str, int]:
        """Folded words to ids, for the search in titles; of two names with one spelling, the first."""
        known = [(name, number) for number, name in enumerate(self.names) if name != UNBRANDED]
        numbers = {name: self.id_of(name) for name in {row.effective for row in self.aliases.rows}}
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
    """The comparison key of a name."""
    return normalise_brand(name) or name


def _stand_in_titles(supplied: pl.Series, *, titles: pl.Series) -> npt.NDArray[np.bool_]:
    """Whether each supplied brand is in its title by its letters, (n,) bool."""
    distinct = supplied.unique().drop_nulls()
    keys = pl.Series([normalise_brand(text) for text in distinct], dtype=pl.String)
    wanted = supplied.replace_strict(distinct, keys, default=None, return_dtype=pl.String).fill_null("")
    spaced = fold_titles(titles.cast(pl.String).fill_null(""))
    compact = spaced.str.replace_all(" ", "", literal=True)
    rows = pl.DataFrame({"key": wanted, "spaced": spaced, "compact": compact}).with_row_index()
    # Few titles contain the letters at all; only those are compared word by word.
    likely = rows.filter((pl.col("key") != "") & pl.col("compact").str.contains(pl.col("key"), literal=True))
    stands = np.zeros(len(rows), dtype=np.bool_)
    stands[[row for row, key, *title in likely.iter_rows() if Title(*title).names(key)]] = True
    return stands
