"""Canonical brands from supplied strings: equal spellings are one name, names are linked on evidence, never chained."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from prodemb.aliases.clusters import Placement, find_sellers, place_names, proposals_by_rule
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.counts import EXAMPLES
from prodemb.aliases.evidence import Evidence
from prodemb.aliases.junk import UNBRANDED, UNKNOWN, Junk, find_junk
from prodemb.aliases.links import Names
from prodemb.aliases.neighbours import TextVectors
from prodemb.aliases.normalise import (
    SPELLING_SCORES,
    brand_words,
    choose_spelling,
    normalise_brand,
    spelling_rule,
    words_of,
)
from prodemb.aliases.table import AliasRow, AliasTable, Status
from prodemb.core.errors import CatalogError
from prodemb.core.progress import ProgressCallback

__all__ = ["UNBRANDED", "UNKNOWN", "canonicalise", "normalise_brand"]

logger = logging.getLogger(__name__)

_OPENING_TITLES = 0.6
_OPENING_EXAMPLES = 2
_LEADING_PRODUCTS, _LEADING_SHARE, _LEADING_OF_RULE, _HOLDING_TITLES = 10, 0.1, 0.8, 0.25


def canonicalise(
    supplied: pl.DataFrame,
    *,
    config: BrandsConfig,
    known: AliasTable | None = None,
    vectors: tuple[Sequence[str], TextVectors] | None = None,
    on_progress: ProgressCallback | None = None,
) -> AliasTable:
    """Decide for every supplied string which canonical brand it stands for.

    Spellings with one comparison key are one name. A name may then be linked to another one, each time on the evidence
    of both; a name joins a cluster only where it fits the cluster's own canonical name, so clusters never grow by
    chains. Doubtful links are left to a person: status `review`, and the name stays apart.

    Args:
        supplied: columns supplied (String), products (integer) and, where there is any, the evidence examples
            (list of {title, category}), as `count_supplied` gives them. The order of rows does not matter.
        config: the thresholds.
        known: an earlier table, edited or not. Its rows stay as they are, save for the number of products; only
            strings that it lacks are decided.
        vectors: some of the strings with their text vectors (n, dim), as `ShardSet.text_vectors` gives them. Names
            with similar vectors are compared too; merging them needs the same evidence.
        on_progress: called with the names decided so far and all there are, every few thousand names.

    Returns:
        One row per distinct string of `supplied` and of `known`, most products first.

    Raises:
        CatalogError: a column is missing.
    """
    counted = _counted(supplied)
    known = known or AliasTable([])
    counts: dict[str, int] = dict(counted.select("supplied", "products").iter_rows())
    kept = [replace(row, products=counts.pop(row.supplied, row.products)) for row in known.rows]
    strings = _Strings.sort_out(counts, counted=counted, known=known)
    for row in kept:
        if row.effective not in (UNKNOWN, UNBRANDED):
            strings.add_known(row)
    names = strings.names()
    evidence = _evidence(counted, key_of=strings.key_of, names=names)
    undecided = [name for name, key in enumerate(names.keys) if known.name_of_key(key) is None]
    sellers = find_sellers(names, undecided=undecided, evidence=evidence)
    brands = set(undecided) - sellers
    name_vectors = None if vectors is None else strings.vectors(names, *vectors)
    places = place_names(
        names, undecided=brands, evidence=evidence, config=config, vectors=name_vectors, on_progress=on_progress
    )
    rows = strings.rows + strings.place(names, places=places, sellers=sellers, known=known)
    rows = [replace(row, decided=row.canonical) for row in rows]
    logger.info("%d known strings, %d new ones: %s", len(kept), len(rows), dict(proposals_by_rule(places)))
    return known.with_rows(sorted([*kept, *rows], key=lambda row: (-row.products, row.supplied)))


def _counted(supplied: pl.DataFrame) -> pl.DataFrame:
    """supplied, products and examples, one row per string, sorted by string."""
    for name in ("supplied", "products"):
        if name not in supplied.columns:
            raise CatalogError(f"supplied brands: found columns {', '.join(supplied.columns)}, wanted also {name!r}")
    examples = pl.col("examples") if "examples" in supplied.columns else pl.lit(None, dtype=EXAMPLES).alias("examples")
    rows = supplied.select(pl.col("supplied").cast(pl.String), pl.col("products").cast(pl.Int64), examples)
    rows = rows.drop_nulls("supplied")
    if rows["supplied"].is_duplicated().any():
        listed = rows.explode("examples").drop_nulls("examples").group_by("supplied").agg(pl.col("examples"))
        rows = rows.group_by("supplied").agg(pl.col("products").sum()).join(listed, on="supplied", how="left")
    return rows.sort("supplied")


class _Strings:
    """Supplied strings sorted into junk, which is decided at once, and spellings of names."""

    def __init__(self) -> None:
        self.rows: list[AliasRow] = []
        self.key_of: dict[str, str] = {}
        self._spellings: dict[str, dict[str, int]] = defaultdict(dict)
        self._words: dict[str, tuple[str, ...]] = {}
        self._known: set[str] = set()
        self._doubts: dict[str, Junk] = {}

    @classmethod
    def sort_out(cls, counts: dict[str, int], *, counted: pl.DataFrame, known: AliasTable) -> "_Strings":
        """Sort the strings that have no row yet; the key of a known string carries its decision over."""
        strings = cls()
        leading = _leading(counts, counted=counted)
        doubtful: dict[str, Junk] = {}
        for text, products in counts.items():
            words = brand_words(text)
            decided = known.name_of_key("".join(words))
            junk = find_junk(text) if decided is None else None
            if decided in (UNKNOWN, UNBRANDED):
                strings.rows.append(AliasRow(text, decided or "", rule="known", products=products))
            elif junk is not None and (junk.may_be_name or text in leading):
                doubtful[text] = junk
            elif junk is not None or not words:
                found = junk or Junk(UNKNOWN, "placeholder", may_be_name=False)
                strings.rows.append(AliasRow(text, found.canonical, rule=found.rule, products=products))
            else:
                strings._add(text, words=words, products=products)
        openings = _openings(counted, texts=doubtful)
        for text, junk in doubtful.items():
            if openings[text] or text in leading:
                strings._add(text, words=brand_words(text), products=counts[text])
                strings._doubts[text] = junk
            else:
                row = AliasRow(text, junk.canonical, rule=junk.rule, score=0.9, products=counts[text])
                strings.rows.append(row)
        return strings

    def _add(self, text: str, *, words: tuple[str, ...], products: int) -> None:
        key = "".join(words)
        self.key_of[text] = key
        self._spellings[key][text] = products
        self._words[key] = max(self._words.get(key, ()), words, key=lambda spelled: (len(spelled), spelled))

    def add_known(self, row: AliasRow) -> None:
        """Take a decided string in as a spelling that others may join."""
        words = brand_words(row.supplied)
        if words:
            self._add(row.supplied, words=words, products=row.products)
            self._known.add(row.supplied)

    def names(self) -> Names:
        """All names, sorted by key."""
        keys = sorted(self._spellings)
        products = [sum(self._spellings[key].values()) for key in keys]
        return Names(keys, [self._words[key] for key in keys], products, {key: row for row, key in enumerate(keys)})

    def vectors(self, names: Names, texts: Sequence[str], vectors: TextVectors) -> TextVectors:
        """Each name's vector: that of the one of its spellings, among `texts`, with the most products."""
        best: dict[int, tuple[int, str, int]] = {}
        for row, text in enumerate(texts):
            key = self.key_of.get(text)
            if key is not None:
                name, spelling = names.index[key], (self._spellings[key][text], text, row)
                best[name] = max(best.get(name, spelling), spelling)
        found = np.zeros((len(names.keys), vectors.shape[1]), dtype=np.float16)
        found[list(best)] = vectors[[row for _, _, row in best.values()]]
        return found

    def place(
        self, names: Names, *, places: dict[int, Placement], sellers: set[int], known: AliasTable
    ) -> list[AliasRow]:
        """The rows of all strings that have none yet, each under its name's canonical brand."""
        canonical = [known.name_of_key(key) or choose_spelling(self._spellings[key]) for key in names.keys]
        for name in sellers:
            canonical[name] = UNKNOWN
        rows: list[AliasRow] = []
        for name, key in enumerate(names.keys):
            place = places.get(name, Placement(name))
            brand = canonical[place.root]
            for text, products in self._spellings[key].items():
                if text not in self._known:
                    row = self._row(text, place=place, brand=brand, products=products)
                    proposed = canonical[place.proposed] if place.proposed is not None else row.proposed
                    rows.append(replace(row, proposed=proposed, rule="seller" if name in sellers else row.rule))
        return rows

    def _row(self, text: str, *, place: Placement, brand: str, products: int) -> AliasRow:
        """One string's row; its proposal, if any, is filled in by the caller."""
        if text in self._doubts:
            junk = self._doubts[text]
            return AliasRow(text, brand, junk.rule, 0.5, products, status="review", proposed=junk.canonical)
        if place.link is not None:
            status: Status = "accepted" if place.proposed is None else "review"
            return AliasRow(text, brand, place.link.rule, place.link.score, products, status=status)
        rule = spelling_rule(text, canonical=brand)
        if rule == "unlike":
            return AliasRow(text, brand, "known", 1.0, products)
        return AliasRow(text, brand, rule, SPELLING_SCORES[rule], products)


def _leading(counts: dict[str, int], *, counted: pl.DataFrame) -> set[str]:
    """Strings that look like junk and are used like the catalog's own brand.

    Such a string stands at a fair share of all products that carry a brand and at nearly all of those with junk of its
    rule: a column of colours has several colours. Its products are of several kinds, and hardly any title holds it, as
    titles hold the colours and fits of their products.
    """
    junk = {text: found for text in counts if (found := find_junk(text)) is not None and found.depends_on_use}
    by_rule: Counter[str] = Counter()
    for text, found in junk.items():
        by_rule[found.rule] += counts[text]
    total = sum(counts.values())
    leading = {
        text
        for text, found in junk.items()
        if counts[text] >= max(_LEADING_PRODUCTS, _LEADING_SHARE * total)
        and counts[text] >= _LEADING_OF_RULE * by_rule[found.rule]
    }
    examples = counted.filter(pl.col("supplied").is_in(list(leading)))
    return {text for text, products in examples.select("supplied", "examples").iter_rows() if _is_maker(text, products)}


def _is_maker(text: str, products: list[dict[str, str]] | None) -> bool:
    """Whether sampled products of a string are of several kinds, and few of their titles hold it."""
    if not products:
        return False
    words = f" {' '.join(words_of(text))} "
    titles = [" ".join(words_of(product["title"])) for product in products if product["title"]]
    holding = sum(words in f" {title} " for title in titles)
    kinds = {product["category"] or title.split(" ")[-1] for product, title in zip(products, titles, strict=False)}
    return len(kinds) > 1 and holding <= _HOLDING_TITLES * len(titles)


def _openings(counted: pl.DataFrame, *, texts: dict[str, Junk]) -> dict[str, bool]:
    """For each string that looks like junk, whether titles begin with it as they do with a brand.

    Spellings with one key are decided together, and what extends such a brand ("Red Rose Blue") goes with it.
    """
    titles: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    chosen = counted.filter(pl.col("supplied").is_in(list(texts)))
    for text, examples in chosen.select("supplied", "examples").iter_rows():
        titles[brand_words(text)] += [words_of(example["title"]) for example in examples or () if example["title"]]
    numbers = {brand_words(text) for text, junk in texts.items() if junk.rule == "number"}
    opening: set[tuple[str, ...]] = set()
    for words, examples in titles.items():
        count = sum(title[: len(words)] == words for title in examples)
        least, share = (1, 0.5) if words in numbers else (_OPENING_EXAMPLES, _OPENING_TITLES)
        if count >= least and count >= share * len(examples):
            opening.add(words)
    firsts = {text: [brand_words(text)[:size] for size in range(1, len(brand_words(text)) + 1)] for text in texts}
    return {text: any(first in opening for first in firsts[text]) for text in texts}


def _evidence(counted: pl.DataFrame, *, key_of: dict[str, str], names: Names) -> Evidence:
    """The sampled products by name; strings that are no spelling of a name have none."""
    keys = (key_of.get(text) for text in counted["supplied"])
    rows = pl.Series("name", [None if key is None else names.index[key] for key in keys], dtype=pl.Int64)
    examples = counted.select(rows, "examples").drop_nulls().explode("examples").drop_nulls().unnest("examples")
    return Evidence(examples.sort("name", maintain_order=True), num_names=len(names.keys))
