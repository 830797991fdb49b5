"""JSON in any layout; a record that is no JSON costs that record."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog.formats import json_values, open_source
from prodemb.catalog.formats.source import Source

A, B, C = ({"id": id, "title": f"Mug {id}"} for id in "abc")


def opened(path: Path, content: str | bytes) -> tuple[Source, list[dict[str, str | None]], list[int]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = open_source(path)
    batches = list(source.batches())
    rows = [row for batch in batches for row in batch.table.to_pylist()]
    return source, rows, [int(row) for batch in batches for row in batch.rows]


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("\n".join(map(json.dumps, [A, B, C])), "json lines"),
        ("\n\n".join(map(json.dumps, [A, B, C])) + "\n", "json lines"),
        (",\n".join(map(json.dumps, [A, B, C])), "json lines"),
        (" ".join(map(json.dumps, [A, B, C])), "json lines"),
        ("\n".join(json.dumps(each, indent=2) for each in [A, B, C]), "json lines"),
        (json.dumps([A, B, C]), "json array"),
        (json.dumps([A, B, C], indent=4), "json array"),
        ("[" + ",\n".join(map(json.dumps, [A, B, C])) + "]", "json array"),
        ("[" + "\n,".join(map(json.dumps, [A, B, C])) + ",]", "json array"),
        (json.dumps({"products": [A, B, C]}), "json object"),
        (json.dumps({"title": "Shop", "url": "x", "brand": "y", "items": [A, B, C]}, indent=1), "json object"),
        (json.dumps({"status": "ok", "data": {"total": 3, "items": [A, B, C]}, "next": None}), "json object"),
        (json.dumps({"categories": [{"id": 1, "name": "x"}] * 9, "products": [A, B, C]}), "json object"),
        (json.dumps({"products": [A, B, C], "brands": [{"id": 1, "name": "x", "url": "y"}] * 9}), "json object"),
        (json.dumps({"data": {"products": {"edges": [{"node": each} for each in (A, B, C)]}}}), "json object"),
        (json.dumps([{"product": each} for each in (A, B, C)]), "json array"),
        (json.dumps([["id", "title"], *(list(each.values()) for each in (A, B, C))]), "json array"),
        ('{"products": [' + json.dumps(A) + "]}\n" + json.dumps({"products": [B, C]}), "json object"),
    ],
)
def test_layouts(tmp_path: Path, content: str, format: str) -> None:
    source, rows, _ = opened(tmp_path / "a.json", content)
    assert rows == [A, B, C]
    assert source.format == format
    assert not source.skipped.count


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("num_products", [1, 2])
def test_a_products_own_lists_are_no_products(tmp_path: Path, indent: int | None, num_products: int) -> None:
    parts = {"images": [{"id": 1, "src": "u"}] * 3, "variants": [{"id": 7, "title": "S", "sku": "x", "price": "1"}] * 3}
    product = {**A, "brand": "Acme", "price": 3, **parts}
    _, rows, _ = opened(tmp_path / "a.json", "\n".join([json.dumps(product, indent=indent)] * num_products))
    assert [row["title"] for row in rows] == ["Mug a"] * num_products


def test_lines_as_python_prints_dictionaries(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [
        {"id": "a", "title": 'The "Big" Baker\'s Mug', "tags": ["x"], "price": None, "new": True},
        {**B, "price": 2.5},
    ]
    source, rows, _ = opened(tmp_path / "a.json", "\n".join(map(repr, [*records, "{'id': cut"])).replace('"{', "{"))
    assert rows[0] == {"id": "a", "title": records[0]["title"], "tags": '["x"]', "price": None, "new": "true"}
    assert rows[1]["price"] == "2.5"
    assert source.skipped.count == 1


def test_an_object_of_objects_is_a_table_with_its_keys(tmp_path: Path) -> None:
    content = json.dumps({f"SKU{number}": {"title": f"Mug {number}", "brand": "Acme"} for number in range(4)})
    _, rows, _ = opened(tmp_path / "a.json", content)
    assert rows[3] == {"key": "SKU3", "title": "Mug 3", "brand": "Acme"}


def test_values_are_as_they_are_written(tmp_path: Path) -> None:
    content = """[{"id": 007, "a": 1}, {"id": 12345678901234567890123, "price": 12.10, "exp": 1e5, "yes": true,
        "no": null, "nan": NaN, "tags": ["x", "é"], "size": {"w": 1}, "text": "a\nb", "half": "Mug \\ud800",
        "a": ""}]"""
    source, rows, _ = opened(tmp_path / "a.json", content)
    assert rows == [
        {
            "id": "12345678901234567890123",
            "price": "12.10",
            "exp": "1e5",
            "yes": "true",
            "no": None,
            "nan": None,
            "tags": '["x","é"]',
            "size": '{"w":1}',
            "text": "a\nb",
            "half": "Mug ?",
            "a": "",
        }
    ]
    assert source.skipped.by_reason == {"not valid JSON": 1}


BAD = ['{"id": "x", "title": "Mug" "y"}', '{"id": "x", "title": "Mug}', '{"id": "x", "title": Mug}', '{"id": "x",, }']


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("layout", ["lines", "array of lines", "pretty"])
def test_a_broken_record_costs_that_record(tmp_path: Path, bad: str, layout: str) -> None:
    records = [json.dumps(A), json.dumps(B), bad, json.dumps(C)]
    match layout:
        case "lines":
            content = "\n".join(records)
        case "array of lines":
            content = "[\n" + ",\n".join(records) + "\n]"
        case _:
            pretty = [json.dumps(each, indent=2).replace("\n", "\n  ") for each in (A, B, C)]
            content = "[\n  " + ",\n  ".join([*pretty[:2], bad.replace(", ", ",\n    "), pretty[2]]) + "\n]"
    source, rows, _ = opened(tmp_path / "a.json", content)
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert source.skipped.count == 1


def test_a_file_that_is_cut_off_loses_its_last_record(tmp_path: Path) -> None:
    for content in (json.dumps([A, B, C]), json.dumps([A, B, C], indent=1), json.dumps({"items": [A, B, C]})):
        source, rows, _ = opened(tmp_path / "a.json", content[:-10])
        assert [row["id"] for row in rows] == ["a", "b"]
        assert source.skipped.count == 1


def test_lines_are_numbered_as_they_are_and_named_where_they_are_no_objects(tmp_path: Path) -> None:
    deep = '{"title": ' + "[" * 900 + "]" * 900 + "}"
    content = (
        f"{json.dumps(A)}\n\nnot json\n[1, 2]\n{deep}\n{'[' * 100_000}\n{json.dumps(B)}\n{json.dumps(C)}\n"
        + (json.dumps(A) + "\n") * 9
    )
    source, _, numbers = opened(tmp_path / "a.jsonl", content)
    assert numbers[:3] == [1, 7, 8]
    assert [(row.row, row.reason) for row in source.skipped.first] == [
        (3, "not valid JSON"),
        (4, "found a list, wanted a JSON object"),
        (5, "nested more than 50 deep"),
        (6, "not valid JSON"),
    ]


def test_keys_that_come_late_can_be_asked_for_and_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodemb.catalog.formats.records.NUM_SAMPLED", 2)
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, [A, B, {**C, "brand": "Acme"}])))
    source = open_source(path)
    assert source.columns == ("id", "title")
    (batch,) = source.batches(columns=["brand"])
    assert batch.table["brand"].to_pylist() == [None, None, "Acme"]
    assert source.late_columns == {"brand": 3}  # type: ignore[attr-defined]


@pytest.mark.parametrize("layout", ["lines", "array", "object"])
def test_a_record_that_is_too_long_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    for module in ("json_values", "text"):
        monkeypatch.setattr(f"prodemb.catalog.formats.{module}.MAX_ROW_BYTES", 100_000)
    long = json.dumps({"id": "x", "parts": [{"id": 'a"b\\', "text": "}{" * 300}] * 500})
    records = [json.dumps(A), long, json.dumps(B)]
    content = {"lines": "\n".join(records), "array": f"[{','.join(records)}]"}.get(
        layout, f'{{"products": [{",".join(records)}]}}'
    )
    source, rows, _ = opened(tmp_path / "a.json", content)
    assert [row["id"] for row in rows] == ["a", "b"]
    assert source.skipped.count == 1


@given(
    st.lists(
        st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.none() | st.lists(st.text())), min_size=2
    ),
    st.sampled_from([None, 0, 2]),
    st.integers(1, 40),
)
@settings(deadline=None)
def test_what_json_writes_comes_back_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]], indent: int | None, piece: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.json"
    records = [
        {"id": number, **{f"_{key}": value for key, value in each.items()}} for number, each in enumerate(records)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_values, "PIECE_CHARS", piece)
        _, rows, _ = opened(path, json.dumps(records, indent=indent))
    assert [row["id"] for row in rows] == [str(each["id"]) for each in records]
    for row, record in zip(rows, records, strict=True):
        for key, value in record.items():
            if isinstance(value, str) and value.isprintable():
                assert row[key] == value


@pytest.mark.parametrize("first", ['{"":[{}]}', '{"":[{"":null}:', "{0:[{}]}", '{"nodes": [{"id": "9"}]}'])
def test_a_line_with_a_list_of_objects_is_no_page_where_the_others_have_none(tmp_path: Path, first: str) -> None:
    lines = [first, *(json.dumps({"id": str(number), "title": f"mug {number}"}) for number in range(4))]
    _, rows, _ = opened(tmp_path / "a.jsonl", "\n".join(lines))
    assert [row["id"] for row in rows if row.get("id")] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("first", ["0", "# exported today", "id,title", "null"])
def test_a_first_line_of_something_else_makes_no_other_format_of_json_lines(tmp_path: Path, first: str) -> None:
    lines = [first, *(json.dumps({"id": str(number), "title": f"mug {number}"}) for number in range(4))]
    source, rows, _ = opened(tmp_path / "a.jsonl", "\n".join(lines))
    assert source.format == "json lines"
    assert [row["id"] for row in rows] == ["0", "1", "2", "3"]
