"""Trust: counts drawn to the mean, and names that labelled products say stand for another."""

import numpy as np
import polars as pl

from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.brand.names import BrandNames
from prodemb.brand.trust import NameCounts, find_redirects


def test_names_that_are_often_right_are_trusted_more() -> None:
    ids = np.array([0] * 50 + [1] * 50 + [2] + [-1] * 9)
    labels = np.array([0] * 50 + [0] * 45 + [1] * 5 + [2] + [0] * 9)
    counts = NameCounts.of(ids, labels=labels, num_names=4)
    assert counts.count.tolist() == [50, 50, 1, 0]
    assert counts.correct.tolist() == [50, 5, 1, 0]
    odds = counts.log_odds()
    assert len(odds) == 5
    assert odds[0] > odds[2] > odds[3] > odds[1]
    assert odds[3] == odds[4]
    assert np.isfinite(odds).all()


def test_names_of_several_places_count_each() -> None:
    counts = NameCounts.of(np.array([[0, 1], [1, -1]]), labels=np.array([1, 1]), num_names=2)
    assert (counts.count.tolist(), counts.correct.tolist()) == ([1, 2], [0, 2])


def test_without_products_all_names_are_alike() -> None:
    nothing = np.zeros(0, np.int64)
    assert NameCounts.of(nothing, labels=nothing, num_names=2).log_odds().tolist() == [0, 0, 0]


def test_lines_that_always_carry_one_label_stand_for_it() -> None:
    aliases = AliasTable(
        [AliasRow(text, text, decided=text) for text in ("Casio Edifice", "Casio Baby", "Once", "Both")]
    )
    names = BrandNames(["Casio", "Seiko"], aliases=aliases, redirects={})
    rows = (
        [("Casio Edifice", 0)] * 5
        + [("Casio Baby", 0)] * 3
        + [("Casio Baby", 1)] * 2
        + [("Once", 0), ("Seiko", 0)]
        + [("Fresh", 1)] * 5
    )
    supplied = pl.Series([text for text, _ in rows])
    mentions = names.mentions(supplied=supplied, titles=pl.Series([f"{text} watch" for text, _ in rows]))
    labels = np.array([label for _, label in rows])
    found = find_redirects(mentions, labels=labels, names=names)
    assert {names.names[name]: names.names[meant] for name, meant in found.items()} == {"Casio Edifice": "Casio"}
