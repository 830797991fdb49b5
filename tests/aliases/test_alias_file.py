"""The alias file: written, edited in spreadsheets, read back."""

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.aliases.alias_file import read_aliases, write_aliases
from prodemb.aliases.junk import UNBRANDED, UNKNOWN
from prodemb.aliases.table import COLUMNS, AliasRow, AliasTable, Layout
from prodemb.core.errors import CatalogError

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


def test_a_table_comes_back_as_it_was(path: Path) -> None:
    write_aliases(AliasTable(ROWS), path)
    assert read_aliases(path).rows == tuple(ROWS)
    assert tuple(read_aliases(path).frame().columns) == COLUMNS


MARKS = st.text("';,\t\r\n =+-@\"\ufeffa", max_size=8)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00")) | MARKS
NAMES = TEXT.map(str.strip).filter(bool)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.builds(
            AliasRow, TEXT, NAMES, NAMES, st.floats(0, 1), st.integers(0, 10**9), st.just("review"), NAMES, NAMES
        ),
        unique_by=lambda row: row.supplied,
    ),
    st.sampled_from(["csv", "parquet"]),
)
def test_wild_strings_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[AliasRow], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("wild") / f"aliases.{suffix}"
    write_aliases(AliasTable(rows), path)
    assert read_aliases(path).rows == tuple(rows)


@pytest.mark.parametrize("formula", ["=1+1", "+49 Brand", "-Brand", "@home", " =1+1", "＝1+1", "'quoted", "'=x"])
def test_formulas_are_neutralised_in_csv(tmp_path: Path, formula: str) -> None:
    path = tmp_path / "aliases.csv"
    write_aliases(AliasTable([AliasRow(formula, formula)]), path)
    line = path.read_text(encoding="utf-8").splitlines()[1]
    assert line.startswith(f"'{formula},'{formula},")
    assert read_aliases(path).lookup(formula) == formula.strip()


@pytest.mark.parametrize(
    "name",
    ["Nike;=cmd|' /C calc'!A0", "Acme\t=1+1", "A, -B", "A;'x", "A; \t@b", "a\n=b", "L'Oréal; 'x'", ";;=1", "a;''=b"],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_begins_with_a_formula_wherever_a_spreadsheet_splits(tmp_path: Path, name: str, separator: str) -> None:
    path = tmp_path / "aliases.csv"
    rows = [AliasRow("Other", "Other"), AliasRow(name, name, products=2)]
    write_aliases(AliasTable(rows, layout=Layout(separator=separator)), path)
    for cell in re.split(r"[;,\t\r\n]", path.read_text(encoding="utf-8")):
        assert not re.match(r'[\s"]*[=+\-@]', cell), cell
    assert read_aliases(path).rows == tuple(rows)


def test_what_prodemb_decided_is_not_taken_for_a_person_s_after_reading(path: Path) -> None:
    rows = [AliasRow("NIKE", "Nike", decided="Nike"), AliasRow("Lumo", "Luma", decided="Lumo")]
    write_aliases(AliasTable(rows), path)
    assert [row.is_edited for row in read_aliases(path).rows] == [False, True]


def test_a_person_answers_a_proposal(path: Path) -> None:
    for status, expected in (("review", "Nike Golf Days"), ("accepted", "Nike"), ("rejected", "Nike Golf Days")):
        frame = AliasTable(ROWS).frame()
        edited = pl.when(pl.col("supplied") == "Nike Golf Days").then(pl.lit(status)).otherwise("status")
        frame = frame.with_columns(status=edited)
        frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
        assert read_aliases(path).lookup("Nike Golf Days") == expected


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
        ("supplied,canonical\nx,y\nx,z\n", "row 3: 'x' is repeated"),
        ("supplied,canonical\nx,y\nNike, Inc.,Nike\n", "row 3: found 3 cells, wanted 2 as in the header"),
        ("supplied;canonical;products\nx;y;many\n", "row 2: found score None, products 'many'"),
        ("supplied,canonical,products\nx,y,inf\n", "row 2: found score None, products 'inf'"),
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


def test_a_person_s_own_columns_stay_where_they_are(path: Path) -> None:
    frame = AliasTable(ROWS).frame().with_columns(comment=pl.Series(["why, yes", None, "ask Ann", None, "=1+1"]))
    frame = frame.select("supplied", "comment", *COLUMNS[1:]).with_columns(seen=pl.lit("x"))
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)

    known = read_aliases(path)
    table = known.with_rows([AliasRow("Acme", "Acme"), *known.rows[1:], replace(known.rows[0], products=21)])
    write_aliases(table, path)
    again = read_aliases(path).frame()
    assert again.columns == frame.columns
    assert again["supplied"].to_list() == ["Acme", *(row.supplied for row in ROWS[1:]), "Nike"]
    assert again["comment"].to_list() == [None, None, "ask Ann", None, "=1+1", "why, yes"]
    assert again["seen"].to_list() == [None, *["x"] * 5]


def test_own_columns_of_any_type_stay_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "aliases.parquet"
    AliasTable(ROWS).frame().with_columns(checked=pl.Series([True, False, None, True, True])).write_parquet(path)
    write_aliases(read_aliases(path), path)
    assert pl.read_parquet(path)["checked"].to_list() == [True, False, None, True, True]


def test_written_twice_is_the_same_to_the_byte(path: Path) -> None:
    rows = [replace(ROWS[0], supplied=f"n{place}", score=place / 7000) for place in range(7000)]
    write_aliases(AliasTable(rows), path)
    first = path.read_bytes()
    write_aliases(read_aliases(path), path)
    assert path.read_bytes() == first


def spreadsheet(separator: str) -> str:
    """What a spreadsheet makes of ROWS after an edit: CRLF, decimal commas, blanks, empty cells and rows."""
    lines = [
        ["supplied", "canonical ", "rule", "score", "products", "status", "proposed", ""],
        ["Nike", "Nike", "exact", "1", "20", "accepted", "", ""],
        ["NIKE®", "Nike  ", "marks", '"0,99"', "5", "", "", ""],
        ["Nike Golf Days", "Nike Golf Days", "line", '"0,5"', "2", " Accepted ", " Nike ", ""],
        [" Ñandú ", "Ñandú", "exact", "1", "2", "accepted", "", ""],
        [""] * 8,
    ]
    return "\r\n".join(separator.join(cells) for cells in lines) + "\r\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_that_a_spreadsheet_saved_is_read_right(tmp_path: Path, separator: str, encoding: str) -> None:
    path = tmp_path / "aliases.csv"
    path.write_bytes(spreadsheet(separator).encode(encoding))
    table = read_aliases(path)
    assert [row.supplied for row in table.rows] == ["Nike", "NIKE®", "Nike Golf Days", " Ñandú "]
    assert [row.score for row in table.rows] == [1.0, 0.99, 0.5, 1.0]
    assert table.canonical_of(["NIKE®", "Nike Golf Days", " Ñandú "]).to_list() == ["Nike", "Nike", "Ñandú"]
    assert table.frame().columns == list(COLUMNS)

    write_aliases(table, path)
    raw = path.read_bytes()
    assert raw.startswith("\ufeff".encode()) == (encoding == "utf-8-sig")
    assert separator.join(COLUMNS).encode() in raw
    assert read_aliases(path).rows == table.rows


def test_another_encoding_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "aliases.csv"
    path.write_bytes("supplied,canonical\nx,y\nNestlé,Nestlé\n".encode("cp1252"))
    with pytest.raises(CatalogError, match=r"aliases\.csv: row 3: found a character that is not UTF-8"):
        read_aliases(path)


def test_a_line_break_inside_the_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "aliases.csv"
    path.write_bytes(b"supplied,cano\rnical\nNIKE,Nike\n")
    with pytest.raises(CatalogError, match="cannot be read as an alias file"):
        read_aliases(path)


@pytest.mark.parametrize(
    ("score", "products"), [("nan", "1"), ("1e400", "1"), ("-1", "1"), ("1", "1e300"), ("1", "-3"), ("9" * 5000, "1")]
)
def test_numbers_of_no_alias_file_are_refused_with_their_row(tmp_path: Path, score: str, products: str) -> None:
    path = tmp_path / "aliases.csv"
    path.write_text(f"supplied,canonical,score,products\nNike,Nike,1,1\nnike,Nike,{score},{products}\n")
    with pytest.raises(CatalogError, match=r"aliases\.csv: row 3: found score .* wanted two numbers from 0"):
        read_aliases(path)


def test_a_parquet_file_of_few_bytes_and_endless_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prodemb.aliases.alias_file.MAX_FILE_BYTES", 5_000_000)
    path = tmp_path / "aliases.parquet"
    name = pl.repeat("x" * 1_000_000, 20, eager=True)
    pl.DataFrame({"supplied": name, "canonical": name}).write_parquet(path)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(CatalogError, match=r"aliases\.parquet: cannot be read .*bytes, wanted at most"):
        read_aliases(path)
