"""Working copies on this machine of what commands write in a bucket, and what each was when it was published last."""

import fcntl
import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from prodemb.core.bounded import read_json
from prodemb.core.files import write_json
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder, max_bytes, num_bytes_in
from prodemb.storage.objects import Version
from prodemb.storage.publish import files_in

Kind = Literal["file", "folder"]
Contents = dict[str, list[int]]
"""Size and time of the files of a working copy, by name."""

LOCK = ".lock"
"""Beside a working copy: a file that is locked by the run that has it."""
_BASE = "base.json"
_GONE = ".gone"


def working_path(address: Address, *, kind: Kind | Literal["absent"]) -> Path:
    key = hashlib.sha256(f"{address}\n{kind}".encode()).hexdigest()
    return cache_folder() / "work" / key / (address.name or address.bucket)


def contents(path: Path) -> Contents:
    files = files_in(path) if path.is_dir() else [path] if path.is_file() else []
    return {file.relative_to(path.parent).as_posix(): [file.stat().st_size, file.stat().st_mtime_ns] for file in files}


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_base(path: Path) -> tuple[Version | None, Contents]:
    """The version that a working copy is of, and what it was then."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = read_json(path.parent / _BASE)
        return Version(**found["version"]), dict(found["contents"])
    return None, {}


def write_base(path: Path, base: Version | None, contents: Contents) -> None:
    if base is None:
        (path.parent / _BASE).unlink(missing_ok=True)
    else:
        write_json(path.parent / _BASE, {"version": asdict(base), "contents": contents})


def make_room() -> None:
    """Remove working copies that are published as they are, those that were longest ago first, until all fit the bound.

    The bound is that of the cache, for both apart. What no run could publish stays, as does what a run has now.
    """
    found, bound = [], max_bytes()
    for folder in (cache_folder() / "work").iterdir():
        with suppress(FileNotFoundError):
            found.append((folder.stat().st_mtime_ns, num_bytes_in(folder), folder))
    total = sum(num_bytes for _, num_bytes, _ in found)
    for _, num_bytes, folder in sorted(found):
        if total > bound and _drop(folder):
            total -= num_bytes


def _drop(folder: Path) -> bool:
    """Remove a working copy, unless a run has it or it is not published."""
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(folder / _GONE)  # of a killed process
        for path in folder.iterdir():
            if path.name in (LOCK, _BASE) or not _is_published(path):
                continue
            (folder / _BASE).unlink(missing_ok=True)
            path.rename(folder / _GONE)
            remove(folder / _GONE)
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        os.close(lock)
    return False


def _is_published(path: Path) -> bool:
    """Whether nothing of a working copy is only here, as what a killed step has under temporary names is."""
    version, published = read_base(path)
    num_files = sum(not found.is_dir() for found in path.rglob("*")) if path.is_dir() else 1
    return version is not None and contents(path) == published and len(published) == num_files
