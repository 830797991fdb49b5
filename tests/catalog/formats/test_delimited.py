"""A bad row of a delimited text costs that row and nothing more, and the fast way gives what the slow one gives."""

import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prodemb.catalog.formats import delimited, open_source, text
from prodemb.core.errors import CatalogError

HEADER = "product_id,title,brand,cat1,cat2\n"


class Found:
    """What a file gives."""

    def __init__(self, path: Path, content: str | bytes) -> None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.source = open_source(path)
        batches = list(self.source.batches())
        self.numbers = [int(number) for batch in batches for number in batch.rows]
        self.rows = [row for batch in batches for row in batch.table.to_pylist()]
        self.values = [list(row.values()) for row in self.rows]
        self.lost = [(row.row, row.reason) for row in self.source.skipped.first]
        self.ignored = [(row.row, row.reason) for row in self.source.ignored.first]

    @property
    def ids(self) -> list[str]:
        return [values[0] for values in self.values]


def test_plain_rows(tmp_path: Path) -> None:
    found = Found(tmp_path / "a.csv", HEADER + '1,"Mug, blue",Acme,A,B\n\n2,"He said ""hi""\nand left",,A,B\r\n')
    assert found.values == [["1", "Mug, blue", "Acme", "A", "B"], ["2", 'He said "hi"\nand left', "", "A", "B"]]
    assert found.numbers == [2, 4]  # as in a spreadsheet: the header and the empty line count
    assert (found.source.format, found.source.delimiter, found.source.header_row) == ("csv", ",", 1)
    assert not found.lost


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^"])
def test_delimiters_and_line_ends_are_found(tmp_path: Path, delimiter: str, newline: str) -> None:
    content = (HEADER + "1,Mug,Acme,A,B\n2,Cup,Acme,A,B\n").replace(",", delimiter).replace("\n", newline)
    assert Found(tmp_path / "a.csv", content).ids == ["1", "2"]


def test_ragged_rows(tmp_path: Path) -> None:
    content = HEADER + "1,Mug,Acme,A,B\n2,Cup\n3,Pan,Acme,A,B,C\n4,Pot,Acme,A,B,\n5\n6,Pot,Acme,A,B,,\n"
    found = Found(tmp_path / "a.csv", content)
    assert found.values == [
        ["1", "Mug", "Acme", "A", "B"],
        ["2", "Cup", "", "", ""],
        ["4", "Pot", "Acme", "A", "B"],
        ["6", "Pot", "Acme", "A", "B"],
    ]
    assert found.lost == [(4, "found 6 values, wanted 5"), (6, "found 1 value, wanted 5")]


@pytest.mark.parametrize(
    "bad",
    [
        '5,"27 inch screen,Acme,A,B\n',  # opened, never closed
        '5,"27 inch screen,Acme,A,B\n6,24" screen,Acme,A,B\n',  # closed by another row's inch
        '5,"27 inch screen,Acme,A,B\n6,"A, b",Acme,A,B\n',  # closed by a proper quote
        '5,"27 inch screen,Acme,A,B\n6,24",Acme,A,B\n',  # closes as a proper quote would
        '5,27" screen,Acme,A,B\n',  # in the middle it is a character like any other
        '5,Screen,Acme,A,"B\n',
    ],
)
@pytest.mark.parametrize("num_after", [1, 30])
def test_a_stray_quote_loses_no_row(tmp_path: Path, bad: str, num_after: int) -> None:
    after = "".join(f"{100 + number},Pan {number},Acme,A,B\n" for number in range(num_after))
    content = HEADER + "".join(f"{number},Mug,Acme,A,B\n" for number in range(1, 5)) + bad + after
    found = Found(tmp_path / "a.csv", content)
    assert found.ids == [line.split(",")[0] for line in content.splitlines()[1:]]


def test_lines_of_a_true_value_are_no_rows(tmp_path: Path) -> None:
    """The last lines have as many values as a row has, by chance."""
    content = 'id,text,a,b,c\n1,"soft, warm\nand, nice",A,B,C\nX7,"one,two,three,four\nwarm, nice",A,B,C\n'
    assert [row["text"] for row in Found(tmp_path / "a.csv", content).rows] == [
        "soft, warm\nand, nice",
        "one,two,three,four\nwarm, nice",
    ]


@pytest.mark.parametrize("quoted", [False, True])
def test_a_row_that_is_too_long_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quoted: bool) -> None:
    monkeypatch.setattr(text, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(delimited, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 500)
    quote = '"' if quoted else ""
    content = HEADER + f"1,Mug,Acme,A,B\n2,{quote}" + "x" * 5000 + f"{quote},Acme,A,B\n3,Mug,Acme,A,B\n"
    found = Found(tmp_path / "a.csv", content)
    assert found.ids == ["1", "3"]
    assert found.numbers == [2, 4]
    assert [row for row, _ in found.lost] == [3]


def test_a_long_true_value_is_kept(tmp_path: Path) -> None:
    value = "\n".join(f"line {number}, with, some, commas, in, it" for number in range(2_000)) + "x" * 10**7
    found = Found(tmp_path / "a.csv", HEADER + f'1,Mug,Acme,A,"{value}"\n2,Mug,Acme,A,B\n')
    assert [row["cat2"] for row in found.rows] == [value, "B"]


@pytest.mark.parametrize("line", ['1,a","\n', '1,"a,b,c\n', '1,"a\n', '"1,a\n', '1,a,"b\n'])
def test_stray_quotes_are_read_in_linear_time(tmp_path: Path, line: str) -> None:
    started = time.process_time()
    assert len(Found(tmp_path / "a.csv", "id,title\n" + line * 40_000).ids) in (0, 40_000)
    assert time.process_time() - started < 5


def test_many_columns_are_read_soon(tmp_path: Path) -> None:
    num_columns = 16_000
    content = ",".join(f"attribute_{number}" for number in range(num_columns)) + "\n"
    content += "".join(",".join([str(row)] * num_columns) + "\n" for row in range(20))
    started = time.process_time()
    found = Found(tmp_path / "a.csv", content)
    assert len(found.rows) == 20
    assert time.process_time() - started < 20
    (tmp_path / "b.csv").write_text(content.replace("\n", ",x" * 1000 + "\n"))
    with pytest.raises(CatalogError, match="found 17,000 columns, wanted at most 16,384"):
        open_source(tmp_path / "b.csv")


def test_concatenated_exports_comments_remarks_and_totals(tmp_path: Path) -> None:
    content = (
        "# exported 2025-11-03,,,\n"
        "id,title,brand,price\n1,Mug,Acme,3.00\n2,Cup,Acme,4.00\n,,,\n# checked, twice\n"
        "id,title,brand,price\n3,Pan,Acme,5.00\nTotal,,,12.00\n3 products in all,,,\n"
    )
    found = Found(tmp_path / "a.csv", content)
    assert found.ids == ["1", "2", "3"]
    assert found.numbers == [3, 4, 8]
    assert found.ignored == [
        (1, "a row of labels or remarks at the header"),
        (6, "a comment"),
        (7, "the header once more"),
        (9, "a total"),
        (10, "a remark: only its first cell has a value"),
    ]
    assert not found.lost


def test_an_empty_first_column_as_spreadsheets_export_it(tmp_path: Path) -> None:
    content = (
        ";sku;title;price\n;A1;Mug;3\n;# checked;;\n;A2;Cup;4\n;sku;title;price\n;2 products in all;;\n;Summe;;7\n"
    )
    found = Found(tmp_path / "a.csv", content)
    assert [row["sku"] for row in found.rows] == ["A1", "A2"]
    assert len(found.ignored) == 4


def test_a_single_column_keeps_its_commas(tmp_path: Path) -> None:
    found = Found(tmp_path / "a.csv", "title\nBlue Mug\nRed Cup, large\n\n")
    assert found.ids == ["Blue Mug", "Red Cup, large"]


def test_a_product_with_nothing_but_a_title_is_one(tmp_path: Path) -> None:
    content = "title,brand,price\nBlue Mug,Acme,3\nRed Cup,,\nTotal Gym Bench,Acme,9\n# 9 Pan,Acme,1\n"
    assert Found(tmp_path / "a.csv", content).ids == ["Blue Mug", "Red Cup", "Total Gym Bench", "# 9 Pan"]


def test_quotes_are_text_where_rows_say_so(tmp_path: Path) -> None:
    lines = [
        "id\ttitle\tbrand",
        '1\t27" Screen\tAcme',
        '2\t"Heron" Lamp\tAcme',
        '3\t"Never closed\tAcme',
        "4\tMug\tAcme",
    ]
    found = Found(tmp_path / "a.tsv", "\n".join(lines))
    assert [row["title"] for row in found.rows] == ['27" Screen', '"Heron" Lamp', '"Never closed', "Mug"]


def test_quotes_in_titles_beside_proper_ones(tmp_path: Path) -> None:
    lines = ["id,title,text,brand", '1,"Heron" Lamp,"Best, in the room",Acme', '2,27" Screen,"Wide, flat",Acme']
    lines += [
        '3,"27" Screen","Wide, flat",Acme',
        '4,"Never closed,flat,Acme',
        "5,Mug,x,Acme",
        '6,"The ""Gale""",y,"A, B"',
    ]
    found = Found(tmp_path / "a.csv", "\n".join(lines))
    titles = ['"Heron" Lamp', '27" Screen', '27" Screen', '"Never closed', "Mug", 'The "Gale"']
    assert [row["title"] for row in found.rows] == titles
    assert found.rows[0]["text"] == "Best, in the room"


def test_quotes_behind_backslashes(tmp_path: Path) -> None:
    content = '"id","title","brand"\n"1","Riser 27\\"","Acme"\n"2","A \\"b\\", c","Acme"\n"3","C:\\\\","Acme"\n'
    found = Found(tmp_path / "a.csv", content)
    assert [row["title"] for row in found.rows] == ['Riser 27"', 'A "b", c', "C:\\"]


def test_pandas_row_numbers_have_a_name_of_their_own(tmp_path: Path) -> None:
    assert Found(tmp_path / "a.csv", ",id,title\n0,a,Mug\n1,b,Cup\n").source.columns == ("column_1", "id", "title")


VALUES = st.lists(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=4, max_size=4).map(
        lambda values: ["id", *values]
    ),
    max_size=8,
)


@given(table=VALUES, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@settings(deadline=None)
def test_what_the_csv_module_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], quoting: Any
) -> None:
    buffer = io.StringIO()
    # Two sound rows say how the file is written.
    rows = [["id", "Mug, blue", "Acme", 'A "b"', "x"], ["id", "Cup", "Acme", "A", "y"], *table]
    csv.writer(buffer, quoting=quoting).writerows([["sku", "title", "brand", "category", "image"], *rows])
    found = Found(tmp_path_factory.getbasetemp() / "written.csv", buffer.getvalue())
    assert found.values == rows or found.lost or found.ignored


CELLS = st.sampled_from(
    ["", "a", "b c", '"x"', '"a,b"', '"a\nb"', '"a ""q"" b"', "12", "# x", "Total", " ", '27"', "é", '"', '""', "Итого"]
) | st.sampled_from(['"l1\r\nl2"', ' "q"', "\u00a0", "a\r", "\\", '"a\\"'])


@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=30),
    st.integers(1, 5),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([64, 300, 1 << 22]),
    st.booleans(),
)
@example([["a"], ['"a\nb"', "x"]], 2, "\n", 64, False)
@settings(deadline=None, max_examples=300)
def test_the_fast_way_gives_what_the_slow_one_gives(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    num_columns: int,
    newline: str,
    block: int,
    lead: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "both.csv"
    header = ",".join(["" if lead else "sku", "title", "brand", "category", "image"][:num_columns])
    sound = ",".join(["7", "Mug", "Acme", "Kitchen", "a.jpg"][:num_columns])
    content = newline.join([header, *[sound] * 3, *map(",".join, rows), *[sound] * 20, header, sound])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block)
        fast = Found(path, content)
        patch.setattr(delimited._Parser, "_fast", lambda self, block, row: None)
        slow = Found(path, content)
    assert (fast.numbers, fast.values, fast.lost, fast.ignored) == (slow.numbers, slow.values, slow.lost, slow.ignored)
