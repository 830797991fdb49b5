"""Where the local pictures of a feed lie: beside it, or in another folder near by."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath

from prodemb.catalog.urls import is_address, object_of
from prodemb.core.errors import ProdembError
from prodemb.storage.address import Address, Place
from prodemb.storage.objects import exists, listing

MAX_VALUES = 50
"""Pictures that are looked for."""
MAX_FILES = 20_000
"""Files and folders of a feed's folder that are looked at."""
MAX_DEPTH = 6


def local_paths(values: Iterable[str]) -> list[str]:
    """The first picture values that are paths, with forward slashes."""
    paths = (value.replace("\\", "/") for value in values if not is_address(value.strip()))
    return [path for path, _ in zip(paths, range(MAX_VALUES), strict=False)]


def picture_root(values: Sequence[str], *, folder: Place) -> Place | None:
    """The folder under which local pictures are found: the feed's own, one inside it, or one beside it.

    In a bucket only the feed's own folder is looked at, a request for each picture until one is found, and else those
    inside it, a request per 1,000 objects.

    A leading slash, as Magento writes it, counts for nothing where no such file is found otherwise. None where no
    picture is found, or where they lie outside: see `root_of_absolute`.
    """
    paths = local_paths(values)
    if not paths:
        return None
    if isinstance(folder, Address):
        return _root_in_bucket(folder, paths)
    if _num_found(folder, paths):
        return folder
    if (inside := _inside(folder, paths)) is not None:
        return inside
    beside = sorted(each for each in _folders(folder.parent) if each != folder)
    best = max([folder.parent, *beside], key=lambda root: _num_found(root, paths))
    # A folder beside the feed's may be anybody's, with a picture of that name in it: most of them must be there.
    return best if 2 * _num_found(best, paths) >= len(paths) else None


def located(value: str, *, root: Place) -> Place | None:
    """The file that a local picture's value names; None where there is no such file, or the value is an address."""
    if is_address(value.strip()):
        return None
    if isinstance(root, Address):
        with suppress(ProdembError):
            return _object(value.strip(), root=root)
        return None
    path = value.strip().replace("\\", "/")
    return next((place for place in (root / path, root / path.lstrip("/")) if _is_file(place)), None)


def root_of_absolute(values: Sequence[str]) -> Path | None:
    """The folder that all pictures lie in where they are absolute paths of files that are there."""
    paths = [Path(path) for path in local_paths(values)]
    if not paths or not all(path.is_absolute() for path in paths) or not any(_is_file(path) for path in paths):
        return None
    return max(set.intersection(*({*path.parents} for path in paths)), key=lambda parent: len(parent.parts))


def common_root(roots: Sequence[Place]) -> Place:
    """The folder that holds all of some folders, which are all local, or all in one bucket."""
    first = roots[0]
    if isinstance(first, Address):
        keys = os.path.commonpath([f"/{each.key}" for each in roots if isinstance(each, Address)])
        return Address(first.scheme, first.bucket, keys.strip("/"))
    return Path(os.path.commonpath([str(root) for root in roots]))


def below(folder: Place, root: Place) -> str:
    """The path of a folder from another one that holds it, with slashes; empty where they are one."""
    if folder == root:
        return ""
    if isinstance(folder, Address) and isinstance(root, Address):
        return folder.key[len(root.key) :].lstrip("/")
    assert isinstance(folder, Path)
    assert isinstance(root, Path)
    return folder.relative_to(root).as_posix()


def _object(path: str, *, root: Address) -> Address | None:
    """The object that a picture's path names; None where there is no such one."""
    found = object_of(path, root=root)
    return found if found is not None and exists(found) else None


def _root_in_bucket(folder: Address, paths: Sequence[str]) -> Address | None:
    """The folder of a bucket: the feed's where any picture is found from it, else one inside it from which most are."""
    if any(_object(path, root=folder) is not None for path in paths):
        return folder
    start = len(folder.key) + 1 if folder.key else 0
    found = [PurePosixPath(info.address.key[start:]) for info in islice(listing(folder), MAX_FILES)]
    roots = _roots_of([PurePosixPath(path.lstrip("/")) for path in paths if path.strip("/")], found)
    if not roots:
        return None
    best = min(roots, key=lambda root: (-roots[root], len(root.parts)))
    return folder if best == PurePosixPath(".") else folder / str(best)


def _num_found(root: Path, paths: Sequence[str]) -> int:
    return sum(_is_file(root / path.lstrip("/")) for path in paths)


def _inside(folder: Path, paths: Sequence[str]) -> Path | None:
    """The folder below from which most pictures are found, by the ends of their paths."""
    wanted = [PurePosixPath(path.lstrip("/")) for path in paths if path.strip("/")]
    roots = _roots_of(wanted, (PurePosixPath(found.relative_to(folder).as_posix()) for found in _files(folder)))
    return folder / min(roots, key=lambda root: (-roots[root], len(root.parts))) if roots else None


def _roots_of(wanted: Iterable[PurePosixPath], found: Iterable[PurePosixPath]) -> Counter[PurePosixPath]:
    """The folders from which files are those of some paths, and of how many."""
    wanted = {*wanted}
    names = {path.name for path in wanted}
    roots: Counter[PurePosixPath] = Counter()
    for relative in found:
        if relative.name not in names:
            continue
        for path in wanted:
            parts = path.parts
            if ".." not in parts and relative.parts[-len(parts) :] == parts:
                roots[PurePosixPath(*relative.parts[: -len(parts)])] += 1
    return roots


def _files(folder: Path) -> Iterable[Path]:
    """Files below a folder, breadth first and not too many; links are not followed."""
    num_seen = 0
    waiting = [(folder, 0)]
    for place, depth in waiting:
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            num_seen += 1
            if num_seen > MAX_FILES:
                return
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH and not entry.name.startswith("."):
                    waiting.append((Path(entry.path), depth + 1))
            else:
                yield Path(entry.path)


def _folders(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")][:200]
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
