"""Brand names that stand in titles: whole words, however they are cased, accented or punctuated, the longest first."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.brands.evidence import fold_titles

MAX_FOUND = 4
"""Names that are kept of one title, from its start."""

_LONGEST_NAME = 6
"""Words of the longest name that is looked for."""


@dataclass(frozen=True, kw_only=True)
class TitleMatches:
    """The names found in n titles, in the order in which they stand there."""

    names: npt.NDArray[np.int64]
    """(n, `MAX_FOUND`) the number of each name, -1 where there are fewer; each name once."""
    places: npt.NDArray[np.int64]
    """(n, `MAX_FOUND`) how many words stand before it, -1 where there are fewer."""


class TitleNames:
    """A dictionary of brand names to look for in titles."""

    def __init__(self, names: Mapping[str, int]) -> None:
        """Look for these names.

        Args:
            names: folded words joined by blanks, as `fold_titles` gives them, to the number of what they name.
        """
        self._names = dict(names)
        self._lengths: dict[str, tuple[int, ...]] = {}
        for name in self._names:
            first, _, rest = name.partition(" ")
            length = rest.count(" ") + 2 if rest else 1
            known = self._lengths.get(first, ())
            if length <= _LONGEST_NAME and length not in known:
                self._lengths[first] = tuple(sorted((*known, length), reverse=True))

    def find(self, titles: pl.Series) -> TitleMatches:
        """The names in each title; of two that begin at one word the longer one, and none inside another.

        Args:
            titles: (n,) string, null where there is none.
        """
        distinct = titles.cast(pl.String).fill_null("").alias("title")
        unique = distinct.unique(maintain_order=True)
        names = np.full((len(unique), MAX_FOUND), -1, dtype=np.int64)
        places = np.full((len(unique), MAX_FOUND), -1, dtype=np.int64)
        for row, folded in enumerate(fold_titles(unique)):
            found = self._find(folded.split())
            for column, (name, place) in enumerate(found.items()):
                names[row, column], places[row, column] = name, place
        rows = distinct.replace_strict(unique, pl.Series(range(len(unique))), return_dtype=pl.Int64).to_numpy()
        return TitleMatches(names=names[rows], places=places[rows])

    def _find(self, words: list[str]) -> dict[int, int]:
        """Names with their first places, at most `MAX_FOUND`."""
        found: dict[int, int] = {}
        place = 0
        while place < len(words):
            length = self._match(words, place)
            if length:
                name = self._names[" ".join(words[place : place + length])]
                found.setdefault(name, place)
                if len(found) == MAX_FOUND:
                    break
            place += max(1, length)
        return found

    def _match(self, words: list[str], place: int) -> int:
        """How many words the longest name at this place has; 0 where there is none."""
        for length in self._lengths.get(words[place], ()):
            if place + length <= len(words) and " ".join(words[place : place + length]) in self._names:
                return length
        return 0
