"""The alias table: what strings stand for."""

import polars as pl

from prodemb.aliases.junk import UNBRANDED, UNKNOWN
from prodemb.aliases.table import AliasRow, AliasTable

ROWS = [
    AliasRow("Nike", "Nike", "exact", 1.0, 20),
    AliasRow("NIKE®", "Nike", "marks", 1.0, 5),
    AliasRow("Nike Golf Days", "Nike Golf Days", "line", 0.5, 2, "review", "Nike"),
    AliasRow("Red", UNKNOWN, "colour", 1.0, 9),
    AliasRow("Generic", UNBRANDED, "unbranded", 1.0, 3),
]


def test_lookup_by_string_and_by_key() -> None:
    table = AliasTable(ROWS)
    assert table.lookup("NIKE®") == "Nike"
    assert table.lookup("nike, inc.") == "Nike"
    assert table.lookup("Puma") is None
    assert table.lookup(None) is None


def test_junk_and_no_names_have_no_label_but_differ() -> None:
    table = AliasTable(ROWS)
    assert table.lookup("Red") is None
    assert table.lookup("Generic") is None
    assert (table.verdict("Red"), table.verdict("GENERIC"), table.verdict("Puma")) == (UNKNOWN, UNBRANDED, None)
    assert (table.verdict("n/a"), table.verdict("no brand")) == (UNKNOWN, UNBRANDED)


def test_a_column_is_looked_up_in_order() -> None:
    labels = AliasTable(ROWS).canonical_of(["NIKE", None, "Red", "Puma", "NIKE"])
    assert labels.to_list() == ["Nike", None, None, None, "Nike"]
    assert AliasTable(ROWS).canonical_of(pl.Series([], dtype=pl.String)).to_list() == []
    assert AliasTable([]).canonical_of(["x"]).dtype == pl.String


def test_a_rejected_merge_gives_the_string_its_own_name() -> None:
    assert AliasTable([AliasRow("Nikee®", "Nike", "typo", 0.9, 1, "rejected")]).lookup("NIKEE") == "Nikee"
