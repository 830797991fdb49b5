"""Folders that are published whole, by an index that is written last.

Objects cannot be renamed. A folder's files become objects under names with their hashes, and `prodemb-index.json`, its
index, says which of them make up the folder. It is written last, under the condition that nobody else wrote it
meanwhile. Objects that the index named before stay for one more publication, so that who reads the old one can end.
"""

import hashlib
import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from prodemb.core.bounded import parse_json, read_bytes
from prodemb.core.errors import DamagedObjectError, MissingObjectError, OutputError, StorageError
from prodemb.core.files import is_temporary, sha256_of
from prodemb.storage.address import Address, Place
from prodemb.storage.cache import entry
from prodemb.storage.client import NO_BUCKET
from prodemb.storage.names import name_copy
from prodemb.storage.objects import Version, delete, download, exists, head, listing, put_bytes, read, upload

INDEX = "prodemb-index.json"
_VERSION = 1
_MAX_FILES = 10_000
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class IndexedFile:
    """A file of a published folder."""

    object: str
    """The key of its object, from the folder's on."""
    num_bytes: int
    sha256: str


def publish_folder(folder: Path, address: Address) -> Version:
    """Make a local folder's regular files, but temporary ones, a folder of a bucket, in place of what is there.

    Returns:
        The version of the index.

    Raises:
        ConflictError: another run published there meanwhile.
        StorageError: the folder cannot be written.
    """
    old, version = _find_index(address)
    paths = files_in(folder)
    if len(paths) > _MAX_FILES:
        raise OutputError(f"{folder}: found {len(paths):,} files, not more than {_MAX_FILES:,} are published")
    there = {file.object for file in old.files.values()} if old else set()
    sizes = _sizes(address) if there else {}
    files: dict[str, IndexedFile] = {}
    for path in paths:
        sha256, name = sha256_of(path), path.relative_to(folder).as_posix()
        file = IndexedFile(object=f"files/{sha256[:32]}-{path.name}", num_bytes=path.stat().st_size, sha256=sha256)
        if file.object not in there or sizes.get(file.object) != file.num_bytes:
            upload(path, address / file.object, sha256=sha256)
        files[name] = file
    kept = {file.object for file in files.values()}
    index = {
        "version": _VERSION,
        "files": {name: asdict(file) for name, file in files.items()},
        "superseded": sorted(there - kept),
    }
    content = (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()
    written = put_bytes(address / INDEX, content, create=version is None, if_match=version)
    if old:
        delete(*(address / name for name in old.superseded if name not in kept | there))
    return written


def _sizes(address: Address) -> dict[str, int]:
    """Bytes of the objects that files of a folder were made, by name: somebody may have deleted some."""
    start = len(address.key) + 1 if address.key else 0
    return {info.address.key[start:]: info.num_bytes for info in listing(address / "files")}


def files_in(folder: Path) -> list[Path]:
    """The regular files of a folder and those below it, without temporary ones, sorted."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path for path in found if not is_temporary(path.name))


def index_version(address: Address) -> Version | None:
    """The version of what is published as a folder; None where nothing is."""
    return _find_index(address)[1]


def fetched_folder(place: Place) -> Path:
    """A local folder with the files of one in a bucket, in the cache, pinned. A path is itself, unless it is a copy.

    What `publish_folder` wrote is read by its index, and each file checked, also where it was copied to this machine;
    any other folder by listing it.

    Raises:
        MissingObjectError: nothing is there.
        StorageError: a file is missing or damaged, or the index is not one.
    """
    if isinstance(place, Path):
        return _copied_folder(place) if (place / INDEX).is_file() else place
    index, version = _find_index(place)
    if index is None:
        return name_copy(_listed_folder(place), place)

    def make(to: Path) -> None:
        for name, file in index.files.items():
            path = to / name
            path.parent.mkdir(parents=True, exist_ok=True)
            download(head(place / file.object), path, sha256=file.sha256)

    try:
        return name_copy(entry(_key_of(place, index), name=place.name or place.bucket, make=make), place)
    except MissingObjectError as error:
        if _find_index(place)[1] == version:
            raise DamagedObjectError(
                f"{error}, though {INDEX} lists it; put it back, or delete {place / INDEX} to begin anew",
                reason="damaged",
            ) from None
        return fetched_folder(place)  # it was published anew, twice


def _copied_folder(folder: Path) -> Path:
    """A local folder with the files of one that `publish_folder` wrote and somebody copied from its bucket."""
    index = _parse_index(folder, read_bytes(folder / INDEX))
    if others := sorted({path.name for path in folder.iterdir()} - {INDEX, "files", ".DS_Store"}):
        raise StorageError(
            f"{folder}: found {others[0]!r} beside {INDEX}, wanted what was copied from a bucket alone, or no {INDEX}"
        )

    def make(to: Path) -> None:
        for name, file in index.files.items():
            source, path = folder / file.object, to / name
            if not source.is_file() or sha256_of(source) != file.sha256:
                raise DamagedObjectError(
                    f"{source}: missing or damaged, though {INDEX} lists it; copy the folder again", reason="damaged"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)

    return name_copy(entry(_key_of(folder, index), name=folder.absolute().name, make=make), folder)


def _listed_folder(address: Address) -> Path:
    """A local copy of a folder that somebody copied to a bucket."""
    infos = []
    for info in listing(address):
        infos.append(info)
        if len(infos) > _MAX_FILES:
            raise StorageError(f"{address}: found more than {_MAX_FILES:,} objects, wanted the folder of one thing")
    if not infos:
        raise MissingObjectError(f"{address}: no such folder found: no object begins with it")
    start = len(address.key) + 1 if address.key else 0

    def make(to: Path) -> None:
        for info in infos:
            path = to / _checked_name(address, info.address.key[start:])
            path.parent.mkdir(parents=True, exist_ok=True)
            if info.num_bytes or exists(info.address):  # else it is the empty object `name/` that consoles make
                download(info, path)

    key = _hash_of([str(address), *(f"{info.address}\n{info.version}\n{info.num_bytes}" for info in infos)])
    return entry(key, name=address.name or address.bucket, make=make)


@dataclass(frozen=True)
class _Index:
    files: dict[str, IndexedFile]
    superseded: list[str]


def _find_index(address: Address) -> tuple[_Index | None, Version | None]:
    """The index of a folder and its version, None each where there is none."""
    try:
        content, info = read(address / INDEX)
    except MissingObjectError as error:
        if error.reason == NO_BUCKET:
            raise
        return None, None
    return _parse_index(address, content), info.version


def _key_of(place: Place, index: _Index) -> str:
    """What the files of an index are kept by in the cache."""
    return _hash_of([str(place), *(f"{name}\n{file.sha256}" for name, file in sorted(index.files.items()))])


def _parse_index(address: Place, content: bytes) -> _Index:
    try:
        values = parse_json(content)
        if values["version"] != _VERSION:
            raise ValueError(f"found version {values['version']!r}, wanted {_VERSION}")
        files = {_checked_name(address, name): _file(address, file) for name, file in values["files"].items()}
        return _Index(files, [_checked_name(address, str(name)) for name in values["superseded"]])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(
            f"{address / INDEX}: found something else ({str(error)[:100]}), wanted an index that prodemb wrote"
        ) from None


def _file(address: Place, values: dict[str, Any]) -> IndexedFile:
    file = IndexedFile(**values)
    _checked_name(address, file.object)
    if not _HEX.fullmatch(file.sha256) or not file.object.startswith("files/"):
        raise ValueError("a file without an object or a SHA-256")
    return file


def _checked_name(address: Place, name: str) -> str:
    """A name that leads nowhere outside of its folder."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise StorageError(f"{address}: found the name {name[:80]!r} in it, wanted one that lies in this folder")
    return name


def _hash_of(lines: list[str]) -> str:
    return hashlib.sha256("\n\n".join(lines).encode()).hexdigest()
