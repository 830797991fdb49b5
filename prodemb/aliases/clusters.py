"""Clusters of brand names: which pairs to compare, which link each name takes, and the root of its cluster."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.evidence import Evidence, Title, lines_of, prefix_products, spread_words
from prodemb.aliases.links import PLAIN_WORDS, Link, LinkScorer, Names, short_keys
from prodemb.aliases.neighbours import Neighbours, TextVectors, key_vectors
from prodemb.core.progress import ProgressCallback

_AT_ONCE = 4096
_TITLES_READ = 8
_OPENING_WORDS = 6
_MIN_COSINE = 0.5
_SPREAD_MIN_BRANDS = 8
_MAX_SHARING = 3
_SELLER_TITLES = 10
_SELLER_SHARES = ((5, 0.6), (10, 0.4))
_SELLER_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Placement:
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
    on_progress: ProgressCallback | None = None,
) -> dict[int, Placement]:
    """Find the root of every undecided name's cluster; all other names are roots and stay so.

    A cluster is a star: each member is linked to its root directly. Where the best link of a name leads to a name
    that itself belongs elsewhere, the two must fit each other too, or the name stays apart and is left to a person.

    Args:
        undecided: the names to place.
        vectors: a vector for each name, zeros where there is none; names with similar vectors are compared too.
        on_progress: called with the names placed so far and all there are, every few thousand names.
    """
    masses, followers = prefix_products(names.words, products=names.products)
    common = spread_words(evidence, words=names.words, min_brands=_SPREAD_MIN_BRANDS, share=config.common_word)
    lines = lines_of(names.words, products=names.products, min_count=config.min_count)
    scorer = LinkScorer(names, evidence, common, masses, followers, lines, config)
    open_names = sorted(undecided)
    candidates = _Candidates(scorer, vectors=vectors)
    links: dict[int, Link] = {}
    for start in range(0, len(open_names), _AT_ONCE):
        some = open_names[start : start + _AT_ONCE]
        for name, similar in zip(some, candidates.similar_names(some), strict=True):
            link = _best_link(name, scorer=scorer, similar=similar, candidates=candidates)
            if link is not None:
                links[name] = link
        if on_progress is not None:
            on_progress(start + len(some), len(open_names))
    accepted = {name: link for name, link in links.items() if link.accepted}
    roots = {name: _root_of(name, links=accepted, names=names) for name in open_names}
    places: dict[int, Placement] = {}
    for name in open_names:
        link, root = links.get(name), roots[name]
        if link is None or (root == name and link.accepted):
            places[name] = Placement(name)
        elif not link.accepted:
            proposed = roots.get(link.target, link.target)
            places[name] = Placement(name, link, proposed) if proposed != name else Placement(name)
        elif root == link.target or _fits(name, root=root, scorer=scorer, middle=accepted.get(link.target)):
            places[name] = Placement(root, link)
        else:
            places[name] = Placement(name, link, root)
    return places


class _Candidates:
    """Which names a name may be linked to, by kind of link."""

    def __init__(self, scorer: LinkScorer, *, vectors: TextVectors | None) -> None:
        self._scorer = scorer
        names, least = scorer.names, scorer.config.min_count
        self._targets = [name for name, products in enumerate(names.products) if products >= least]
        self._by_spelling = Neighbours(key_vectors([names.keys[name] for name in self._targets]))
        self._vectors = vectors
        self._with_vector = [name for name in self._targets if vectors is not None and vectors[name].any()]
        self._by_vector = None if vectors is None else Neighbours(vectors[self._with_vector].astype(np.float32))
        self.longer: dict[str, list[int]] = defaultdict(list)
        self.by_initials: dict[str, list[int]] = defaultdict(list)
        for name in sorted(self._targets, key=lambda name: (-names.products[name], names.keys[name])):
            words = names.words[name]
            for size in range(1, len(words)):
                shorter = self.longer["".join(words[:size])]
                if len(shorter) < _MAX_SHARING:
                    shorter.append(name)
            for short in short_keys(words):
                self.by_initials[short].append(name)

    def similar_names(self, some: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """For each name the frequent names with a similar spelling or vector, or that begin its titles."""
        config = self._scorer.config
        queries = [(name, stem) for name in some for stem in self._scorer.stems(name)]
        vectors = key_vectors([stem for _, stem in queries])
        answers = self._by_spelling.nearest(vectors, neighbours=config.neighbours, min_cosine=_MIN_COSINE)
        found: dict[int, dict[int, None]] = {name: {} for name in some}
        for (name, _), rows in zip(queries, answers, strict=True):
            found[name].update(dict.fromkeys(self._targets[row] for row in rows))
        if self._by_vector is not None and self._vectors is not None:
            own = self._vectors[list(some)].astype(np.float32)
            # A name without a vector has zeros, and a cosine of 0 with all.
            answers = self._by_vector.nearest(own, neighbours=config.neighbours, min_cosine=_MIN_COSINE)
            for name, rows in zip(some, answers, strict=True):
                found[name].update(dict.fromkeys(self._with_vector[row] for row in rows))
        for name in some:
            found[name].update(dict.fromkeys(_opening_names(name, scorer=self._scorer)))
            found[name].pop(name, None)
            yield tuple(found[name])


def _opening_names(name: int, *, scorer: LinkScorer) -> Iterable[int]:
    """The names that the titles of a name's products begin with."""
    for title in scorer.evidence.titles(name)[:_TITLES_READ]:
        key = ""
        for word in title.words[:_OPENING_WORDS]:
            key += word
            target = scorer.names.index.get(key)
            if target is not None:
                yield target


def _best_link(name: int, *, scorer: LinkScorer, similar: Sequence[int], candidates: _Candidates) -> Link | None:
    """The accepted link with the highest score, or else the doubtful one."""
    names = scorer.names
    stems = scorer.stems(name)
    found = [scorer.typo(name, target=target, stems=stems) for target in similar]
    words, key = names.words[name], names.keys[name]
    if len(words) > 1:
        found += [scorer.contained(name, target=target) for target in similar]
    for size in range(len(words) - 1, 0, -1):
        parent = names.index.get("".join(words[:size]))
        if parent is not None and parent != name:
            link = scorer.extension(name, parent=parent, size=size)
            found.append(link)
            if link is not None:
                # A shorter parent would skip a name in between: "Lee Cooper Blue" is no "Lee".
                break
    found += [scorer.short_form(name, target=target) for target in candidates.longer.get(key, ()) if target != name]
    long_forms = candidates.by_initials.get(key, ())
    found += [
        scorer.abbreviation(name, target=target, unique=len(long_forms) == 1) for target in long_forms if target != name
    ]
    for other in (f"the{key}", key.removeprefix("the")):
        target = names.index.get(other)
        if target is not None and target != name and min(len(other), len(key)) > scorer.config.short_name:
            found.append(scorer.article(name, target=target))
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


def _fits(name: int, *, root: int, scorer: LinkScorer, middle: Link | None) -> bool:
    """Whether a name fits a root that it reached through another name, whose own link is `middle`.

    Where the name between is only another way to write the root ("UCB"), what extends it extends the root.
    """
    if middle is not None and middle.target == root and middle.rule in ("abbreviation", "article", "short_form"):
        return True
    words, key = scorer.names.words[name], scorer.names.keys[root]
    if any("".join(words[:size]) == key for size in range(1, len(words))):
        return True
    if (scorer.evidence.named(name, key=key) or 0.0) >= 0.5:
        return True
    return scorer.typo(name, target=root, stems=scorer.stems(name)) is not None


def find_sellers(names: Names, *, undecided: Iterable[int], evidence: Evidence) -> set[int]:
    """The names of shops that are supplied in place of a brand.

    Their own name is hardly ever in their titles, and these begin with the names of several other brands, which are in
    their own titles: three in five of the titles for five brands, two in five for ten.
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
    """The brand that a title begins with, the longest one that is in its own titles; not an ordinary word."""
    found, key = None, ""
    for word in title.words[:_OPENING_WORDS]:
        key += word
        name = names.index.get(key)
        if name is not None and len(key) >= _SELLER_SHORTEST and key not in PLAIN_WORDS:
            found = name if evidence.named_itself(name, key=key) >= 0.5 else found
    return found


def proposals_by_rule(places: dict[int, Placement]) -> Counter[str]:
    """How many names each rule placed or left to a person, for the log."""
    rules: Counter[str] = Counter()
    for place in places.values():
        if place.link is not None:
            rules[f"{place.link.rule}{'' if place.proposed is None else ' (review)'}"] += 1
    return rules
