"""Links between brand names: typos, extra words, lines, short forms and abbreviations."""

import re
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import OSA

from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.evidence import Evidence
from prodemb.aliases.vocabulary import (
    AUDIENCES,
    COLOURS,
    COLOURS_OR_NAMES,
    COMPANY_WORDS,
    COUNTRIES,
    FITS,
    GIVEN_NAMES,
    LINE_WORDS,
    MATERIALS,
    OPENING_WORDS,
    PATTERNS,
    SHOP_WORDS,
)

LinkRule = Literal["typo", "extra_word", "line", "short_form", "abbreviation", "article"]

_EXTRA_WORDS = (
    COLOURS | COLOURS_OR_NAMES | PATTERNS | MATERIALS | AUDIENCES | FITS | LINE_WORDS | COUNTRIES | SHOP_WORDS
)
PLAIN_WORDS = GIVEN_NAMES | OPENING_WORDS | COMPANY_WORDS | _EXTRA_WORDS
"""Words that say little about any one brand when a name begins with them."""

_STOP_WORDS = frozenset({"of", "and", "the", "by", "for", "de", "du", "des", "la", "le", "les", "del", "und", "y", "e"})
_MAX_EDITS = 3
_MIN_LINES = 4
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Names:
    """All distinct brand names of a catalog, columnar: row i of each field belongs to name i."""

    keys: list[str]
    words: list[tuple[str, ...]]
    products: list[int]
    index: dict[str, int]


@dataclass(frozen=True, slots=True)
class Link:
    """A name that may belong to another: accepted, or doubtful and left to a person."""

    target: int
    rule: LinkRule
    score: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class LinkScorer:
    """Scores pairs of names by their spelling and their products.

    `masses` are the products of all names that begin with a key, `followers` the number of different words after it,
    `lines` the ones among them with enough products.
    """

    names: Names
    evidence: Evidence
    common: frozenset[str]
    masses: dict[str, int]
    followers: dict[str, int]
    lines: dict[str, frozenset[str]]
    config: BrandsConfig

    def only_extra_words(self, words: tuple[str, ...]) -> bool:
        """Whether all words are ones that partners add to any brand."""
        return all(word in _EXTRA_WORDS or word in COMPANY_WORDS or word in self.common for word in words)

    def stems(self, name: int) -> tuple[str, ...]:
        """The key of a name, whole and then without its extra words at the end."""
        words, stems = self.names.words[name], [self.names.keys[name]]
        for size in range(len(words) - 1, 0, -1):
            if not self.only_extra_words(words[size : size + 1]):
                break
            stems.append("".join(words[:size]))
        return tuple(stems)

    def titles_decide(self, child: int, *, target: int) -> bool | None:
        """True where the child's titles name the target and not the child; False where they name the child alone."""
        own = self.own_share(child) if self.evidence.titles(child) else None
        other = self.evidence.named(child, key=self.names.keys[target])
        if own is None or other is None:
            return None
        if other >= 0.5 and own <= 0.2:
            return True
        return False if own >= 0.5 and other < 0.5 else None

    def own_share(self, name: int) -> float:
        """The share of a name's titles in which it stands itself; 0 where there are none."""
        return self.evidence.named_itself(name, key=self.names.keys[name])

    def overlap(self, child: int, *, parent: int) -> float | None:
        """How much of the child's products are of the parent's kinds, 0 to 1; None where nothing is known."""
        own_words = {
            *self.names.words[child],
            *self.names.words[parent],
            self.names.keys[child],
            self.names.keys[parent],
        }
        return self.evidence.overlap(child, parent=parent, own_words=own_words)

    def ratio(self, child: int, *, parent: int) -> float:
        """How many times the child's products the parent has."""
        return self.names.products[parent] / max(1, self.names.products[child])

    def typo(self, child: int, *, target: int, stems: tuple[str, ...]) -> Link | None:
        """Whether the child, whole or as one of its stems, is a misspelling of the target."""
        names, config = self.names, self.config
        if names.products[target] < names.products[child]:
            return None
        similarity, edits, length = _similarity(stems, wanted=names.keys[target])
        if similarity < config.confirmed_similarity:
            return None
        decided = self.titles_decide(child, target=target)
        named = self.own_share(target)
        if decided and named >= 0.5 and (length > config.short_name or edits == 1):
            return Link(target, "typo", round(0.9 + 0.1 * similarity, 3), accepted=True)
        if (
            edits > 2
            or names.products[target] < config.min_count
            or _digits_of(names, child) != _digits_of(names, target)
        ):
            return None
        ratio, overlap = self.ratio(child, parent=target), self.overlap(child, parent=target)
        if length <= config.short_name or similarity < config.typo_similarity or ratio < config.min_count_ratio:
            return None
        kinds = overlap is not None and overlap >= config.min_overlap
        long_enough = length >= config.min_name_length and not any(
            _only_ending(stem, names.keys[target]) for stem in stems
        )
        unseen = (
            overlap is None and length >= 2 * config.short_name and edits == 1 and ratio >= 2 * config.min_count_ratio
        )
        usually_named = decided is None and overlap is not None and named >= 0.8
        accepted = decided is not False and not usually_named and long_enough and (kinds or unseen)
        score = round(similarity * (0.6 + 0.4 * (overlap or 0.0)), 3)
        if accepted:
            return Link(target, "typo", max(score, 0.75), accepted=True)
        doubtful = edits == 1 and (kinds or overlap is None) and names.keys[child][0] == names.keys[target][0]
        return Link(target, "typo", min(score, 0.74), accepted=False) if doubtful else None

    def has_lines(self, parent: int) -> bool:
        """Whether a name is a brand with lines: several different ones, and products that bear the name alone."""
        key = self.names.keys[parent]
        lines = self.lines.get(key, frozenset())
        return len(lines) >= _MIN_LINES and self.evidence.alone(parent, key=key, lines=lines)

    def is_line(self, child: int, *, parent: int) -> bool:
        """Whether the parent has lines, and the child's products are of kinds that it or one of its lines has too."""
        if not self.has_lines(parent):
            return False
        key = self.names.keys[parent]
        lines = (self.names.index.get(key + line) for line in self.lines[key])
        members = [parent, *(line for line in lines if line is not None and line != child)]
        return any((self.overlap(child, parent=member) or 0.0) >= self.config.min_overlap for member in members)

    def extension(self, child: int, *, parent: int, size: int) -> Link | None:
        """Whether the child is its first `size` words, which are the parent, and something that partners add."""
        names, config = self.names, self.config
        added, key = names.words[child][size:], names.keys[parent]
        rule: LinkRule = "extra_word" if self.only_extra_words(added) else "line"
        if self.titles_decide(child, target=parent) and (len(key) > 2 or self.evidence.opened(child, key=key) >= 0.5):
            return Link(parent, rule, 0.95 if rule == "extra_word" else 0.9, accepted=True)
        overlap, ratio = self.overlap(child, parent=parent), self.ratio(child, parent=parent)
        established = names.products[parent] >= config.min_count
        plain = key in PLAIN_WORDS or key in self.common or len(key) <= 2
        kinds = overlap is None or overlap >= config.min_overlap
        score = round(0.5 + 0.4 * (0.5 if overlap is None else overlap), 3)
        if rule == "line":
            many = ratio >= config.min_count_ratio or (
                2 * ratio >= config.min_count_ratio and self.followers.get(key, 0) >= 5
            )
            numbered = any(word.isdigit() for word in added)
            sure = not plain and not numbered and many and len(key) > 3
            sure = sure and names.products[parent] >= 3 * config.min_count
            unseen = ratio >= 2 * config.min_count_ratio and names.products[parent] >= 10 * config.min_count
            accepted = sure and kinds and (overlap is not None or unseen)
            accepted = accepted or (not plain and len(key) > 3 and self.is_line(child, parent=parent))
            return Link(parent, rule, score, accepted=accepted) if accepted or (established and not plain) else None
        if any(word in COMPANY_WORDS and word not in LINE_WORDS for word in added):
            dominant = ratio >= config.min_count_ratio and names.products[parent] >= 10 * config.min_count
            accepted = established and not plain and (dominant or (overlap is not None and kinds and ratio >= 1))
        else:
            accepted = established and kinds and (not plain or ratio >= config.min_count_ratio) and len(key) > 1
        return Link(parent, rule, score, accepted=accepted) if accepted or established else None

    def contained(self, child: int, *, target: int) -> Link | None:
        """Whether the child is the target behind other words, which its titles leave out ("Robert Zenith")."""
        words, key = self.names.words[child], self.names.keys[target]
        if key not in self.names.keys[child] or len(key) <= self.config.short_name:
            return None
        runs = {"".join(words[start:end]) for start in range(1, len(words)) for end in range(start + 1, len(words) + 1)}
        sure = key in runs and self.own_share(target) >= 0.5 and self.titles_decide(child, target=target)
        return Link(target, "extra_word", 0.9, accepted=True) if sure else None

    def short_form(self, child: int, *, target: int) -> Link | None:
        """Whether the child is the first words of the one longer name that it stands for ("US Polo")."""
        names, config = self.names, self.config
        if names.products[target] < config.min_count or names.products[target] <= names.products[child]:
            return None
        key = names.keys[child]
        own, other = self.evidence.named(child, key=key), self.evidence.named(child, key=names.keys[target])
        if own and other is not None and other >= 0.8:
            return Link(target, "short_form", 0.9, accepted=True)
        alone = self.masses.get(key, 0) - names.products[child] <= names.products[target] * 1.2
        return (
            Link(target, "short_form", 0.5, accepted=False) if alone and self.ratio(child, parent=target) >= 5 else None
        )

    def abbreviation(self, child: int, *, target: int, unique: bool) -> Link | None:
        """Whether the child is the initials of the target, wholly ("UCB") or up to its last word ("T. Hilfiger")."""
        if self.names.products[target] < self.config.min_count:
            return None
        swapped = self.evidence.named(target, key=self.names.keys[child])
        if self.titles_decide(child, target=target) or (swapped is not None and swapped >= 0.5):
            return Link(target, "abbreviation", 0.95, accepted=True)
        overlap = self.overlap(child, parent=target)
        many = len(self.names.keys[child]) >= 3 and self.names.products[target] >= 3 * self.config.min_count
        sure = unique and many and overlap is not None and overlap >= 0.8 and self.ratio(child, parent=target) >= 2
        score = round(0.4 + 0.4 * (overlap or 0.0), 3)
        return Link(target, "abbreviation", score, accepted=sure) if unique and (overlap or 0.0) >= 0.5 else None

    def article(self, child: int, *, target: int) -> Link | None:
        """Whether the two differ only by a leading "the"."""
        if self.names.products[target] < self.names.products[child]:
            return None
        overlap = self.overlap(child, parent=target)
        sure = overlap is None or overlap >= self.config.min_overlap
        return Link(target, "article", 0.9 if sure else 0.6, accepted=sure)


def _similarity(stems: tuple[str, ...], *, wanted: str) -> tuple[float, int, int]:
    """The best similarity of a stem with the wanted key: (similarity, edits, shorter length)."""
    best = (0.0, 99, 0)
    for stem in stems:
        if stem == wanted or abs(len(stem) - len(wanted)) > _MAX_EDITS:
            continue
        edits = OSA.distance(stem, wanted, score_cutoff=_MAX_EDITS)
        if edits <= _MAX_EDITS:
            longer, shorter = max(len(stem), len(wanted)), min(len(stem), len(wanted))
            best = max(best, (1 - edits / longer, edits, shorter))
    return best


def _only_ending(stem: str, wanted: str) -> bool:
    """Whether one is the other and one letter more: "Element" and "Elements" are two names as often as one."""
    return abs(len(stem) - len(wanted)) == 1 and (stem.startswith(wanted) or wanted.startswith(stem))


def _digits_of(names: Names, name: int) -> list[str]:
    """The numbers in a name's key; two names with different numbers are two names."""
    return _DIGITS.findall(names.keys[name])


def short_keys(words: tuple[str, ...]) -> tuple[str, ...]:
    """The keys under which a name of several words may be shortened: its initials, and initials before the last word.

    Small words are left out: "United Colors of Benetton" is "ucb" and "ucbenetton"; "Hugo Boss" is "hb" and "hboss".
    """
    significant = [word for word in words if word not in _STOP_WORDS]
    if len(significant) < 2:
        return ()
    letters = "".join(word[0] for word in significant)
    return (letters, letters[:-1] + significant[-1])
