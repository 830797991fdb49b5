"""Workbooks give their first sheet with a table, as a spreadsheet shows it."""

import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from prodemb.catalog.formats import open_source
from prodemb.core.errors import CatalogError

Cell = str | float | bool | None
_SPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def xlsx(**sheets: Sequence[Sequence[Cell]]) -> bytes:
    """A workbook with such sheets."""

    def cell(value: Cell, name: str) -> str:
        match value:
            case None:
                return ""
            case bool():
                return f'<c r="{name}" t="b"><v>{int(value)}</v></c>'
            case str():
                return f'<c r="{name}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
            case _:
                return f'<c r="{name}"><v>{value}</v></c>'

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        listed = "".join(
            f'<sheet name="{name}" sheetId="{place}" r:id="r{place}"/>' for place, name in enumerate(sheets, start=1)
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{_SPACE}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'
        )
        related = "".join(
            f'<Relationship Id="r{place}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{place}.xml"/>'
            for place in range(1, len(sheets) + 1)
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">{related}</Relationships>',
        )
        for place, rows in enumerate(sheets.values(), start=1):
            inside = ""
            for number, row in enumerate(rows, start=1):
                cells = "".join(cell(value, f"{chr(65 + at)}{number}") for at, value in enumerate(row))
                inside += f'<row r="{number}">{cells}</row>'
            archive.writestr(
                f"xl/worksheets/sheet{place}.xml",
                f'<worksheet xmlns="{_SPACE}"><sheetData>{inside}</sheetData></worksheet>',
            )
    return buffer.getvalue()


ODS = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
    '<table:table table:name="One">{rows}</table:table></office:spreadsheet></office:body></office:document-content>'
)


def test_values_as_they_are_shown_below_title_rows_of_the_first_sheet_with_a_table(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine", reason="needs the extra excel")
    table: list[list[Cell]] = [
        ["Price list"],
        [None],
        [None, "sku", "title", "stock", "price", "new"],
        [None, "007", "Mug", 12, 12.5, True],
        [None, "008", " Cup, blue ", None, 3, False],
        [None],
        [None, "2 products in all"],
    ]
    path = tmp_path / "feed.csv"
    path.write_bytes(
        xlsx(
            Cover=[["Our shop"], ["Made by", "Ann"], ["On", "Monday"]],
            Empty=[],
            Products=table,
            Other=[["id", "title"], ["1", "x"]],
        )
    )
    source = open_source(path)
    (batch,) = source.batches()
    rows = batch.table.to_pylist()
    assert [{key: value for key, value in row.items() if key != "column_1"} for row in rows] == [
        {"sku": "007", "title": "Mug", "stock": "12", "price": "12.5", "new": "TRUE"},
        {"sku": "008", "title": " Cup, blue ", "stock": "", "price": "3", "new": "FALSE"},
    ]
    assert list(batch.rows) == [4, 5]
    assert (source.format, source.header_row) == ("xlsx", 3)
    assert source.notes == {"sheets": "has 4 sheets; 'Products' is read"}


def test_open_document(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine", reason="needs the extra excel")
    rows = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>' for value in row
        )
        + "</table:table-row>"
        for row in [["id", "title"], ["007", "Mug"]]
    )
    path = tmp_path / "feed.ods"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", ODS.format(rows=rows))
        archive.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
    source = open_source(path)
    assert source.format == "ods"
    assert [batch.table.to_pylist() for batch in source.batches()] == [[{"id": "007", "title": "Mug"}]]


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    (tmp_path / "feed.xlsx").write_bytes(xlsx(Products=[["id", "title"], ["1", "x"]]))
    with pytest.raises(CatalogError, match=r"needs the extra `excel`: pip install 'prodemb\[excel\]'"):
        open_source(tmp_path / "feed.xlsx")


def test_other_documents_say_how_to_convert_them(tmp_path: Path) -> None:
    for name, said in (("word/document.xml", "Word document"), ("Index/Document.iwa", "Numbers document.*CSV or XLSX")):
        with zipfile.ZipFile(tmp_path / "feed.zip", "w") as archive:
            archive.writestr("[Content_Types].xml", "<x/>")
            archive.writestr(name, "x")
        with pytest.raises(CatalogError, match=said):
            open_source(tmp_path / "feed.zip")


def test_a_workbook_that_is_damaged_is_named(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine", reason="needs the extra excel")
    content = xlsx(Products=[["id", "title"], ["1", "x"]])
    (tmp_path / "feed.xlsx").write_bytes(content.replace(b"<workbook", b"<warkbook").replace(b"<sheet ", b"<shoot "))
    with pytest.raises(CatalogError, match=r"feed\.xlsx: .*(workbook|sheet)"):
        open_source(tmp_path / "feed.xlsx")
