"""The label file survives spreadsheets, holds nothing that they run, and is read as people mean it."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog.plain_text import plain_text
from prodemb.core.errors import CatalogError, ConfigError
from prodemb.label.label_file import COLUMNS, check_label_out, read_label_file, write_label_file

IDS = ["007", "1e5", "3-4", "Mar 5", "12.50", "9007199254740993", "TRUE", "-5", "'05", "plain", "170fdf", "42", "=1+1"]
CHANGED = ["1-Mai", "Okt 12", "12-DEZ", "10 AM", "3:30 PM", "WAHR", "R5", "EUR 12", "H12.5.1", "123456789012", "A;-B"]


def rows(ids: list[str], **columns: Sequence[str | None]) -> pl.DataFrame:
    values = {name: columns.get(name, [None] * len(ids)) for name in COLUMNS} | {"product_id": ids}
    return pl.DataFrame(values, schema=dict.fromkeys(COLUMNS, pl.String))


def cells_of(path: Path, *, separator: str = ",") -> list[list[str]]:
    return [*csv.reader(io.StringIO(path.read_text("utf-8-sig")), delimiter=separator)]


def test_what_is_written_opens_in_a_spreadsheet_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    write_label_file(path, rows(IDS, category=["187"] * len(IDS), title=["=HYPERLINK(1)", "Théière"] + ["x"] * 11))
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    header, *written = cells_of(path)
    assert header == [*COLUMNS]
    assert [row[0] for row in written[:5]] == ["'007", "'1e5", "'3-4", "'Mar 5", "'12.50"]
    assert [row[0] for row in written[9:12]] == ["'plain", "'170fdf", "42"]
    assert not [cell for row in written for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert [row[1] for row in written[:2]] == ["'=HYPERLINK(1)", "Théière"]
    assert read_label_file(path).labels_of("category", meaning=str)["product_id"].to_list() == IDS


def test_what_a_spreadsheet_may_change_in_any_language_is_protected(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    write_label_file(path, rows(CHANGED, category=["187"] * len(CHANGED)))
    assert all(row[0].startswith("'") for row in cells_of(path)[1:])
    assert read_label_file(path).labels_of("category", meaning=str)["product_id"].to_list() == CHANGED


@given(
    st.lists(
        st.one_of(st.sampled_from(IDS + CHANGED), st.text("'=0e5.-/+@ ;,\"é", min_size=1)).map(plain_text).filter(bool),
        min_size=1,
        unique=True,
    ),
    st.sampled_from([".csv", ".tsv"]),
)
@settings(max_examples=60, deadline=None)
def test_any_product_id_is_read_back(tmp_path_factory: pytest.TempPathFactory, ids: list[str], suffix: str) -> None:
    path = tmp_path_factory.mktemp("ids") / f"to_label{suffix}"
    write_label_file(path, rows(ids, category=["187"] * len(ids)))
    assert read_label_file(path).rows["product_id"].to_list() == ids


@pytest.mark.parametrize(
    ("name", "separator", "encoding"),
    [("a.csv", ";", "utf-8"), ("b.csv", "\t", "utf-16"), ("c.tsv", "\t", "utf-8-sig")],
)
def test_a_file_that_a_spreadsheet_saved_again(tmp_path: Path, name: str, separator: str, encoding: str) -> None:
    path = tmp_path / "to_label.csv"
    write_label_file(path, rows(["007", "b", "c"], title=["Théière", "x; y", "z, w"]))
    lines = cells_of(path)
    lines[1][2], lines[2][3] = "187.0", "Müller"
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(lines)
    (tmp_path / name).write_text(text.getvalue(), encoding)
    file = read_label_file(tmp_path / name)
    assert file.labels_of("category", meaning=str).rows() == [("007", "187.0")]
    assert file.labels_of("brand", meaning=str).rows() == [("b", "Müller")]
    assert file.is_own
    write_label_file(tmp_path / name, rows(["d"]), kept=file.cells, layout=file.layout)
    again = (tmp_path / name).read_bytes()
    assert again.startswith(b"\xef\xbb\xbf") == (encoding != "utf-8")
    assert cells_of(tmp_path / name, separator=separator) == [*lines, ["'d", *[""] * (len(COLUMNS) - 1)]]


def test_parquet_with_numbers_and_one_of_the_columns(tmp_path: Path) -> None:
    pl.DataFrame({"product_id": [7, 8, 9], "category": [187, None, 188], "other": [1, 2, 3]}).write_parquet(
        tmp_path / "labels.parquet"
    )
    file = read_label_file(tmp_path / "labels.parquet")
    assert file.labels_of("category", meaning=str).rows() == [("7", "187"), ("9", "188")]
    assert file.labels_of("brand", meaning=str).is_empty()
    assert not file.is_own


def test_rows_stay_as_they_are_with_columns_of_a_person_s_own(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    path.write_text("note,product_id,category,brand\nsure,'007,Shoes,\n=odd,c,,Acme\n")
    write_label_file(path, rows(["d"]), kept=read_label_file(path).cells)
    header, *written = cells_of(path)
    assert header[:4] == ["note", "product_id", "category", "brand"]
    assert {*COLUMNS} < {*header}
    assert [row[:4] for row in written] == [
        ["sure", "'007", "Shoes", ""],
        ["=odd", "c", "", "Acme"],
        ["", "'d", "", ""],
    ]


def test_rows_that_a_person_has_written_into(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    ids = [*"abcdefghi"]
    titles = ["=A  b", *"bcdefghi"]
    write_label_file(path, rows(ids, title=titles, likely_1=["1 - A"] * 9))
    header, *lines = cells_of(path)
    header.append("note")
    for line in lines:
        line.append("")
    # Nothing, a label, a brand, two marks, a note, another title, a word in a likely category, one where none was.
    edits = [(1, "category", "1"), (2, "brand", "x"), (3, "category", "?"), (4, "category", "-"), (5, "note", "no")]
    for place, name, value in [*edits, (6, "title", "G"), (7, "likely_1", "this"), (8, "cat2", "shoes")]:
        lines[place][header.index(name)] = value
    with path.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([header, *lines])
    file = read_label_file(path)
    shown = rows([*ids[:8], "i", "gone"], title=[*titles, None])
    assert file.is_touched(shown).to_list() == [False, *[True] * 8]
    assert file.not_told_ids.to_list() == ["d"]
    assert file.labels_of("category", meaning=str).rows() == [("b", "1")]


def test_labels_that_contradict_each_other_are_none_and_the_same_twice_is_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("product_id,category\na,2\na,Mugs\nb,2\nb,3\nc,x\nc,y\nd,2\nd,x\n,5\n")
    file = read_label_file(path)
    meaning = {"2": "2", "Mugs": "2", "3": "3"}.get
    assert file.labels_of("category", meaning=meaning).rows() == [("a", "2"), ("c", "x")]
    assert file.contradicting("category", meaning=meaning) == ["b", "d"]
    assert file.num_without_id == 1


def test_a_file_that_is_none_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"gone\.csv: no such label file; `prodemb label SHARDS gone\.csv` writes"):
        read_label_file(tmp_path / "gone.csv")
    (tmp_path / "other.csv").write_text("product_id,title\na,b\n")
    with pytest.raises(
        CatalogError, match="found the columns product_id, title, wanted product_id, and category or br"
    ):
        read_label_file(tmp_path / "other.csv")
    with pytest.raises(ConfigError, match=r"wanted a name that ends in \.csv or \.tsv"):
        check_label_out(tmp_path / "to_label.xlsx")
