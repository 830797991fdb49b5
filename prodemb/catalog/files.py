"""The files of a catalog: finding them, and what to call each."""

import difflib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

from prodemb.catalog.urls import host_of
from prodemb.core.errors import CatalogError, MissingObjectError
from prodemb.core.text import printable
from prodemb.storage.address import Address, Place, is_place_address, place
from prodemb.storage.cache import fetched
from prodemb.storage.objects import ObjectInfo, exists, head, listing

T = TypeVar("T")

TABLE_SUFFIXES = frozenset(
    ".parquet .pq .csv .tsv .tab .txt .jsonl .ndjson .json .xml .rss .atom .xlsx .xlsm .xls .xlsb .ods .arrow .feather"
    " .ipc".split()
)
"""Of files in a folder those with such a name are its catalog; of a file that is named outright the content counts."""
PACKED_SUFFIXES = frozenset(".gz .bz2 .xz .zst .zstd .lz4 .zip .gzip".split())
_UNSURE_SUFFIXES = frozenset({".json", ".txt", ".xml"})
"""Files that may be settings or remarks beside the data: they count where there is nothing else."""
_WANTED = ".parquet, .csv, .tsv, .jsonl, .xml or .xlsx"
_WILD = frozenset("*?[")
_REMARKS = ("readme", "license", "licence", "changelog", "manifest")


CatalogFile = Path | ObjectInfo
"""A file of a catalog: a local one, or a version of an object in a bucket."""


def place_of(file: CatalogFile) -> Place:
    """Where a file lies."""
    return file if isinstance(file, Path) else file.address


def local_file(file: CatalogFile) -> Path:
    """The file, or its copy in the local cache, which it is fetched to where it is not there.

    Raises:
        ConflictError: the object was written anew since the catalog was opened.
        StorageError: it cannot be fetched.
    """
    return file if isinstance(file, Path) else fetched(file.address, info=file)


def find_files(path: str) -> list[CatalogFile]:
    """The files that `path` means: a file, a glob, or a folder that holds catalog files; sorted by name.

    Raises:
        CatalogError: there are none, or it is an address of the web.
        ConfigError: it is an address that is none of a bucket's.
        StorageError: the bucket cannot be listed.
    """
    if "://" in path and not is_place_address(path):
        # Not shown whole: it may hold a password or a signature.
        raise CatalogError(
            f"found a catalog's address (host {host_of(path) or '(none)'}), wanted a file, folder or glob: download it"
        )
    found = place(path)
    return _in_bucket(found) if isinstance(found, Address) else [*_local_files(found, shown=path)]


def _local_files(found: Path, *, shown: str) -> list[Path]:
    if found.is_dir():
        return _in_folder(found)
    if found.exists():
        return [found]
    if _WILD & set(str(found)):
        anchor = Path(found.anchor) if found.is_absolute() else Path()
        pattern = str(found.relative_to(found.anchor)) if found.is_absolute() else str(found)
        if files := sorted(each for each in anchor.glob(pattern) if each.is_file()):
            return files
    raise CatalogError(f"{shown}: no such file; {_nearby(found)}")


def _in_bucket(address: Address) -> list[CatalogFile]:
    """The objects that an address means: an object, those of a folder, or a glob, whose `*` stop at a slash.

    As on a disk, what has the name itself counts before what a glob would find.
    """
    if address.key:
        with suppress(MissingObjectError):
            return [head(address)]
    if not _WILD & set(address.key) or next(listing(address), None) is not None:
        return [*_of_folder(address)]
    parts = address.key.split("/")
    first = next(number for number, part in enumerate(parts) if _WILD & set(part))
    above = Address(address.scheme, address.bucket, "/".join(parts[:first]))
    found = [info for info in listing(above) if _fits(info.address.key.split("/"), parts)]
    if files := [info for info in found if not _is_folder(info)]:
        return [*files]
    raise CatalogError(f"{address}: no object in the bucket fits; wanted a file, a folder or a glob")


def _is_folder(info: ObjectInfo) -> bool:
    """Whether it is the empty object `folder/` that consoles make, which listings give without the slash."""
    return info.num_bytes == 0 and not exists(info.address)


def _of_folder(folder: Address) -> list[ObjectInfo]:
    start = len(folder.key) + 1 if folder.key else 0
    inside, num_below = [], 0
    for info in listing(folder):
        name = info.address.key[start:]
        num_below += 1
        if "/" not in name and not name.startswith((".", "_")):
            inside.append(info)
    tables = _tables_of(inside, name=lambda info: info.address.name)
    if not tables:
        found = f"{num_below:,} objects below it, but no catalog file in it" if num_below else "no such object found"
        raise CatalogError(f"{folder}: {found}; wanted a file such as {_WANTED}, its folder or a glob")
    return tables


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the names of a key fit the parts of a glob, of which `**` stands for any folders."""
    if not parts:
        return not names
    if parts[0] == "**":
        return len(parts) == 1 or any(_fits(names[number:], parts[1:]) for number in range(len(names)))
    return bool(names) and fnmatchcase(names[0], parts[0]) and _fits(names[1:], parts[1:])


def labels_of(files: Sequence[Place]) -> list[str]:
    """What tells each file from the others: its folder (`alder/feed.csv`, `borea/feed.csv`), or its name.

    What of a name is not UTF-8 is escaped, because a label is a value of the products.
    """
    return [printable(label) for label in _labels_of(files)]


def _labels_of(files: Sequence[Place]) -> list[str]:
    if len(files) == 1:
        return [stem_of(files[0])]
    inside = _below_common(files)
    folders = [str(each.parent) for each in inside]
    if "." not in folders and len({*folders}) == len(files):
        return folders
    labels = [str(each.with_name(stem_of(each))) for each in inside]
    return labels if len({*labels}) == len(files) else [str(each) for each in inside]


def names_of(files: Sequence[Place]) -> list[str]:
    """The file names, with as many folders as it takes to tell them apart."""
    return [str(each) for each in _below_common(files)]


def _below_common(files: Sequence[Place]) -> list[PurePath]:
    """The paths of files from the folder on that holds them all."""
    paths = [each.absolute() if isinstance(each, Path) else PurePosixPath("/", each.bucket, each.key) for each in files]
    above = os.path.commonpath([str(each.parent) for each in paths])
    return [each.relative_to(above) for each in paths]


def stem_of(path: Place | PurePath) -> str:
    """A file's name without what says its format: `2025.11.01_feed.csv.gz` is `2025.11.01_feed`."""
    name = Path(path.name)
    while name.suffix.lower() in TABLE_SUFFIXES | PACKED_SUFFIXES and name.stem:
        name = Path(name.stem)
    return str(name)


def has_table_suffix(path: Path) -> bool:
    """Whether a file's name says that it holds a table."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in PACKED_SUFFIXES - {".zip"}:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in TABLE_SUFFIXES | {".zip"}


def _in_folder(folder: Path) -> list[Path]:
    inside = sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith((".", "_")))
    tables = _tables_of(inside, name=lambda path: path.name)
    if not tables:
        raise CatalogError(
            f"{folder}: no catalog file in this folder; wanted files such as {_WANTED}, or name the file itself"
        )
    return tables


def _tables_of(inside: Sequence[T], *, name: Callable[[T], str]) -> list[T]:
    """Those of a folder's files that are its catalog, by their names."""
    names = {id(each): Path(name(each)) for each in inside}
    tables = [each for each in inside if has_table_suffix(names[id(each)])]
    tables = [each for each in tables if not names[id(each)].name.lower().startswith(_REMARKS)]
    sure = [each for each in tables if names[id(each)].suffix.lower() not in _UNSURE_SUFFIXES]
    return sure or tables


def _nearby(place: Path) -> str:
    folder = next(parent for parent in place.absolute().parents if parent.is_dir())
    if folder != place.absolute().parent:
        return f"there is no folder {place.parent}"
    names = [each.name for each in folder.iterdir() if each.is_dir() or has_table_suffix(each)]
    if close := difflib.get_close_matches(place.name, names, n=3):
        return f"did you mean {', '.join(repr(name) for name in close)}?"
    files = sorted(name for name in names if (folder / name).is_file())[:5]
    return f"found there: {', '.join(files)}" if files else f"{folder} holds no catalog file"
