"""Brand names in titles: whole words, ignoring case, accents and punctuation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.evidence import fold_titles

MAX_FOUND = 4
"""Names kept per title, from its start."""

_LONGEST_NAME = 6
"""Words of the longest name that is searched for."""


@dataclass(frozen=True, kw_only=True)
class TitleMatches:
    """The names found in n titles, in their order there."""

    names: npt.NDArray[np.int64]
    """(n, `MAX_FOUND`) the number of each name, -1 where there are fewer; each name once."""
    offsets: npt.NDArray[np.int64]
    """(n, `MAX_FOUND`) how many words come before it, -1 where there are fewer."""
    longer: npt.NDArray[np.int64]
    """(n, `MAX_FOUND`) the longer name that it begins ("Lee" in "Lee Cooper"), -1 where there is none."""

    def standalone(self) -> npt.NDArray[np.int64]:
        """(n, `MAX_FOUND`) the names that begin no longer one, -1 for the others."""
        return np.where(self.longer < 0, self.names, -1)


class TitleNames:
    """A dictionary of brand names to search for in titles."""

    def __init__(self, names: Mapping[str, int]) -> None:
        """Search for these names.

        Args:
            names: folded words joined by spaces, as `fold_titles` returns them, to the index of the name.
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
        """The names in each title; at one position the longest first, then the names that it begins with.

        Args:
            titles: (n,) string, null where there is none.
        """
        distinct = titles.cast(pl.String).fill_null("").alias("title")
        unique = distinct.unique(maintain_order=True)
        found = np.full((3, len(unique), MAX_FOUND), -1, dtype=np.int64)
        for row, folded in enumerate(fold_titles(unique)):
            matches = self._find(folded.split())[:MAX_FOUND]
            if matches:
                found[:, row, : len(matches)] = np.array(matches).T
        rows = distinct.replace_strict(unique, pl.Series(range(len(unique))), return_dtype=pl.Int64).to_numpy()
        names, offsets, longer = found[:, rows]
        return TitleMatches(names=names, offsets=offsets, longer=longer)

    def _find(self, words: list[str]) -> list[tuple[int, int, int]]:
        """Each name once, with its offset and the longer name that it begins."""
        found: dict[int, tuple[int, int, int]] = {}
        offset = 0
        while offset < len(words) and len(found) < MAX_FOUND:
            longest, length = -1, 0
            for size in self._lengths.get(words[offset], ()):
                number = self._names.get(" ".join(words[offset : offset + size]))
                if number is None or offset + size > len(words):
                    continue
                if longest < 0:
                    longest, length = number, size
                    # A name that occurs on its own somewhere is not part of another.
                    if found.get(number, (0, 0, -1))[2] >= 0:
                        del found[number]
                    found.setdefault(number, (number, offset, -1))
                elif number != longest:
                    found.setdefault(number, (number, offset, longest))
            offset += max(1, length)
        return list(found.values())
