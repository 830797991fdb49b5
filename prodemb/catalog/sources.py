"""The files of a catalog: finding them, their formats and columns, and reading them in batches."""

import difflib
import io
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, assert_never

import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.catalog.lines import Row, SkippedRow, Tell, delimited_rows, header_of, json_rows, kept
from prodemb.catalog.urls import host_of
from prodemb.catalog.values import ImageKind, as_images, as_text, image_kind, image_path_of, texts
from prodemb.core.errors import CatalogError
from prodemb.core.features import CATALOG_COLUMNS
from prodemb.core.text import counted

Format = Literal["parquet", "csv", "tsv", "jsonl"]

SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
WANTED_SUFFIXES = "wanted .parquet, .csv, .tsv or .jsonl (the last three also with .gz)"
NUM_SAMPLED = 10_000
"""Rows of a JSON lines file that are looked at for its keys."""
COUNTED_ROWS = 16_384
"""Rows that are passed over at a time."""
BUFFER_BYTES = 1 << 20
"""Parquet is read through a buffer of this size a column, or a whole row group of pictures would be in memory."""

Skip = Callable[[SkippedRow], None]


@dataclass(frozen=True, kw_only=True)
class CatalogFile:
    """One file of a catalog."""

    path: Path
    format: Format
    names: tuple[str, ...]
    """Its columns; of JSON lines, the keys in its first `NUM_SAMPLED` rows."""
    image_kinds: dict[str, ImageKind]
    """Columns that hold bytes, as an image column may."""
    delimiter: str = ","


def find_files(path: str) -> list[Path]:
    """The files that `path` means: a file, a glob, or a folder that holds files of one format; sorted by name.

    Raises:
        CatalogError: there are none, a suffix is not supported, a folder holds several formats, or it is an address.
    """
    if "://" in path:
        # Not shown whole: it may hold a password or a signature.
        raise CatalogError(
            f"found a catalog's address (host {host_of(path) or '(none)'}), wanted a file, folder or glob: fetch it"
        )
    place = Path(path).expanduser()
    if place.is_dir():
        return _in_folder(place)
    if place.exists():
        found = [place]
    elif set("*?[") & set(place.name) or "**" in place.parts:
        anchor = Path(place.anchor) if place.is_absolute() else Path()
        pattern = str(place.relative_to(place.anchor)) if place.is_absolute() else str(place)
        found = sorted(each for each in anchor.glob(pattern) if each.is_file())
    else:
        found = []
    if not found:
        raise CatalogError(f"{path}: no such file; {_nearby(place)}")
    for each in found:
        if format_of(each) is None:
            raise CatalogError(f"{each}: found the suffix {each.suffix!r}, {WANTED_SUFFIXES}")
    return found


def format_of(path: Path) -> Format | None:
    """The format that a file's name stands for."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        found = SUFFIXES.get(suffixes[-2]) if len(suffixes) > 1 else None
        return None if found == "parquet" else found
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def _in_folder(folder: Path) -> list[Path]:
    inside = sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith((".", "_")))
    files = [each for each in inside if format_of(each) is not None]
    # A manifest or a settings file beside the data.
    files = [each for each in files if each.suffix.lower() != ".json"] or files
    if not files:
        raise CatalogError(f"{folder}: no catalog file in this folder; {WANTED_SUFFIXES}")
    formats = sorted({str(format_of(each)) for each in files})
    if len(formats) > 1:
        raise CatalogError(
            f"{folder}: found files of several formats ({', '.join(formats)}), wanted one; name a file, or a glob such "
            f"as {folder}/*.{formats[0]}"
        )
    return files


def _nearby(place: Path) -> str:
    folder = next(parent for parent in place.absolute().parents if parent.is_dir())
    if folder != place.absolute().parent:
        return f"there is no folder {place.parent}"
    names = [each.name for each in folder.iterdir() if each.is_dir() or format_of(each) is not None]
    if close := difflib.get_close_matches(place.name, names, n=3):
        return f"did you mean {', '.join(repr(name) for name in close)}?"
    files = sorted(name for name in names if (folder / name).is_file())[:5]
    return f"found there: {', '.join(files)}" if files else f"{folder} holds no catalog file"


def open_file(path: Path) -> CatalogFile:
    """Look at a file's columns.

    Raises:
        CatalogError: it cannot be read as what its name says.
    """
    match format_of(path):
        case "parquet":
            with _parquet(path) as file:
                names = _distinct(file.schema_arrow.names, path)
                kinds = {field.name: image_kind(field.type) for field in file.schema_arrow}
                kinds |= {name: "path" for name in names if kinds[name] == "bytes" and _has_only_paths(file, name)}
            return CatalogFile(path=path, format="parquet", names=names, image_kinds=kinds)
        case "csv" | "tsv" as format:
            header, delimiter = header_of(path, delimiter="\t" if format == "tsv" else None)
            distinct = _distinct(header, path)
            return CatalogFile(path=path, format=format, names=distinct, image_kinds={}, delimiter=delimiter)
        case "jsonl":
            keys = _keys(path, NUM_SAMPLED)
            if not keys:
                raise CatalogError(f"{path}: found no JSON object on a line of its own, wanted one a product")
            return CatalogFile(path=path, format="jsonl", names=keys, image_kinds={})
        case None:
            raise CatalogError(f"{path}: found the suffix {path.suffix!r}, {WANTED_SUFFIXES}")
        case never:
            assert_never(never)


def holds_key(file: CatalogFile, name: str) -> bool:
    """Whether a file has a column; of JSON lines all rows are looked at where the first ones lack it."""
    return name in file.names or (file.format == "jsonl" and name in _keys(file.path, None))


def is_empty(file: CatalogFile) -> bool:
    """Whether a file has no row that can be read."""
    if file.format == "parquet":
        with _parquet(file.path) as opened:
            return bool(opened.metadata.num_rows == 0)
    return next(read(file, columns={}, num_rows=1, skip=lambda row: None), None) is None


def read(
    file: CatalogFile,
    *,
    columns: dict[str, str],
    num_rows: int,
    skip: Skip,
    tell: Tell | None = None,
    image_as: ImageKind = "path",
    start: int = 0,
) -> Iterator[tuple[pa.Array, pa.Table]]:
    """Row numbers in the file (from 1, those skipped counted) and the wanted columns, at most `num_rows` at a time.

    `columns` maps standard names to the file's own. Texts come as large_string, `image` as `image_as` says. Rows before
    `start` (readable ones, from 0) are only counted: their tables may lack the columns, and none reaches past `start`.

    Raises:
        CatalogError: the file is damaged in a way that is not one row's.
    """
    match file.format:
        case "parquet":
            yield from _read_parquet(file, columns=columns, num_rows=num_rows, image_as=image_as, start=start)
        case "csv" | "tsv":
            rows = kept(delimited_rows(file.path, delimiter=file.delimiter, tell=tell), path=file.path, skip=skip)
            yield from _count_rows(rows, num_rows=start)
            places = {standard: file.names.index(own) for standard, own in columns.items()}
            while part := list(islice(rows, num_rows)):
                taken = {name: texts_or_paths(name, [row.values[at] for row in part]) for name, at in places.items()}
                yield pa.array([row.number for row in part], pa.int64()), _table(taken, num_rows=len(part))
        case "jsonl":
            rows = kept(json_rows(file.path, tell=tell), path=file.path, skip=skip)
            late = set(CATALOG_COLUMNS).difference(file.names, columns) if tell is not None else set()
            yield from _count_rows(rows, num_rows=start)
            while part := list(islice(rows, num_rows)):
                taken = {
                    name: texts_or_paths(name, [row.values.get(own) for row in part]) for name, own in columns.items()
                }
                late = _told_of(late, part, path=file.path, tell=tell)
                yield pa.array([row.number for row in part], pa.int64()), _table(taken, num_rows=len(part))
        case never:
            assert_never(never)


def _count_rows(rows: Iterator[Row], *, num_rows: int) -> Iterator[tuple[pa.Array, pa.Table]]:
    """Row numbers of the first `num_rows`, without their values."""
    while num_rows and (part := [row.number for row in islice(rows, min(num_rows, COUNTED_ROWS))]):
        num_rows -= len(part)
        yield pa.array(part, pa.int64()), _table({}, num_rows=len(part))


def _told_of(late: set[str], rows: list[Row], *, path: Path, tell: Tell | None) -> set[str]:
    """Say that a standard column begins only after the rows looked at, so that it is not read; once a column."""
    for row in rows if late else []:
        for name in late.intersection(row.values):
            late = late - {name}
            assert tell is not None
            tell(
                f"{path}: {name!r} comes first in row {row.number} and is left out; to read it, name it in [catalog] "
                f"columns = {{ {name} = {name!r} }}"
            )
    return late


def texts_or_paths(name: str, values: Sequence[Any]) -> pa.LargeStringArray:
    """A standard column of a text format."""
    return texts(values, of=image_path_of) if name == "image" else texts(values)


def _read_parquet(
    file: CatalogFile, *, columns: dict[str, str], num_rows: int, image_as: ImageKind, start: int
) -> Iterator[tuple[pa.Array, pa.Table]]:
    first = 1
    with _parquet(file.path) as opened:
        groups = deque(range(opened.num_row_groups))
        while groups and (in_group := opened.metadata.row_group(groups[0]).num_rows) <= start - (first - 1):
            yield pa.array(range(first, first + in_group), pa.int64()), _table({}, num_rows=in_group)
            first += in_group
            groups.popleft()
        try:
            # Columns that are not asked for are not read; with none asked for, rows are still counted.
            names = sorted(set(columns.values()))
            for batch in opened.iter_batches(batch_size=num_rows, columns=names, row_groups=list(groups)):
                taken = {
                    name: as_images(batch.column(own), kind=image_as) if name == "image" else as_text(batch.column(own))
                    for name, own in columns.items()
                }
                numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
                first += batch.num_rows
                yield numbers, _table(taken, num_rows=batch.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise CatalogError(f"{file.path}: damaged Parquet after row {first - 1}: {_one_line(error)}") from error
        # Where a column ends early pyarrow's batches do too, and say nothing.
        if first - 1 != opened.metadata.num_rows:
            wanted = counted(opened.metadata.num_rows, "row")
            raise CatalogError(f"{file.path}: damaged Parquet: a column ends after row {first - 1:,}, wanted {wanted}")


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
        if not any(_has_dictionary(field.type) for field in file.schema_arrow):
            return file
        with file:
            metadata = _without_arrow_types(file.metadata)
        return pq.ParquetFile(path, metadata=metadata, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise CatalogError(f"{path}: not a Parquet file that can be read: {_one_line(error)}") from error


def _has_dictionary(kind: pa.DataType) -> bool:
    """Whether a type is a dictionary, or holds one."""
    inside = (kind.field(place).type for place in range(kind.num_fields))
    return bool(pa.types.is_dictionary(kind)) or any(map(_has_dictionary, inside))


def _without_arrow_types(metadata: pq.FileMetaData) -> pq.FileMetaData:
    """A file's metadata without Arrow's own column types, so that a column reads as the values that it has.

    To give a dictionary the index type that it was written with (int8 is usual for pandas' categories) pyarrow 26 casts
    its values, and one that is not UTF-8 would end the run; dictionaries in lists it does not read at all.
    """
    footer = io.BytesIO()
    metadata.write_metadata_file(footer)
    # A key of the same length that nobody looks for; the footer's lengths stay right.
    return pq.read_metadata(io.BytesIO(footer.getvalue().replace(b"ARROW:schema", b"ARROW-schema")))


def _has_only_paths(file: pq.ParquetFile, column: str) -> bool:
    """Whether a struct of (bytes, path), as Hugging Face writes images, goes without the bytes."""
    kind = file.schema_arrow.field(column).type
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0:
        return False
    first = next(file.iter_batches(batch_size=100, columns=[column]), None)
    return first is not None and all(not (value or {}).get("bytes") for value in first.column(column).to_pylist())


def _table(columns: dict[str, pa.Array], *, num_rows: int) -> pa.Table:
    # A table without columns has no rows, so one that only counts carries a column of nulls.
    return pa.table(columns or {"": pa.nulls(num_rows)})


def _keys(path: Path, num_rows: int | None) -> tuple[str, ...]:
    keys: dict[str, None] = {}
    for row in islice(json_rows(path), num_rows):
        if row.fault is None:
            keys.update(dict.fromkeys(row.values))
    return tuple(keys)


def _distinct(names: Sequence[str], path: Path) -> tuple[str, ...]:
    twice = sorted(name for name, count in Counter(names).items() if name and count > 1)
    if twice:
        raise CatalogError(f"{path}: found the column {twice[0]!r} twice, wanted each column name once")
    return tuple(names)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
