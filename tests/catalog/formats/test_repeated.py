"""A value that stands once in a file and belongs to thousands of rows is not in memory thousands of times."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.catalog.formats import open_source
from prodemb.catalog.formats.columnar import ParquetSource
from prodemb.core.errors import CatalogError

LONG = "x" * (1 << 20)
NUM_ROWS = 1_500
MEMORY = 1_000 << 20
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
@pytest.mark.parametrize("name", ["text", "shared beginnings", "arrow"])
def test_a_long_value_of_many_rows_in_bounded_memory(tmp_path: Path, name: str) -> None:
    ids = [str(row) for row in range(NUM_ROWS)]
    titles = pa.DictionaryArray.from_arrays(pa.array([0] * NUM_ROWS, pa.int32()), [LONG])
    table = pa.table({"id": ids, "title": titles if name == "arrow" else titles.dictionary_decode()})
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
    source = open_source(tmp_path / "feed.parquet")
    assert isinstance(source, ParquetSource)
    batches = list(source.batches())
    assert len(batches) > 2
    assert [row for batch in batches for row in batch.table.to_pylist()] == table.to_pylist()
    assert {batch.table.schema for batch in batches} == {source.schema}
    assert [number for batch in batches for number in batch.rows] == [*range(1, len(values) + 1)]


def test_an_error_shows_no_endless_names(tmp_path: Path) -> None:
    names = ["id", "title", *(f"attribute_{number}" for number in range(2_000)), "x" * 61_000]
    (tmp_path / "feed.csv").write_text(",".join(names) + "\n" + ("1" + ",a" * 2_002 + "\n") * 3)
    source = open_source(tmp_path / "feed.csv")
    assert max(map(len, source.columns)) == 1_000
    with pytest.raises(CatalogError, match=r"columns there: id, title, attribute_0, .* and 1,953 more") as e:
        next(source.batches(columns=["z"]))
    assert len(str(e.value)) < 5_000
