"""Parquet and Arrow keep their types; what is damaged is named."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.catalog.formats import columnar, open_source, source
from prodemb.core.errors import CatalogError

TABLE = pa.table(
    {
        "id": ["007", "008", None],
        "price": [1.5, None, 3.0],
        "when": [datetime.date(2025, 11, 3)] * 3,
        "image": [{"bytes": b"x", "path": "a.jpg"}, None, {"bytes": None, "path": "b.jpg"}],
        "tags": [["a", "b"], [], None],
        "raw": [b"\xff", None, b""],
    }
)


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_types_are_kept(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "feed"
    if kind == "parquet":
        pq.write_table(TABLE, path)
    else:
        with pa.OSFile(str(path), "wb") as file:
            make = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
            with make(file, TABLE.schema) as writer:
                writer.write_table(TABLE)
    opened = open_source(path)
    (batch,) = opened.batches()
    assert batch.table.equals(TABLE)
    assert list(batch.rows) == [1, 2, 3]
    assert opened.columns == tuple(TABLE.column_names)
    (batch,) = opened.batches(columns=["tags", "id"], start=1, stop=2)
    assert batch.table.to_pylist() == [{"tags": [], "id": "008"}]


def test_row_groups_before_the_first_row_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "feed"
    ids = [f"{number:08d}" for number in range(300)]
    pq.write_table(pa.table({"id": ids}), path, row_group_size=100, use_dictionary=False)
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    content = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    content[middle : middle + 50] = bytes(255 - byte for byte in content[middle : middle + 50])
    path.write_bytes(content)
    opened = open_source(path)

    def read(start: int) -> list[tuple[int, str]]:
        batches = opened.batches(start=start)
        return [pair for batch in batches for pair in zip(batch.rows, batch.table["id"].to_pylist(), strict=True)]

    assert read(100) == list(enumerate(ids, start=1))[100:]
    assert read(250) == list(enumerate(ids, start=1))[250:]
    with pytest.raises(CatalogError, match="damaged Parquet"):
        read(99)
    monkeypatch.setattr(columnar, "MAX_ROW_BYTES", 500)  # a row before it might be left out, and shift the others
    with pytest.raises(CatalogError, match="damaged Parquet"):
        read(100)


def test_dictionaries_read_as_their_values(tmp_path: Path) -> None:
    column = pa.array(["Acme", "Bolt", "Acme"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))
    table = pa.table({"brand": column})
    pq.write_table(table, tmp_path / "a")
    with pa.OSFile(str(tmp_path / "b"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    for name in "ab":
        (batch,) = open_source(tmp_path / name).batches()
        assert batch.table.to_pylist() == [{"brand": "Acme"}, {"brand": "Bolt"}, {"brand": "Acme"}]
        assert not pa.types.is_dictionary(batch.table["brand"].type)


def test_batches_of_large_values_have_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar, "BATCH_BYTES", 10_000)
    monkeypatch.setattr(source, "BATCH_BYTES", 10_000)
    pq.write_table(pa.table({"id": range(100), "raw": [bytes([n]) * 1_000 for n in range(100)]}), tmp_path / "a")
    opened = open_source(tmp_path / "a")
    assert opened.num_rows == 100
    assert all(len(batch.rows) <= 20 for batch in opened.batches())
    assert sum(len(batch.rows) for batch in opened.batches()) == 100


def test_a_row_that_is_too_long_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar, "MAX_ROW_BYTES", 1_000)
    pq.write_table(pa.table({"id": ["a", "b", "c"], "raw": [b"x", b"x" * 2_000, None]}), tmp_path / "a")
    opened = open_source(tmp_path / "a")
    assert [row for batch in opened.batches() for row in batch.table["id"].to_pylist()] == ["a", "c"]
    assert [str(row) for row in opened.skipped.first] == [f"{tmp_path / 'a'}: row 2: longer than 1,000 bytes"]


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [str(number) for number in range(100_000)]}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"a\.parquet: damaged Parquet"):
        list(open_source(path).batches())


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["id", "id"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(CatalogError, match="found the column 'id' twice"):
        open_source(tmp_path / "a.parquet")
