"""A value that stands once in a file and belongs to thousands of rows is not in memory thousands of times."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.catalog.formats import coded as coded_pieces
from prodemb.catalog.formats import columnar, open_source, source
from prodemb.catalog.formats.columnar import ParquetSource
from prodemb.core.errors import CatalogError

LONG = "x" * (1 << 20)
NUM_ROWS = 1_500
MEMORY = 1_200 << 20
"""Data of the reader beside what its libraries take."""
PROGRAM = f"""
import json, resource, sys
from pathlib import Path
from prodemb.catalog.formats import open_source
taken = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (taken + {MEMORY}, taken + {MEMORY}))
source = open_source(Path(sys.argv[1]))
sizes = [(len(batch.rows), batch.table.nbytes) for batch in source.batches()]
print(json.dumps([sum(rows for rows, _ in sizes), max(size for _, size in sizes)]))
"""


def coded(values: list[Any]) -> pa.Array:
    return pa.array(values).dictionary_encode()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's data")
@pytest.mark.parametrize("name", ["text", "shared beginnings", "arrow", "list", "object"])
def test_a_long_value_of_many_rows_in_bounded_memory(tmp_path: Path, name: str) -> None:
    ids = [str(row) for row in range(NUM_ROWS)]
    titles = pa.DictionaryArray.from_arrays(pa.array([0] * NUM_ROWS, pa.int32()), [LONG])
    if name == "list":
        titles = pa.ListArray.from_arrays(pa.array(range(NUM_ROWS + 1), pa.int32()), titles)
    elif name == "object":
        titles = pa.StructArray.from_arrays([titles], ["en"])
    plain = pa.types.is_dictionary(titles.type) and name != "arrow"
    table = pa.table({"id": ids, "title": titles.dictionary_decode() if plain else titles})
    path = tmp_path / "feed"
    if name == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    elif name == "shared beginnings":
        encoding = {"title": "DELTA_BYTE_ARRAY", "id": "PLAIN"}
        pq.write_table(table, path, compression="zstd", use_dictionary=False, column_encoding=encoding)
    else:
        pq.write_table(table, path, compression="zstd")
    run = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    num_rows, largest = json.loads(run.stdout)
    assert num_rows == NUM_ROWS
    assert largest < 70 << 20


def test_dictionaries_give_the_same_values_and_types(tmp_path: Path) -> None:
    values = ["a", None, "b" * 3_000_000, "", "a", "b" * 3_000_000] * 9
    table = pa.table(
        {
            "id": [str(row) for row in range(len(values))],
            "title": values,
            "large": pa.array(values, pa.large_string()),
            "bytes": [value and value.encode() for value in values],
            "nothing": pa.array([None] * len(values), pa.string()),
            "number": coded([1, 2, 3] * 18),
        }
    )
    pq.write_table(table, tmp_path / "feed.parquet", row_group_size=20)
    opened = open_source(tmp_path / "feed.parquet")
    assert isinstance(opened, ParquetSource)
    batches = list(opened.batches())
    assert len(batches) > 2
    assert [row for batch in batches for row in batch.table.to_pylist()] == table.to_pylist()
    assert {batch.table.schema for batch in batches} == {opened.schema}
    assert [number for batch in batches for number in batch.rows] == [*range(1, len(values) + 1)]


def test_values_in_lists_and_objects_are_the_same_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a" * 400, None, "b", "", "a" * 400, "c" * 90]
    table = pa.table(
        {
            "id": [str(row) for row in range(60)],
            "tags": [[text, "b"] if text else None if text is None else [] for text in texts] * 10,
            "pair": pa.array([[text, text] if text else None for text in texts] * 10, pa.list_(pa.string(), 2)),
            "object": [{"en": text, "fr": [{"x": text}]} for text in texts] * 10,
            "map": pa.array([[("k", text), ("l", text)] for text in texts] * 10, pa.map_(pa.string(), pa.string())),
            "view": pa.array(texts * 10, pa.string_view()),
            "fixed": pa.array([b"abcd", None] * 30, pa.binary(4)),
            "a.b": texts * 10,
        }
    )
    path = tmp_path / "feed.parquet"
    pq.write_table(table, path, row_group_size=25)
    monkeypatch.setattr(columnar, "BATCH_BYTES", 2_000)
    monkeypatch.setattr(coded_pieces, "BATCH_BYTES", 2_000)
    monkeypatch.setattr(source, "BATCH_BYTES", 2_000)
    opened = open_source(path)
    assert isinstance(opened, ParquetSource)
    batches = list(opened.batches())
    assert len(batches) > 10
    assert [row for batch in batches for row in batch.table.to_pylist()] == table.to_pylist()
    assert {batch.table.schema for batch in batches} == {opened.schema}
    monkeypatch.undo()
    assert [row for batch in open_source(path).batches() for row in batch.table.to_pylist()] == table.to_pylist()


def test_pages_that_unpack_to_more_than_they_may_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "feed.parquet"
    table = pa.table({"id": ["1"] * 999, "title": ["x" * 100] * 999, "raw": pa.array([b"abcd"] * 999, pa.binary(4))})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    opened = open_source(path)
    monkeypatch.setattr(columnar, "MAX_PAGE_BYTES", 100_000)
    message = (
        r"feed\.parquet: found pages of 10\d,\d+ bytes unpacked, .* 'title', wanted at most 100,000: write it with"
    )
    with pytest.raises(CatalogError, match=message):
        list(opened.batches(columns=["title"]))
    assert sum(len(batch.rows) for batch in opened.batches(columns=["id", "raw"])) == 999
    monkeypatch.setattr(columnar, "MAX_PAGE_BYTES", 4_090)
    with pytest.raises(CatalogError, match="4,096 of them of column 'raw'"):
        list(opened.batches(columns=["raw"]))


def test_damaged_statistics_end_no_process(tmp_path: Path) -> None:
    path = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"id": ["1", "2"], "tags": [["a"], None]}), path)
    content = path.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    program = (
        "import sys, pathlib\nfrom prodemb.catalog.formats import open_source\n"
        "from prodemb.core.errors import CatalogError\npath = pathlib.Path(sys.argv[1])\n"
        "content = path.read_bytes()\n"
        f"for place in range(len(content) - 8 - {size}, len(content) - 8):\n"
        "  for byte in (0x25, 0x28, 0x29):\n"
        "    path.write_bytes(content[:place] + bytes([byte]) + content[place + 1:])\n"
        "    try: list(open_source(path).batches())\n"
        "    except CatalogError: pass\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_an_error_shows_no_endless_names(tmp_path: Path) -> None:
    names = ["id", "title", *(f"attribute_{number}" for number in range(2_000)), "x" * 61_000]
    (tmp_path / "feed.csv").write_text(",".join(names) + "\n" + ("1" + ",a" * 2_002 + "\n") * 3)
    opened = open_source(tmp_path / "feed.csv")
    assert max(map(len, opened.columns)) == 1_000
    with pytest.raises(CatalogError, match=r"columns there: id, title, attribute_0, .* and 1,953 more") as e:
        next(opened.batches(columns=["z"]))
    assert len(str(e.value)) < 5_000
