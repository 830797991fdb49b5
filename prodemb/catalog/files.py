"""The files of a catalog: finding them, and what to call each."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from prodemb.catalog.urls import host_of
from prodemb.core.errors import CatalogError
from prodemb.core.files import expanded
from prodemb.core.text import printable

TABLE_SUFFIXES = frozenset(
    ".parquet .pq .csv .tsv .tab .txt .jsonl .ndjson .json .xml .rss .atom .xlsx .xlsm .xls .xlsb .ods .arrow .feather"
    " .ipc".split()
)
"""Of files in a folder those with such a name are its catalog; of a file that is named outright the content counts."""
PACKED_SUFFIXES = frozenset(".gz .bz2 .xz .zst .zstd .lz4 .zip .gzip".split())
_UNSURE_SUFFIXES = frozenset({".json", ".txt", ".xml"})
"""Files that may be settings or remarks beside the data: they count where there is nothing else."""
_REMARKS = ("readme", "license", "licence", "changelog", "manifest")


def find_files(path: str) -> list[Path]:
    """The files that `path` means: a file, a glob, or a folder that holds catalog files; sorted by name.

    Raises:
        CatalogError: there are none, or it is an address.
    """
    if "://" in path:
        # Not shown whole: it may hold a password or a signature.
        raise CatalogError(
            f"found a catalog's address (host {host_of(path) or '(none)'}), wanted a file, folder or glob: download it"
        )
    place = expanded(path)
    if place.is_dir():
        return _in_folder(place)
    if place.exists():
        return [place]
    if set("*?[") & set(str(place)):
        anchor = Path(place.anchor) if place.is_absolute() else Path()
        pattern = str(place.relative_to(place.anchor)) if place.is_absolute() else str(place)
        found = sorted(each for each in anchor.glob(pattern) if each.is_file())
        if found:
            return found
    raise CatalogError(f"{path}: no such file; {_nearby(place)}")


def labels_of(files: Sequence[Path]) -> list[str]:
    """What tells each file from the others: its folder (`alder/feed.csv`, `borea/feed.csv`), or its name.

    What of a name is not UTF-8 is escaped, because a label is a value of the products.
    """
    return [printable(label) for label in _labels_of(files)]


def _labels_of(files: Sequence[Path]) -> list[str]:
    if len(files) == 1:
        return [stem_of(files[0])]
    above = Path(os.path.commonpath([str(each.absolute().parent) for each in files]))
    inside = [each.absolute().relative_to(above) for each in files]
    folders = [str(each.parent) for each in inside]
    if "." not in folders and len({*folders}) == len(files):
        return folders
    labels = [str(each.with_name(stem_of(each))) for each in inside]
    return labels if len({*labels}) == len(files) else [str(each) for each in inside]


def names_of(files: Sequence[Path]) -> list[str]:
    """The file names, with as many folders as it takes to tell them apart."""
    above = Path(os.path.commonpath([str(each.absolute().parent) for each in files]))
    return [str(each.absolute().relative_to(above)) for each in files]


def stem_of(path: Path) -> str:
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
    tables = [each for each in inside if has_table_suffix(each) and not each.name.lower().startswith(_REMARKS)]
    sure = [each for each in tables if each.suffix.lower() not in _UNSURE_SUFFIXES]
    if not (sure or tables):
        raise CatalogError(
            f"{folder}: no catalog file in this folder; wanted files such as .parquet, .csv, .tsv, .jsonl, .xml or "
            ".xlsx, or name the file itself"
        )
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
