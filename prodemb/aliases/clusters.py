"""Clusters of brand names: which pairs to look at, which link each name takes, and where its cluster's root is."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.evidence import Evidence, Title, lines_of, prefix_products, spread_words
from prodemb.aliases.links import PLAIN_WORDS, Judge, Link, Names, short_keys
from prodemb.aliases.neighbours import Neighbours, TextVectors, key_vectors

Progress = Callable[[int, int], None]
"""Called with the names that are done and all there are."""

_AT_ONCE = 4096
_TITLES_READ = 8
_OPENING_WORDS = 6
_LEAST_COSINE = 0.5
_SPREAD_LEAST = 8
_MOST_SHARING = 3
_SELLER_TITLES = 10
_SELLER_SHARES = ((5, 0.6), (10, 0.4))
_SELLER_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name belongs: its cluster's root, the link that decided, and a root that it may belong to."""

    root: int
    link: Link | None = None
    proposed: int | None = None


def place_names(
    names: Names,
    *,
    undecided: Iterable[int],
    evidence: Evidence,
    config: BrandsConfig,
    vectors: TextVectors | None = None,
    progress: Progress | None = None,
) -> dict[int, Place]:
    """Find the root of every undecided name's cluster; all other names are roots and stay so.

    A cluster is a star: each member is linked to its root directly. Where the best link of a name leads to a name
    that itself belongs elsewhere, the two must fit each other too, or the name stays apart and is left to a person.

    Args:
        undecided: the names to place.
        vectors: a vector for each name, zeros where there is none; names with like vectors are looked at too.
        progress: called every few thousand names.
    """
    masses, followers = prefix_products(names.words, products=names.products)
    common = spread_words(evidence, words=names.words, least=_SPREAD_LEAST, share=config.common_word)
    lines = lines_of(names.words, products=names.products, least=config.established)
    judge = Judge(names, evidence, common, masses, followers, lines, config)
    open_names = sorted(undecided)
    candidates = _Candidates(judge, vectors=vectors)
    links: dict[int, Link] = {}
    for start in range(0, len(open_names), _AT_ONCE):
        some = open_names[start : start + _AT_ONCE]
        for name, alike in zip(some, candidates.written_alike(some), strict=True):
            link = _best_link(name, judge=judge, alike=alike, candidates=candidates)
            if link is not None:
                links[name] = link
        if progress is not None:
            progress(start + len(some), len(open_names))
    accepted = {name: link for name, link in links.items() if link.accepted}
    roots = {name: _root_of(name, links=accepted, names=names) for name in open_names}
    places: dict[int, Place] = {}
    for name in open_names:
        link, root = links.get(name), roots[name]
        if link is None or (root == name and link.accepted):
            places[name] = Place(name)
        elif not link.accepted:
            proposed = roots.get(link.target, link.target)
            places[name] = Place(name, link, proposed) if proposed != name else Place(name)
        elif root == link.target or _fits(name, root=root, judge=judge, middle=accepted.get(link.target)):
            places[name] = Place(root, link)
        else:
            places[name] = Place(name, link, root)
    return places


class _Candidates:
    """Which names a name may be linked to, by kind of link."""

    def __init__(self, judge: Judge, *, vectors: TextVectors | None) -> None:
        self._judge = judge
        names, least = judge.names, judge.config.established
        self._targets = [name for name, products in enumerate(names.products) if products >= least]
        self._written = Neighbours(key_vectors([names.keys[name] for name in self._targets]))
        self._vectors = vectors
        self._told = [name for name in self._targets if vectors is not None and vectors[name].any()]
        self._meant = None if vectors is None else Neighbours(vectors[self._told].astype(np.float32))
        self.longer: dict[str, list[int]] = defaultdict(list)
        self.by_initials: dict[str, list[int]] = defaultdict(list)
        for name in sorted(self._targets, key=lambda name: (-names.products[name], names.keys[name])):
            words = names.words[name]
            for size in range(1, len(words)):
                shorter = self.longer["".join(words[:size])]
                if len(shorter) < _MOST_SHARING:
                    shorter.append(name)
            for short in short_keys(words):
                self.by_initials[short].append(name)

    def written_alike(self, some: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """For each name the established names whose spelling or vector is like its own, or that open its titles."""
        config = self._judge.config
        queries = [(name, stem) for name in some for stem in self._judge.stems(name)]
        vectors = key_vectors([stem for _, stem in queries])
        answers = self._written.nearest(vectors, neighbours=config.neighbours, least=_LEAST_COSINE)
        found: dict[int, dict[int, None]] = {name: {} for name in some}
        for (name, _), rows in zip(queries, answers, strict=True):
            found[name].update(dict.fromkeys(self._targets[row] for row in rows))
        if self._meant is not None and self._vectors is not None:
            meant = self._vectors[list(some)].astype(np.float32)
            # A name without a vector has zeros, and a cosine of 0 with all.
            answers = self._meant.nearest(meant, neighbours=config.neighbours, least=_LEAST_COSINE)
            for name, rows in zip(some, answers, strict=True):
                found[name].update(dict.fromkeys(self._told[row] for row in rows))
        for name in some:
            found[name].update(dict.fromkeys(_opening_names(name, judge=self._judge)))
            found[name].pop(name, None)
            yield tuple(found[name])


def _opening_names(name: int, *, judge: Judge) -> Iterable[int]:
    """The names that the titles of a name's products begin with."""
    for title in judge.evidence.titles(name)[:_TITLES_READ]:
        key = ""
        for word in title.words[:_OPENING_WORDS]:
            key += word
            target = judge.names.index.get(key)
            if target is not None:
                yield target


def _best_link(name: int, *, judge: Judge, alike: Sequence[int], candidates: _Candidates) -> Link | None:
    """The accepted link with the highest score, or else the doubtful one."""
    names = judge.names
    stems = judge.stems(name)
    found = [judge.typo(name, target=target, stems=stems) for target in alike]
    words, key = names.words[name], names.keys[name]
    if len(words) > 1:
        found += [judge.contained(name, target=target) for target in alike]
    for size in range(len(words) - 1, 0, -1):
        parent = names.index.get("".join(words[:size]))
        if parent is not None and parent != name:
            link = judge.extension(name, parent=parent, size=size)
            found.append(link)
            if link is not None:
                # A shorter parent would skip a name that stands between: "Lee Cooper Blue" is no "Lee".
                break
    found += [judge.short_form(name, target=target) for target in candidates.longer.get(key, ()) if target != name]
    meant = candidates.by_initials.get(key, ())
    found += [judge.abbreviation(name, target=target, unique=len(meant) == 1) for target in meant if target != name]
    for other in (f"the{key}", key.removeprefix("the")):
        target = names.index.get(other)
        if target is not None and target != name and min(len(other), len(key)) > judge.config.short_name:
            found.append(judge.article(name, target=target))
    links = [link for link in found if link is not None]
    return max(
        links,
        key=lambda link: (link.accepted, link.score, names.products[link.target], names.keys[link.target]),
        default=None,
    )


def _root_of(name: int, *, links: dict[int, Link], names: Names) -> int:
    """Follow the links to their end; in a ring the name with the most products is the end."""
    path = [name]
    while (link := links.get(path[-1])) is not None:
        if link.target in path:
            ring = path[path.index(link.target) :]
            return max(ring, key=lambda member: (names.products[member], names.keys[member]))
        path.append(link.target)
    return path[-1]


def _fits(name: int, *, root: int, judge: Judge, middle: Link | None) -> bool:
    """Whether a name fits a root that it reached through another name, whose own link is `middle`.

    Where the name between is only another way to write the root ("UCB"), what extends it extends the root.
    """
    if middle is not None and middle.target == root and middle.rule in ("abbreviation", "article", "short_form"):
        return True
    words, key = judge.names.words[name], judge.names.keys[root]
    if any("".join(words[:size]) == key for size in range(1, len(words))):
        return True
    if (judge.evidence.named(name, key=key) or 0.0) >= 0.5:
        return True
    return judge.typo(name, target=root, stems=judge.stems(name)) is not None


def find_sellers(names: Names, *, undecided: Iterable[int], evidence: Evidence) -> set[int]:
    """The names of shops that stand where the brand should.

    Their own name hardly ever stands in their titles, and these open with the names of several other brands, which do
    stand in their own titles: three in five of the titles for five brands, two in five for ten.
    """
    sellers: set[int] = set()
    for name in undecided:
        titles = evidence.titles(name)
        if len(titles) < _SELLER_TITLES or sum(title.names(names.keys[name]) for title in titles) > len(titles) / 20:
            continue
        openings = [_opening_brand(title, names=names, evidence=evidence) for title in titles]
        brands = [brand for brand in openings if brand is not None and brand != name]
        if any(len(set(brands)) >= least and len(brands) >= share * len(titles) for least, share in _SELLER_SHARES):
            sellers.add(name)
    return sellers


def _opening_brand(title: Title, *, names: Names, evidence: Evidence) -> int | None:
    """The brand that a title begins with, the longest one that stands in its own titles; no ordinary word is one."""
    found, key = None, ""
    for word in title.words[:_OPENING_WORDS]:
        key += word
        name = names.index.get(key)
        if name is not None and len(key) >= _SELLER_SHORTEST and key not in PLAIN_WORDS:
            found = name if evidence.named_itself(name, key=key) >= 0.5 else found
    return found


def proposals_by_rule(places: dict[int, Place]) -> Counter[str]:
    """How many names each rule placed or left to a person, for the log."""
    rules: Counter[str] = Counter()
    for place in places.values():
        if place.link is not None:
            rules[f"{place.link.rule}{'' if place.proposed is None else ' (review)'}"] += 1
    return rules
