"""A bad row of a text catalog costs that row and nothing more."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog import lines
from prodemb.catalog.lines import Row, delimited_rows, header_of, json_rows
from prodemb.core.errors import CatalogError

HEADER = "product_id,title,brand,cat1,cat2\n"


def rows_of(path: Path, content: str | bytes) -> list[Row]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(delimited_rows(path, delimiter=header_of(path, delimiter=None)[1]))


def ids_of(rows: list[Row]) -> list[str]:
    return [row.values[0] for row in rows if row.fault is None]


def test_plain_rows(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", HEADER + '1,"Mug, blue",Acme,A,B\n\n2,"He said ""hi""\nand left",,A,B\r\n')
    assert [row.values for row in rows] == [
        ["1", "Mug, blue", "Acme", "A", "B"],
        ["2", 'He said "hi"\nand left', "", "A", "B"],
    ]
    assert [row.number for row in rows] == [1, 2]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_line_ends_are_found(tmp_path: Path, delimiter: str, newline: str) -> None:
    content = (HEADER + "1,Mug,Acme,A,B\n2,Cup,Acme,A,B\n").replace(",", delimiter).replace("\n", newline)
    assert ids_of(rows_of(tmp_path / "a.csv", content)) == ["1", "2"]


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + "1,Café,Acme,A,B\n").encode("utf-8-sig"),
        (HEADER + "1,Café,Acme,A,B\n").encode("utf-16"),
        (HEADER + "1,Café,Acme,A,B\n").encode("cp1252"),
    ],
)
def test_encodings_are_found(tmp_path: Path, content: bytes) -> None:
    (row,) = rows_of(tmp_path / "a.csv", content)
    assert row.values == ["1", "Café", "Acme", "A", "B"]
    assert header_of(tmp_path / "a.csv", delimiter=None)[0][0] == "product_id"


def test_bytes_that_are_not_utf8_are_said_once(tmp_path: Path) -> None:
    mixed = (HEADER + "1,Müsli,Acme,A,B\n").encode() + "2,Käse € – x,Acme,A,B\n3,Öl,Acme,A,B\n".encode("cp1252")
    assert [row.values[1] for row in rows_of(tmp_path / "a.csv", mixed)] == ["Müsli", "Käse € – x", "Öl"]
    told: list[str] = []
    list(delimited_rows(tmp_path / "a.csv", delimiter=",", tell=told.append))
    assert [message.count("cp1252") for message in told] == [1]


def test_ragged_rows_are_named(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", HEADER + "1,Mug,Acme,A,B\n2,Cup\n3,Pan,Acme,A,B,C\n4,Pot,Acme,A,B\n5\n")
    assert ids_of(rows) == ["1", "4"]
    assert [(row.number, row.fault) for row in rows if row.fault] == [
        (2, "found 2 values, wanted 5"),
        (3, "found 6 values, wanted 5"),
        (5, "found 1 value, wanted 5"),
    ]


@pytest.mark.parametrize(
    ("bad", "lost"),
    [
        ('5,"27 inch screen,Acme,A,B\n', ["5"]),  # opened, never closed
        ('5,"27 inch screen,Acme,A,B\n6,24" screen,Acme,A,B\n', ["5"]),  # closed by another row's inch
        ('5,"27 inch screen,Acme,A,B\n6,"A, b",Acme,A,B\n', ["5"]),  # closed by a proper quote
        ('5,"27 inch screen,Acme,A,B\n6,24",Acme,A,B\n', ["5"]),  # closes as a proper quote would
        ('5,27" screen,Acme,A,B\n', []),  # in the middle it is a character like any other
        ('5,Screen,Acme,A,"B\n', ["5"]),
    ],
)
@pytest.mark.parametrize("num_after", [0, 1, 30])
def test_a_stray_quote_does_not_swallow_rows(tmp_path: Path, bad: str, lost: list[str], num_after: int) -> None:
    after = "".join(f"{100 + n},Pan {n},Acme,A,B\n" for n in range(num_after))
    content = HEADER + "".join(f"{n},Mug,Acme,A,B\n" for n in range(1, 5)) + bad + after
    rows = rows_of(tmp_path / "a.csv", content)
    written = [line.split(",")[0] for line in content.splitlines()[1:]]
    kept = ids_of(rows)
    # At the very end of a file an open quote loses nothing, so it may stand.
    assert kept in ([each for each in written if each not in lost], *([written] if not num_after else []))
    assert len(rows) == len(written)


def test_lines_of_a_true_value_are_no_rows(tmp_path: Path) -> None:
    """The last lines have as many values as a row has, by chance."""
    content = 'id,text,a,b,c\n1,"soft, warm\nand, nice",A,B,C\nX7,"one,two,three,four\nwarm, nice",A,B,C\n'
    assert [row.values[1] for row in rows_of(tmp_path / "a.csv", content)] == [
        "soft, warm\nand, nice",
        "one,two,three,four\nwarm, nice",
    ]


def test_an_endless_value_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_ROW_CHARS", 1000)
    content = HEADER + "1," + "x" * 5000 + ',Acme,A,B\n2,"' + "y" * 5000 + '",Acme,A,B\n3,Mug,Acme,A,B\n'
    rows = rows_of(tmp_path / "a.csv", content)
    assert ids_of(rows) == ["3"]
    assert rows[-1].number == 3


def test_a_long_true_value_is_kept(tmp_path: Path) -> None:
    text = "\n".join(f"line {n}, with, some, commas, in, it" for n in range(lines.MAX_ROW_LINES // 2)) + "x" * 10**7
    (row,) = rows_of(tmp_path / "a.csv", HEADER + f'1,Mug,Acme,A,"{text}"\n')
    assert row.values[4] == text


@given(
    table=st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=4, max_size=4).map(
            lambda values: ["id", *values]
        ),
        max_size=8,
    ),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(deadline=None)
def test_what_the_csv_module_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], quoting: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.csv"
    buffer = io.StringIO()
    csv.writer(buffer, quoting=quoting).writerows([["a", "b", "c", "d", "e"], *table])
    assert [row.values for row in rows_of(path, buffer.getvalue()) if not row.fault] == table


@given(st.binary(), st.booleans())
@settings(deadline=None)
def test_any_bytes_are_rows_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, is_json: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes((b"" if is_json else HEADER.encode()) + content)
    try:
        rows = list(json_rows(path) if is_json else delimited_rows(path, delimiter=","))
    except CatalogError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    good = {"product_id": 1, "title": "Mug \ud800"}
    deep = "[" * 100_000
    path.write_bytes(gzip.compress(f"{json.dumps(good)}\n\nnot json\n[1, 2]\n{deep}\n{json.dumps(good)}".encode()))
    assert [(row.number, row.fault) for row in json_rows(path)] == [
        (1, None),
        (2, "not valid JSON"),
        (3, "found list, wanted a JSON object"),
        (4, "not valid JSON"),
        (5, None),
    ]


def test_a_truncated_gz_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    packed = gzip.compress((HEADER + "1,Mug,Acme,A,B\n" * 10_000).encode())
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CatalogError, match=r"a\.csv\.gz: cannot be read"):
        list(delimited_rows(path, delimiter=","))


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_unicode_in_any_form_is_read_with_or_without_a_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "catalog.csv"
    path.write_bytes("product_id,title\na,été 👟\nb,x\n".encode(encoding))
    assert header_of(path, delimiter=None) == (["product_id", "title"], ",")
    rows = [row.values for row in delimited_rows(path, delimiter=",")]
    assert rows == [["a", "été 👟"], ["b", "x"]]


def test_zeros_in_a_first_line_of_rubbish_are_no_encoding(tmp_path: Path) -> None:
    path = tmp_path / "catalog.jsonl"
    path.write_bytes(b'\x000\x00\n{"product_id": "a", "title": "Mug"}\n')
    assert [row.values.get("title") for row in json_rows(path)] == [None, "Mug"]


def test_what_is_broken_in_utf_16_costs_one_character(tmp_path: Path) -> None:
    path = tmp_path / "catalog.csv"
    path.write_bytes("product_id,title\na,".encode("utf-16") + b"\0\xd8" + "x\nb,y\n".encode("utf-16-le") + b"\0")
    assert [row.values for row in delimited_rows(path, delimiter=",")][:2] == [["a", "�x"], ["b", "y"]]


def test_json_that_is_nested_too_deep_costs_its_row(tmp_path: Path) -> None:
    path = tmp_path / "catalog.jsonl"
    deep = '{"title": ' + "[" * 900 + "]" * 900 + "}"
    flat = json.dumps({"title": [{"a": number} for number in range(200)]})
    path.write_text(f'{deep}\n{flat}\n{{"title": "x"}}\n')
    assert [row.fault for row in json_rows(path)] == ["nested more than 50 deep", None, None]
