"""Files that others made: bounded bytes and numbers, one kind of error, and never a wait."""

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.bounded import (
    check_tensor_header,
    opened,
    parquet_footer,
    parse_json,
    read_bytes,
    read_json,
    read_table,
    read_toml,
)

READERS = [read_bytes, read_json, read_toml, parquet_footer, read_table, check_tensor_header]


@pytest.mark.parametrize("read", READERS)
def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is no regular file"):
        read(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ValueError, match="is no regular file"):
        read(Path("/dev/zero"))


def test_no_file_costs_more_than_its_bound(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    for read in READERS:
        with pytest.raises(ValueError, match=r"found [\d,]+ bytes|not found|magic bytes"):
            read(tmp_path / "large") if read is not check_tensor_header else read_bytes(tmp_path / "large")
    (tmp_path / "ten").write_bytes(b"x" * 10)
    assert read_bytes(tmp_path / "ten", max_bytes=10) == b"x" * 10
    with pytest.raises(ValueError, match="found 10 bytes, wanted at most 9"):
        read_bytes(tmp_path / "ten", max_bytes=9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9" * 5000, "found a number of 5,000 digits, wanted at most 64 bits"),
        (f'{{"a": [1, -{"9" * 30}]}}', "found a number of 31 digits"),
        (str(2**64), "found a number of 65 bits"),
        (str(-(2**63) - 1), "found a number of 64 bits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": "\\ud83d"}', "half a character"),
        ('{"\\ud83d": 1}', "half a character"),
        ("{", "Expecting"),
    ],
)
def test_json_that_no_program_writes_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_json(tmp_path / "a.json")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"a = {'9' * 5000}", "thousands of digits"),
        (f"a = 0x{'f' * 9000}", "found a number of 36,000 bits"),
        (f"a = {'[' * 9000}", "nested too deeply"),
        ("a = ", "Invalid"),
        (f"a = '{'x' * (1 << 20)}'", "found 1,048,582 bytes"),
    ],
)
def test_toml_that_nobody_writes_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_toml(tmp_path / "a.toml")
    assert len(str(caught.value).splitlines()) == 1


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_what_is_in_bounds_is_read_as_it_is(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@given(text=st.text(max_size=60) | st.text("[]={}'\"\n.a1e-_x", max_size=60))
def test_any_toml_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        values = read_toml(path)
    except ValueError:
        return
    assert values == tomllib.loads(path.read_text("utf-8-sig"))


def test_a_table_is_read_by_its_columns_and_within_its_bounds(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    long = "x" * 1_000_000
    pq.write_table(pa.table({"name": pa.array([long] * 200), "n": pa.array([1] * 200, pa.int32())}), path)
    assert path.stat().st_size < 100_000
    wanted = pa.schema([("n", pa.int64()), ("name", pa.string())])
    with pytest.raises(ValueError, match=r"found [\d,]+ bytes, wanted at most 5,000,000"):
        read_table(path, schema=wanted, max_bytes=5_000_000)
    numbers = read_table(path, schema=wanted.remove(1), max_bytes=5_000_000)
    assert numbers.schema.types == [pa.int64()]
    assert numbers["n"].to_pylist() == [1] * 200
    with pytest.raises(ValueError, match="found 200 rows, wanted at most 199"):
        read_table(path, max_rows=199)
    with pytest.raises(ValueError, match="wanted also 'other'"):
        read_table(path, schema=pa.schema([("other", pa.string())]))
    with pytest.raises(ValueError, match="x"):
        read_table(path, schema=pa.schema([("name", pa.int64())]), max_bytes=3_000_000)


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([], pa.large_string())}), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").schema.names == ["a"]
    assert read_table(tmp_path / "a.parquet", schema=pa.schema([("a", pa.string())])).schema.types == [pa.string()]


def test_metadata_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1")
    with pytest.raises(ValueError, match="bytes of metadata"):
        parquet_footer(tmp_path / "a.parquet")
    (tmp_path / "a.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="bytes of header, wanted at most 10"):
        check_tensor_header(tmp_path / "a.safetensors")


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len([*Path("/dev/fd").iterdir()])
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="is "), opened(path):
            pass
    assert len([*Path("/dev/fd").iterdir()]) == before
