"""Single judgements on pairs of names."""

from typing import Any

import polars as pl
import pytest

from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.evidence import Evidence, lines_of, prefix_products
from prodemb.aliases.links import LinkScorer, Names, short_keys

EXAMPLE = tuple[str | None, str | None]


def scorer_of(
    *names: tuple[str, int, list[EXAMPLE]], common: frozenset[str] = frozenset(), **config: Any
) -> LinkScorer:
    words = [tuple(name.split()) for name, _, _ in names]
    keys, products = ["".join(told) for told in words], [count for _, count, _ in names]
    rows = [(row, *example) for row, (_, _, examples) in enumerate(names) for example in examples]
    schema = {"name": pl.Int64, "title": pl.String, "category": pl.String}
    evidence = Evidence(pl.DataFrame(rows, schema=schema, orient="row"), num_names=len(names))
    table = Names(keys, words, products, {key: row for row, key in enumerate(keys)})
    masses, followers = prefix_products(words, products=products)
    lines = lines_of(words, products=products, min_count=BrandsConfig().min_count)
    return LinkScorer(table, evidence, common, masses, followers, lines, BrandsConfig(**config))


def test_stems_drop_extra_words_from_the_end() -> None:
    scorer = scorer_of(("fosil watch blue", 1, []), common=frozenset({"watch"}))
    assert scorer.stems(0) == ("fosilwatchblue", "fosilwatch", "fosil")


def test_titles_decide() -> None:
    scorer = scorer_of(("fla", 1, [("fila cap", None)]), ("fila", 9, [("fila cap", None)]), ("none", 9, []))
    assert scorer.titles_decide(0, target=1) is True
    assert scorer.titles_decide(1, target=0) is False
    assert scorer.titles_decide(2, target=0) is None


@pytest.mark.parametrize(("ratio", "accepted"), [(4, None), (20, True)])
def test_an_unconfirmed_typo_needs_a_count_ratio(ratio: int, accepted: bool | None) -> None:
    scorer = scorer_of(("timberlnad", 2, [(None, "Wear")]), ("timberland", 2 * ratio, [(None, "Wear")]))
    link = scorer.typo(0, target=1, stems=scorer.stems(0))
    assert (link and link.accepted) is accepted


def test_different_numbers_are_different_names() -> None:
    scorer = scorer_of(("studio 5441", 1, [(None, "Wear")]), ("studio 5442", 90, [(None, "Wear")]))
    assert scorer.typo(0, target=1, stems=scorer.stems(0)) is None


def test_the_titles_outrule_every_threshold_but_similarity() -> None:
    titles: list[EXAMPLE] = [("timberland boot", "Wear")]
    scorer = scorer_of(("tymberlend", 5, titles), ("timberland", 6, titles), min_count_ratio=1000, min_count=1000)
    link = scorer.typo(0, target=1, stems=scorer.stems(0))
    assert link is not None
    assert link.accepted
    strict = scorer_of(("tymberlend", 5, titles), ("timberland", 6, titles), confirmed_similarity=0.9)
    assert strict.typo(0, target=1, stems=strict.stems(0)) is None


def test_a_line_under_a_given_name_is_refused() -> None:
    wear: list[EXAMPLE] = [(None, "Wear")]
    scorer = scorer_of(("lee", 90, wear), ("lee cooper", 2, wear), ("nikka", 90, wear), ("nikka cooper", 2, wear))
    assert scorer.extension(1, parent=0, size=1) is None
    line = scorer.extension(3, parent=2, size=1)
    assert line is not None
    assert line.accepted


def test_a_short_form_joins_where_titles_spell_it_out() -> None:
    titles: list[EXAMPLE] = [("zus polo zassn shirt", "Wear")]
    scorer = scorer_of(("zus polo", 1, titles), ("zus polo zassn", 20, titles))
    link = scorer.short_form(0, target=1)
    assert link is not None
    assert link.accepted
    apart = scorer_of(("zus polo", 1, [("zus polo shirt", "Wear")]), ("zus polo zassn", 20, titles))
    doubtful = apart.short_form(0, target=1)
    assert doubtful is not None
    assert not doubtful.accepted


def test_articles() -> None:
    scorer = scorer_of(("the balm", 2, []), ("balm", 9, []))
    link = scorer.article(0, target=1)
    assert link is not None
    assert (link.rule, link.accepted) == ("article", True)
    assert scorer.article(1, target=0) is None


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("united", "colors", "of", "benetton"), ("ucb", "ucbenetton")),
        (("hewlett", "packard"), ("hp", "hpackard")),
        (("nike",), ()),
        (("the", "gap"), ()),
    ],
)
def test_short_keys(words: tuple[str, ...], keys: tuple[str, ...]) -> None:
    assert short_keys(words) == keys


def test_a_brand_with_lines_takes_what_is_of_the_kind_of_one_of_them() -> None:
    wear: list[EXAMPLE] = [("corvano shirt cotton", "Wear")]
    lines = [(f"corvano {word}", 3, [(f"corvano {word} tee", "Wear")]) for word in ("zone", "ranger", "youth", "pop")]
    socks = ("corvano socken", 3, [("corvano socken pair", "Socks")])
    scorer = scorer_of(("corvano", 3, wear), *lines, socks, ("corvano 24 x", 1, [("corvano 24 x ankle pair", "Socks")]))
    link = scorer.extension(6, parent=0, size=1)
    assert link is not None
    assert (link.rule, link.accepted) == ("line", True)
    # Without the line that is of its kind it stays apart.
    scorer = scorer_of(("corvano", 3, wear), *lines, ("corvano 24 x", 1, [("corvano 24 x ankle pair", "Socks")]))
    link = scorer.extension(5, parent=0, size=1)
    assert link is not None
    assert not link.accepted
