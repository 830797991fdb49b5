"""Evidence for merging two brand names, from their products: names in titles, and the overlap of product kinds."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import polars as pl
from rapidfuzz.distance import OSA

from prodemb.aliases.normalise import words_of

_CACHED_NAMES = 20_000
_CACHED_TITLES = 400_000
_SPREAD_NAMES = 20_000
_CATEGORY_DEPTH = 2
_LINE_EDITS = 2
_NOT_PLAIN = (
    r"[^\x00-\x7F]|[A-Za-z]\.[A-Za-z]|&.*;|\((?i:r|tm|c|sm)\)"
    r"|['`]['`]|^['`]|[^A-Za-z0-9]['`]|['`][^A-Za-z0-9]"
)


@dataclass(frozen=True, slots=True)
class Title:
    """The folded words of one title; it contains a name that fills whole words, however they are spaced."""

    spaced: str
    compact: str

    @property
    def words(self) -> list[str]:
        """The folded words."""
        return self.spaced.split()

    def names(self, key: str) -> bool:
        """Whether the title contains the name with this key."""
        if not key or key not in self.compact:
            return False
        words = self.words
        bounds = {0, *accumulate(map(len, words))}
        start = self.compact.find(key)
        while start >= 0:
            if start in bounds and start + len(key) in bounds:
                return True
            start = self.compact.find(key, start + 1)
        return False

    def opens_with(self, key: str) -> bool:
        """Whether the title begins with the name with this key."""
        return self.compact.startswith(key) and len(key) in set(accumulate(map(len, self.words)))


def fold_titles(titles: pl.Series) -> pl.Series:
    """The folded words of each text, joined by spaces: `words_of` for a whole column, plain ASCII in one go."""
    plain = titles.to_frame("title").select(
        pl.col("title")
        .str.to_lowercase()
        .str.replace_all(r"['`]", "")
        .str.replace_all(r"[^a-z0-9]+", " ")
        .str.strip_chars(" ")
        .str.replace_all(r"(?: and)+ ", " ")
    )["title"]
    hard = titles.str.contains(_NOT_PLAIN).fill_null(False).arg_true()
    folded = pl.Series([" ".join(words_of(text)) for text in titles.gather(hard)], dtype=pl.String)
    return plain.scatter(hard, folded) if len(hard) else plain


class Evidence:
    """The sampled products of every name.

    Args:
        examples: one row per product with name (index of the name, ascending), title and category.
        num_names: how many names there are.
    """

    def __init__(self, examples: pl.DataFrame, *, num_names: int) -> None:
        self._spaced = fold_titles(examples["title"])
        self._compact = self._spaced.str.replace_all(" ", "", literal=True)
        self._categories = examples["category"]
        self._category_words = fold_titles(self._categories)
        self._starts: list[int] = np.searchsorted(examples["name"].to_numpy(), np.arange(num_names + 1)).tolist()
        self._titles: dict[int, tuple[Title, ...]] = {}
        self._num_cached = 0
        self._own = np.full(num_names, np.nan)
        self._kinds: dict[int, tuple[tuple[str, ...], ...]] = {}
        self._words: dict[int, frozenset[str]] = {}

    def titles(self, name: int) -> tuple[Title, ...]:
        """The folded titles of a name's sampled products."""
        found = self._titles.get(name)
        if found is None:
            if self._num_cached >= _CACHED_TITLES:
                self._titles.clear()
                self._num_cached = 0
            start, length = self._starts[name], self._starts[name + 1] - self._starts[name]
            spaced, compact = self._spaced.slice(start, length), self._compact.slice(start, length)
            found = tuple(Title(*pair) for pair in zip(spaced.to_list(), compact.to_list(), strict=True) if pair[0])
            self._titles[name] = found
            self._num_cached += len(found)
        return found

    def named(self, name: int, *, key: str) -> float | None:
        """The share of a name's titles that contain the name with `key`; None where there are no titles."""
        titles = self.titles(name)
        return sum(key in title.compact and title.names(key) for title in titles) / len(titles) if titles else None

    def named_itself(self, name: int, *, key: str) -> float:
        """`named` with the name's own key, cached; 0 where there are no titles."""
        if np.isnan(self._own[name]):
            self._own[name] = self.named(name, key=key) or 0.0
        return float(self._own[name])

    def opened(self, name: int, *, key: str) -> float:
        """The share of a name's titles that begin with `key` as whole words; 0 where there are none."""
        titles = self.titles(name)
        return sum(title.opens_with(key) for title in titles) / len(titles) if titles else 0.0

    def alone(self, name: int, *, key: str, lines: frozenset[str]) -> bool:
        """Whether most of a name's titles begin with `key` and continue with none of its lines."""
        titles = self.titles(name)
        bare = [title for title in titles if title.opens_with(key)]
        lined = [title for title in bare if any(title.opens_with(key + line) for line in lines)]
        return 2 * (len(bare) - len(lined)) > len(titles)

    def overlap(self, child: int, *, parent: int, own_words: Iterable[str]) -> float | None:
        """How much of the child's products are of kinds that the parent has too, 0 to 1; None where nothing is known.

        The larger of two shares: of the child's supplied categories that the parent has (the first two levels; half a
        point where only the first agrees), and of the words of its titles and categories, without the names
        themselves. Each partner names categories in its own way, so neither share alone is enough.
        """
        mine, theirs = self._kinds_of(child), self._kinds_of(parent)
        shares: list[float] = []
        if mine and theirs:
            exact, tops = set(theirs), {kind[0] for kind in theirs}
            shares.append(sum(1.0 if kind in exact else 0.5 * (kind[0] in tops) for kind in mine) / len(mine))
        known = self._words_of(parent)
        words = self._words_of(child) - set(own_words)
        if words and known:
            shares.append(len(words & known) / len(words))
        return max(shares, default=None)

    def _words_of(self, name: int) -> frozenset[str]:
        """The words of a name's titles and category paths, without numbers."""
        found = self._words.get(name)
        if found is None:
            if len(self._words) >= _CACHED_NAMES:
                self._words.clear()
            start, length = self._starts[name], self._starts[name + 1] - self._starts[name]
            paths = {path for path in self._category_words.slice(start, length).to_list() if path}
            texts = [*paths, *(title.spaced for title in self.titles(name))]
            found = frozenset(word for text in texts for word in text.split() if not word.isdigit())
            self._words[name] = found
        return found

    def _kinds_of(self, name: int) -> tuple[tuple[str, ...], ...]:
        """The first levels of each sampled product's supplied category path."""
        if name not in self._kinds:
            if len(self._kinds) >= _CACHED_NAMES:
                self._kinds.clear()
            start, length = self._starts[name], self._starts[name + 1] - self._starts[name]
            found = self._categories.slice(start, length).to_list()
            paths = [text.split(" > ")[:_CATEGORY_DEPTH] for text in found if text]
            self._kinds[name] = tuple(tuple(level.strip().casefold() for level in path) for path in paths)
        return self._kinds[name]


def spread_words(
    evidence: Evidence, *, words: Sequence[tuple[str, ...]], min_brands: int, share: float
) -> frozenset[str]:
    """The words in the titles of many unrelated brands, which name none of them.

    Only names that are in most of their own titles count; a misspelling would count its own brand as a word.

    Args:
        evidence: the sampled products.
        words: the folded words of each name; names with the same first word count as one brand.
        min_brands: the smallest number of brands for a word to be common.
        share: the smallest share of all brands for a word to be common.
    """
    stride = max(1, len(words) // _SPREAD_NAMES)
    brands_of: dict[str, set[int]] = defaultdict(set)
    roots: dict[str, int] = {}
    for name in range(0, len(words), stride):
        titles = evidence.titles(name)
        if len(titles) < 2 or (evidence.named(name, key="".join(words[name])) or 0.0) < 0.5:
            continue
        root = roots.setdefault(words[name][0], len(roots))
        seen = Counter(word for title in titles for word in set(title.words))
        # A word in one title alone may be the name of the true brand, where the supplied one is wrong.
        for word in {word for word, count in seen.items() if count > 1} - set(words[name]):
            brands_of[word].add(root)
    enough = max(min_brands, share * len(roots))
    return frozenset(word for word, brands in brands_of.items() if len(brands) >= enough and not word.isdigit())


def prefix_products(words: Sequence[tuple[str, ...]], *, products: Sequence[int]) -> tuple[Counter[str], Counter[str]]:
    """For each run of first words (as a key): the products of all names that begin so, and how many words follow."""
    masses: Counter[str] = Counter()
    following: dict[str, set[str]] = defaultdict(set)
    for name, count in zip(words, products, strict=True):
        key = ""
        for position, word in enumerate(name):
            key += word
            masses[key] += count
            if position + 1 < len(name):
                following[key].add(name[position + 1])
    return masses, Counter({key: len(nexts) for key, nexts in following.items()})


def lines_of(words: Sequence[tuple[str, ...]], *, products: Sequence[int], min_count: int) -> dict[str, frozenset[str]]:
    """For each run of first words (as a key) the words that follow it, as lines follow a brand's name.

    Only words with at least `min_count` products of names that begin so, and not within two edits of a more frequent
    one, which they would misspell. Keys with a single such word are left out: "Lee Cooper" is no line of "Lee".
    """
    following: dict[str, Counter[str]] = defaultdict(Counter)
    for name, count in zip(words, products, strict=True):
        key = ""
        for word, after in pairwise(name):
            key += word
            following[key][after] += count
    found: dict[str, frozenset[str]] = {}
    for key, nexts in following.items():
        frequent = sorted(
            (word for word, count in nexts.items() if count >= min_count), key=lambda word: (-nexts[word], word)
        )
        different: list[str] = []
        for word in frequent if len(frequent) > 1 else ():
            if all(OSA.distance(word, other, score_cutoff=_LINE_EDITS) > _LINE_EDITS for other in different):
                different.append(word)
        if len(different) > 1:
            found[key] = frozenset(different)
    return found
