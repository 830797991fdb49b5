"""The desk of a command: local copies of the files and folders that it reads and writes in a bucket.

What is read comes from the cache. What is written gets a working copy, in the cache's folder too, that outlives the
process: a step that was killed goes on with it on the same machine. It is fetched before the work begins, and what has
changed of it is published when a step of the command has succeeded, under the condition that nobody else has published
there meanwhile. One run of a machine has a working copy at a time.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from prodemb.core.errors import BusyError, ConflictError, MissingObjectError, ProdembError
from prodemb.core.files import make_folder
from prodemb.storage.address import Address, place
from prodemb.storage.cache import fetched
from prodemb.storage.client import NO_BUCKET
from prodemb.storage.names import name_copy, named
from prodemb.storage.objects import Version, download, head, put_bytes, read, upload
from prodemb.storage.publish import fetched_folder, files_in, index_version, publish_folder
from prodemb.storage.working_copies import (
    LOCK,
    Contents,
    Kind,
    contents,
    make_room,
    read_base,
    remove,
    working_path,
    write_base,
)

MAX_CONDITIONAL_BYTES = 64 << 20
"""Up to so many bytes a file is put under a condition; a larger one after a look at what is there."""


@dataclass
class _WorkingCopy:
    """A working copy and what it is a copy of."""

    address: Address
    kind: Kind
    path: Path
    base: Version | None
    """The version that is published; None where nothing is."""
    published: Contents
    """What it was when it was fetched or published last, maybe by an earlier process."""
    lock: int

    def publish(self) -> None:
        """Publish it, where it has changed."""
        now = contents(self.path)
        if not now or now == self.published:
            return
        try:
            self.base = self._publish_folder() if self.kind == "folder" else self._publish_file()
        except ConflictError:
            raise ConflictError(
                f"{self.address}: another run or person wrote it while this run worked on it, so it was not written; "
                f"what this run made is at {self.path.parent}/"
            ) from None
        self.published = now
        write_base(self.path, self.base, now)

    def _publish_file(self) -> Version:
        if self.path.stat().st_size <= MAX_CONDITIONAL_BYTES:
            return put_bytes(self.address, self.path.read_bytes(), create=self.base is None, if_match=self.base)
        if _version_of(self.address, "file") != self.base:
            raise ConflictError(f"{self.address}: written meanwhile")
        return upload(self.path, self.address).version

    def _publish_folder(self) -> Version:
        if index_version(self.address) != self.base:
            raise ConflictError(f"{self.address}: published meanwhile")
        return publish_folder(self.path, self.address)


class _Desk:
    """What a command has at hand."""

    def __init__(self) -> None:
        self._read: dict[tuple[Address, Kind], Path] = {}
        self._written: dict[tuple[Address, Kind], _WorkingCopy] = {}

    def read(self, address: Address, kind: Kind) -> Path:
        """A local copy, the same one each time; where nothing is there, a path of no file."""
        if (address, kind) in self._written:
            return self._written[address, kind].path
        if (address, kind) not in self._read:
            self._read[address, kind] = _fetched(address, kind)
        return self._read[address, kind]

    def write(self, address: Address, kind: Kind) -> Path:
        """A working copy."""
        if (address, kind) not in self._written:
            self._written[address, kind] = _take(address, kind)
        return self._written[address, kind].path

    def publish(self) -> None:
        """Publish what has changed: folders first, which took the longest; one that fails keeps no other from it."""
        errors: list[ProdembError] = []
        for copy in sorted(self._written.values(), key=lambda copy: copy.kind != "folder"):
            try:
                copy.publish()
            except ProdembError as error:
                errors.append(error)
        if errors:
            errors[0].args = ("; ".join(map(str, errors)),)
            raise errors[0]

    def close(self) -> None:
        """Let others have the working copies."""
        for copy in self._written.values():
            os.close(copy.lock)


_current: ContextVar[_Desk | None] = ContextVar("desk", default=None)


@contextmanager
def at_desk() -> Iterator[None]:
    """Within it, places of a bucket can be written; at its end what has changed is published, unless it failed.

    Errors name addresses, not the local copies that something was wrong with.

    Raises:
        ConflictError: another run wrote there meanwhile.
        StorageError: it cannot be published. Of several errors the first one, with the messages of all.
    """
    if _current.get() is not None:
        yield
        return
    desk = _Desk()
    token = _current.set(desk)
    try:
        yield
        desk.publish()
    except ProdembError as error:
        error.args = (named(str(error)), *error.args[1:])
        raise
    finally:
        _current.reset(token)
        desk.close()


def publish_changes() -> None:
    """Publish now what has changed so far, such as what a later step needs on other machines."""
    if (desk := _current.get()) is not None:
        desk.publish()


def file_to_read(text: str | Path) -> Path:
    """The file that a setting or an argument names: a local path, or a copy of the object of an address.

    Where there is none, the path of no file, so that the reader says what it wants.

    Raises:
        ConfigError: as `place`.
        StorageError: it cannot be fetched.
    """
    return _to_read(text, "file")


def folder_to_read(text: str | Path) -> Path:
    """The folder that a setting or an argument names; as `file_to_read`, and as `fetched_folder` where it is a copy."""
    return _to_read(text, "folder")


def file_to_write(text: str | Path) -> Path:
    """The file that a setting or an argument names, to be written: a local path, or a working copy. Only `at_desk`.

    Raises:
        BusyError: another run of this machine has the working copy.
        MissingObjectError: there is no such bucket.
        ConfigError, StorageError: as `file_to_read`.
    """
    return _to_write(text, "file")


def folder_to_write(text: str | Path) -> Path:
    """The folder that a setting or an argument names, to be written; as `file_to_write`."""
    return _to_write(text, "folder")


def sibling(text: str, name: str) -> str:
    """The place of another name in the folder that a place lies in."""
    found = place(text)
    return str(found.parent / name) if isinstance(found, Address) else str(found.with_name(name))


def _to_read(text: str | Path, kind: Kind) -> Path:
    found = text if isinstance(text, Path) else place(text)
    if isinstance(found, Path):
        return fetched_folder(found) if kind == "folder" else found
    desk = _current.get()
    return _fetched(found, kind) if desk is None else desk.read(found, kind)


def _to_write(text: str | Path, kind: Kind) -> Path:
    found = text if isinstance(text, Path) else place(text)
    if isinstance(found, Path):
        return found
    desk = _current.get()
    assert desk is not None, f"{found}: written without a desk"
    return desk.write(found, kind)


def _fetched(address: Address, kind: Kind) -> Path:
    try:
        return fetched(address) if kind == "file" else fetched_folder(address)
    except MissingObjectError as error:
        if error.reason == NO_BUCKET:
            raise
        return name_copy(working_path(address, kind="absent"), address)


def _take(address: Address, kind: Kind) -> _WorkingCopy:
    """Lock the working copy of an address, and bring it up to date with what is published."""
    path = working_path(address, kind=kind)
    make_folder(path.parent, of=path)
    lock = os.open(path.parent / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{address}: another run on this machine is writing it; wait for it") from None
        base = _version_of(address, kind)
        before, published = read_base(path)
        if before != base:
            write_base(path, None, {})  # what is fetched by half is fetched again
            remove(path)
            if base is not None:
                _fetch(address, kind, path)
            published = contents(path)
            write_base(path, base, published)
        make_room()
    except BaseException:
        os.close(lock)
        raise
    name_copy(path, address)
    return _WorkingCopy(address=address, kind=kind, path=path, base=base, published=published, lock=lock)


def _fetch(address: Address, kind: Kind, path: Path) -> None:
    if kind == "file":
        download(head(address), path)
        return
    for file in files_in(source := fetched_folder(address)):
        copy = path / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _version_of(address: Address, kind: Kind) -> Version | None:
    if kind == "folder":
        return index_version(address)
    try:
        return head(address).version
    except MissingObjectError:
        return _read_version(address)


def _read_version(address: Address) -> Version | None:
    """The version of a file that HEAD does not find: only the answer to a GET says whether its bucket is there."""
    try:
        return read(address).info.version
    except MissingObjectError as error:
        if error.reason == NO_BUCKET:
            raise
        return None
