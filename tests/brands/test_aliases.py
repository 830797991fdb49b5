"""The alias file: written, edited, read back."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.brands.aliases import COLUMNS, AliasRow, AliasTable, read_aliases
from prodemb.brands.junk import UNBRANDED, UNKNOWN
from prodemb.errors import CatalogError

ROWS = [
    AliasRow("Nike", "Nike", "exact", 1.0, 20),
    AliasRow("NIKE®", "Nike", "marks", 1.0, 5),
    AliasRow("Nike Golf Days", "Nike Golf Days", "line", 0.5, 2, "review", "Nike"),
    AliasRow("Red", UNKNOWN, "colour", 1.0, 9),
    AliasRow("Generic", UNBRANDED, "unbranded", 1.0, 3),
]


@pytest.fixture(params=["aliases.csv", "aliases.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


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


def test_a_table_comes_back_as_it_was(path: Path) -> None:
    AliasTable(ROWS).write(path)
    assert read_aliases(path).rows == tuple(ROWS)
    assert tuple(read_aliases(path).frame().columns) == COLUMNS


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
NAMES = TEXT.map(str.strip).filter(bool)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.builds(AliasRow, TEXT, NAMES, NAMES, st.floats(0, 1), st.integers(0, 10**9), st.just("review"), NAMES),
        unique_by=lambda row: row.supplied,
    ),
    st.sampled_from(["csv", "parquet"]),
)
def test_wild_strings_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[AliasRow], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("wild") / f"aliases.{suffix}"
    AliasTable(rows).write(path)
    assert read_aliases(path).rows == tuple(rows)


@pytest.mark.parametrize("formula", ["=1+1", "+49 Brand", "-Brand", "@home", "'quoted", "'=x"])
def test_formulas_are_neutralised_in_csv(tmp_path: Path, formula: str) -> None:
    path = tmp_path / "aliases.csv"
    AliasTable([AliasRow(formula, formula)]).write(path)
    line = path.read_text(encoding="utf-8").splitlines()[1]
    assert line.startswith(f"'{formula},'{formula},")
    assert read_aliases(path).lookup(formula) == formula


def test_a_person_answers_a_proposal(path: Path) -> None:
    for status, expected in (("review", "Nike Golf Days"), ("accepted", "Nike"), ("rejected", "Nike Golf Days")):
        frame = AliasTable(ROWS).frame()
        edited = pl.when(pl.col("supplied") == "Nike Golf Days").then(pl.lit(status)).otherwise("status")
        frame = frame.with_columns(status=edited)
        frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
        assert read_aliases(path).lookup("Nike Golf Days") == expected


def test_a_rejected_merge_gives_the_string_its_own_name() -> None:
    assert AliasTable([AliasRow("Nikee®", "Nike", "typo", 0.9, 1, "rejected")]).lookup("NIKEE") == "Nikee"


def test_only_two_columns_are_needed_and_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("﻿supplied,canonical\nnikey,Nike\nhuh,\n", encoding="utf-8")
    table = read_aliases(path)
    assert (table.lookup("Nikey"), table.verdict("huh"), table.rows[0].rule) == ("Nike", UNKNOWN, "edited")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("supplied,brand\nx,y\n", "wanted also 'canonical'"),
        ("supplied,canonical,status\nx,y,maybe\n", "row 2: status: found 'maybe', wanted one of accepted"),
        ("supplied,canonical,score\nx,y,high\n", "row 2: found score 'high'"),
        ("supplied,canonical\nx,y\nx,z\n", "row 3: 'x' stands here a second time"),
        ("", "cannot be read as an alias file"),
    ],
)
def test_a_bad_file_is_named_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "aliases.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=message) as error:
        read_aliases(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such alias file"):
        read_aliases(tmp_path / "none.csv")
