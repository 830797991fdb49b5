"""Reading files that people hand to each other: regular files, of bounded size, with numbers that are numbers.

Whoever made a folder of shards, a head or a checkpoint decides what its files say. Here a file costs no more than its
bound, and anything that is wrong with it is a `ValueError` of one line, which the caller completes with the file's name
and what to do about it.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.regular import NotRegularError, open_regular

MAX_BYTES = 128 << 20
"""Most bytes of a JSON or text file, and of the metadata at the end of a Parquet file."""
MAX_SETTINGS_BYTES = 1 << 20
"""Most bytes of a TOML file."""
MAX_TENSOR_HEADER_BYTES = 16 << 20
"""Most bytes of what a safetensors file says of its tensors."""
MAX_TABLE_BYTES = 1 << 30
"""Most bytes of a table that is read whole, in memory."""
MAX_TABLE_ROWS = 10_000_000

_BATCH_ROWS = 512
_LEAST, _MOST = -(2**63), 2**64 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file; nobody is waited for who would write to a pipe.

    Raises:
        ValueError: it is a folder, a pipe or a device.
        OSError: it cannot be opened.
    """
    try:
        file = open_regular(path)
    except NotRegularError:
        raise ValueError("is a folder" if path.is_dir() else "is no regular file") from None
    with file:
        yield file


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """A whole file.

    Raises:
        ValueError: it is larger, changes meanwhile, or is no regular file: a pipe would be waited for.
        OSError: it cannot be read.
    """
    with opened(path) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        _check_size(num_bytes, max_bytes=max_bytes)
        content = file.read(num_bytes + 1)
    if len(content) != num_bytes:
        raise ValueError(f"found {num_bytes:,} bytes first and {len(content):,} or more then, wanted a file at rest")
    return content


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """A whole file of UTF-8, without a byte order mark. Raises as `read_bytes`, UnicodeDecodeError among them."""
    return read_bytes(path, max_bytes=max_bytes).decode("utf-8-sig")


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """A JSON file. Raises as `read_bytes`, and ValueError as `parse_json`."""
    return parse_json(read_bytes(path, max_bytes=max_bytes))


def parse_json(content: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or holds a number of more than 64 bits or half a character.
    """
    try:
        value = json.loads(content, parse_int=_int)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check(value)
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises as `read_bytes`, and ValueError where it is not TOML, or as `parse_json`."""
    text = read_text(path, max_bytes=MAX_SETTINGS_BYTES)
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        if "int_max_str_digits" not in str(error):
            raise
        raise ValueError("found a number of thousands of digits, wanted at most 64 bits") from None
    _check(values)
    return values


@contextmanager
def opened_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file: what is checked is what is read.

    Raises:
        ValueError: it is not Parquet (`pyarrow.ArrowInvalid`), no regular file, or has more metadata than is read.
        OSError: it cannot be read.
    """
    with opened(path) as file:
        check_footer(file)
        file.seek(0)
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            yield parquet


def parquet_footer(path: Path) -> pq.FileMetaData:
    """The metadata of a Parquet file. Raises as `opened_parquet`."""
    with opened(path) as file:
        check_footer(file)
        file.seek(0)
        return pq.read_metadata(file)


def check_footer(file: Any) -> None:
    """Raise ValueError where a Parquet file, open or mapped, has more metadata than is read.

    pyarrow unpacks it to many times its size.
    """
    file.seek(0, os.SEEK_END)
    if file.tell() >= 8:
        file.seek(-8, os.SEEK_END)
        _check_size(int.from_bytes(file.read(4), "little"), max_bytes=MAX_BYTES, what="bytes of metadata")


def read_table(
    path: Path, *, schema: pa.Schema | None = None, max_rows: int = MAX_TABLE_ROWS, max_bytes: int = MAX_TABLE_BYTES
) -> pa.Table:
    """A Parquet file as a table.

    Few bytes can stand for many: a value that repeats is stored once. So it is read in batches that cannot grow beyond
    the bound, whatever they say.

    Args:
        schema: the columns to read, and their types; all columns as they are where it is not given.

    Raises:
        ValueError: it is not Parquet, lacks a column, a column is of another type, or it is larger than it may be; all
            that `pyarrow` raises is one too, or an OSError.
    """
    with opened_parquet(path) as file:
        metadata, own = file.metadata, file.schema_arrow
        if metadata.num_rows > max_rows:
            raise ValueError(f"found {metadata.num_rows:,} rows, wanted at most {max_rows:,}")
        # No value is longer than its row group. The columns' own sizes are not asked for: where a file's statistics are
        # damaged, pyarrow 26 ends the process then.
        longest = max((metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)), default=0)
        _check_size(longest, max_bytes=max_bytes)
        wanted = own if schema is None else schema
        if missing := [name for name in wanted.names if name not in own.names]:
            raise ValueError(f"found the columns {', '.join(own.names)}, wanted also {missing[0]!r}")
        tables, num_bytes = [wanted.empty_table()], 0
        for batch in file.iter_batches(max(1, min(_BATCH_ROWS, max_bytes // max(1, longest))), columns=wanted.names):
            num_bytes += batch.nbytes
            _check_size(num_bytes, max_bytes=max_bytes)
            batch.validate(full=True)  # texts that are not UTF-8 among others
            tables.append(pa.Table.from_batches([batch]).select(wanted.names).cast(wanted))
    return pa.concat_tables(tables).replace_schema_metadata(metadata.metadata)


def check_tensor_header(path: Path) -> None:
    """Raise ValueError where a safetensors file has a larger header than is read, or than the file."""
    with opened(path) as file:
        num_bytes, size = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size
    _check_size(num_bytes, max_bytes=min(MAX_TENSOR_HEADER_BYTES, size), what="bytes of header")


def _check_size(num_bytes: int, *, max_bytes: int, what: str = "bytes") -> None:
    if num_bytes > max_bytes:
        raise ValueError(f"found {num_bytes:,} {what}, wanted at most {max_bytes:,}")


def _int(digits: str) -> int:
    if len(digits) > len(str(_LEAST)):
        raise ValueError(f"found a number of {len(digits):,} digits, wanted at most 64 bits")
    return int(digits)


def _check(value: Any) -> None:
    """Raise ValueError for a number of more than 64 bits, or half a character, anywhere in it."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as table:
                waiting += [*table, *table.values()]
            case list() as values:
                waiting += values
            case int() as number if not _LEAST <= number <= _MOST:
                raise ValueError(f"found a number of {number.bit_length():,} bits, wanted at most 64")
            case str() as text if _SURROGATE.search(text):
                raise ValueError(f"found {text[:40]!r}, which holds half a character")
