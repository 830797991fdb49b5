"""The folder of a shard set in a bucket: objects under the names that files have on a disk, with the same bytes.

A bucket has neither renames nor locks. Shards are made in files of this machine and uploaded whole, never over
another one, so that a run that was cut off cannot touch what its successor has recorded; manifest and journal are
written under the condition that they are still what this run has read or written last, so that of two runs
only one can go on; a lease keeps the second one from beginning. What is read goes through the local cache by its
checksum.
"""

import hashlib
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from prodemb.core.bounded import MAX_BYTES
from prodemb.core.errors import (
    BusyError,
    ConflictError,
    DamagedObjectError,
    MissingObjectError,
    OutputError,
    ShardError,
    StorageError,
)
from prodemb.core.files import temporary_name
from prodemb.shards.add_object import add_object
from prodemb.shards.file import NewFile, ShardFile, State
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder, discard, entry
from prodemb.storage.client import NO_BUCKET
from prodemb.storage.folder import holding, objects_in, parquet_footer, temporary_file
from prodemb.storage.lease import Lease, holder
from prodemb.storage.objects import (
    ObjectInfo,
    Version,
    delete,
    download,
    folders,
    head,
    listing,
    put_bytes,
    read,
    upload,
)

if TYPE_CHECKING:
    from prodemb.shards.format import ShardRecord

LEASE_NAME = ".lease.json"
"""Who writes to the set; it stays behind, marked as released, and says that the folder is prodemb's."""
TEMPORARY_NAME = ".temporary"
"""A folder for what a run needs only while it lasts."""

_TRIES = 5
"""How often a file of the cache is asked for that is gone again before it is opened."""


class BucketFolder:
    """A folder of objects."""

    is_local = False

    def __init__(self, place: Address) -> None:
        self.place = place
        self._committed: dict[str, Version | None] = {}
        """What this object has read or written last of files that are committed; None where there was none."""
        self._lease_id: str | None = None
        """Of the run that holds the folder; its workers, which get this object, know it too."""
        self._hashed: dict[str, State] = {}
        """The files of the cache that had the right checksum, by that."""

    def is_there(self) -> bool:
        return next(listing(self.place), None) is not None

    def has(self, name: str) -> bool:
        try:
            self._committed[name] = head(self.place / name).version
        except MissingObjectError as error:
            _check_bucket(error)
            self._committed[name] = None
            return False
        return True

    def read(self, name: str) -> bytes:
        try:
            content, info = read(self.place / name, max_bytes=MAX_BYTES)
        except MissingObjectError as error:
            _check_bucket(error)
            self._committed[name] = None
            raise FileNotFoundError(str(error)) from None
        self._committed[name] = info.version
        return content

    def read_own(self, name: str) -> bytes:
        return self.read(name)

    def write(self, name: str, text: str) -> None:
        put_bytes(self.place / name, text.encode())

    def commit(self, name: str, text: str) -> None:
        address = self.place / name
        if name not in self._committed:
            self.has(name)
        version = self._committed[name]
        try:
            self._committed[name] = put_bytes(address, text.encode(), create=version is None, if_match=version)
        except ConflictError:
            raise BusyError(
                f"{address}: another run has written it meanwhile{self._holder()}; this one ends, and what it has "
                "recorded before stays"
            ) from None

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        with temporary_file(name) as path:
            try:
                download(head(self.place / name), path)
            except MissingObjectError as error:
                raise FileNotFoundError(str(error)) from None
            yield path

    @contextmanager
    def putting(self, name: str) -> Iterator[Path]:
        with temporary_file(name) as path:
            yield path
            upload(path, self.place / name)

    @contextmanager
    def adding(self, names: Iterable[str]) -> Iterator[NewFile]:
        waiting = iter(names)
        name = next(waiting)
        with temporary_file(name) as path:
            new = NewFile(path, name)
            yield new
            while not self._add(new):
                new.name = next(waiting, "")
                if not new.name:
                    raise OutputError(f"{self.place / name}: this name and all that shards have in its place are taken")
            # Whoever reads the set next is likely on this machine.
            entry(new.sha256, name=new.name, make=lambda to: _move(path, to), pin=False)

    def remove(self, name: str) -> None:
        delete(self.place / name)
        self._committed[name] = None

    def parts(self) -> Sequence[str]:
        found = [
            (info.modified, name)
            for name, info in objects_in(self.place)
            if name.startswith("part-") and name.endswith(".parquet")
        ]
        return [name for _, name in sorted(found)]

    def footer(self, name: str) -> pq.FileMetaData:
        try:
            return parquet_footer(head(self.place / name))
        except MissingObjectError as error:
            raise FileNotFoundError(str(error)) from None

    def sizes(self, names: Collection[str]) -> Mapping[str, int]:
        return {name: info.num_bytes for name, info in self._infos(names).items()}

    def states(self, names: Collection[str]) -> Mapping[str, State]:
        return {name: _state(info) for name, info in self._infos(names).items()}

    def open(self, record: "ShardRecord") -> ShardFile:
        """From the cache; a file that lay there is hashed once by each object of this class."""
        place = self.place / record.name
        for _ in range(_TRIES):
            path = self._in_cache(record)
            try:
                file = ShardFile(path, place=place, sha256=record.sha256)
            except ShardError:  # another process needed the room
                continue
            if self._hashed.get(record.sha256) == file.state():
                return file
            if ShardFile(path).sha256() == record.sha256:
                self._hashed[record.sha256] = file.state()
                return file
            discard(record.sha256)
        raise OutputError(
            f"{place}: its file in the cache {cache_folder()} is gone before it can be opened; wanted more room there "
            "(PRODEMB_CACHE_GB), or fewer processes that share it"
        )

    def reopen(self, record: "ShardRecord") -> ShardFile:
        place = self.place / record.name
        with temporary_file(record.name) as path:
            try:
                info = head(place)
                download(info, path)
            except MissingObjectError:
                raise _missing(place) from None
            except (DamagedObjectError, ConflictError):
                raise _altered(place) from None
            return ShardFile(path, place=place, state=_state(info))

    def open_all(self, records: Sequence["ShardRecord"]) -> Mapping[str, ShardFile]:
        """None: they are fetched one after another, and are more than the cache may hold."""
        return {}

    def expect(self, record: "ShardRecord") -> None:
        def fetch() -> None:
            with suppress(Exception):  # whoever opens it meets the same
                self._in_cache(record)

        threading.Thread(target=fetch, name="fetch", daemon=True).start()

    @contextmanager
    def holding(self, *, is_own: Callable[[], bool]) -> Iterator[Lease]:
        with holding(self.place, lease_name=LEASE_NAME, kind="shard set", is_own=is_own) as lease:
            shutil.rmtree(self._scratch(), ignore_errors=True)
            delete(*(info.address for info in listing(self.place / TEMPORARY_NAME)))
            self._lease_id = lease.id
            yield lease

    def scratch(self, name: str) -> Path:
        return self._scratch() / temporary_name(name)

    def free_bytes(self) -> int | None:
        return None

    def below(self) -> "Sequence[BucketFolder]":
        return [BucketFolder(address) for address in folders(self.place)]

    def _add(self, new: NewFile) -> bool:
        """Upload a file where no object has its name, or one with its bytes; whether it is there.

        An object with other bytes is of a killed run or worker, is damaged, or is of a run that holds the folder now.

        Raises:
            BusyError: this run holds the folder no longer.
        """
        address = self.place / new.name
        if add_object(new.path, address, sha256=new.sha256, through=self.place / TEMPORARY_NAME):
            return True
        if self._lease_id is not None:
            owner = holder(self.place / LEASE_NAME)
            if owner is None or owner.id != self._lease_id:
                by = "" if owner is None else f" ({owner})"
                raise BusyError(f"{address}: another run has written to the folder meanwhile{by}; this one ends")
        return False

    def _holder(self) -> str:
        """Who holds the folder now, for a message."""
        with suppress(StorageError):
            if (owner := holder(self.place / LEASE_NAME)) is not None:
                return f" ({owner})"
        return ""

    def _infos(self, names: Collection[str]) -> Mapping[str, ObjectInfo]:
        if len(names) == 1:
            (name,) = names
            try:
                return {name: head(self.place / name)}
            except MissingObjectError:
                return {}
        wanted = set(names)
        return {name: info for name, info in objects_in(self.place) if name in wanted} if wanted else {}

    def _in_cache(self, record: "ShardRecord") -> Path:
        """A shard's file in the cache, of which it may go at any moment; its checksum is right as it comes there."""
        is_new, place = False, self.place / record.name

        def make(to: Path) -> None:
            nonlocal is_new
            try:
                download(head(place), to, sha256=record.sha256)
            except MissingObjectError:
                raise _missing(place) from None
            except (DamagedObjectError, ConflictError):
                raise _altered(place) from None
            is_new = True

        path = entry(record.sha256, name=record.name, make=make, pin=False)
        if is_new:
            with suppress(ShardError):
                self._hashed[record.sha256] = ShardFile(path).state()
        return path

    def _scratch(self) -> Path:
        """What a run that holds this folder has on this machine, until it ends."""
        return cache_folder() / "scratch" / hashlib.sha256(str(self.place).encode()).hexdigest()[:32]


def _check_bucket(error: MissingObjectError) -> None:
    """Raise it where it is the bucket that is missing."""
    if error.reason == NO_BUCKET:
        raise StorageError(str(error)) from None


def _state(info: ObjectInfo) -> State:
    return [str(info.version.etag).strip('"'), info.num_bytes]  # listings of some stores have it without quotes


def _missing(place: Address) -> ShardError:
    return ShardError(f"{place}: missing, though the manifest lists it; embed again to redo it")


def _altered(place: Address) -> ShardError:
    return ShardError(f"{place}: altered: its checksum is not the recorded one; embed again to redo it")


def _move(path: Path, to: Path) -> None:
    path.replace(to)
