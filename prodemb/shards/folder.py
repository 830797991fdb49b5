"""The folder of a shard set, wherever it lies: the one thing of it that differs between a disk and a bucket."""

import errno
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow.parquet as pq

from prodemb.core.bounded import parquet_footer, read_bytes
from prodemb.core.errors import ShardError
from prodemb.core.files import nearest_folder, replacing, temporary_name, write_text
from prodemb.core.folders import holding
from prodemb.core.rlimits import have_room
from prodemb.shards.bucket import BucketFolder
from prodemb.shards.file import NewFile, ShardFile, State
from prodemb.storage.address import Address, Place

if TYPE_CHECKING:
    from prodemb.shards.format import ShardRecord


class Held(Protocol):
    """A folder that this run alone writes to."""

    def check(self) -> None:
        """Raise OutputError or BusyError where that is so no longer."""


class ShardFolder(Protocol):
    """Where the files of a shard set lie. Nobody else knows how they are read and put there."""

    @property
    def place(self) -> Place:
        """What messages call it; `place / name` is what they call one of its files."""

    @property
    def is_local(self) -> bool:
        """Whether its files can be read at the speed of a disk."""

    def is_there(self) -> bool:
        """Whether there is such a folder."""

    def has(self, name: str) -> bool:
        """Whether it has a file of this name."""

    def read(self, name: str) -> bytes:
        """A small file.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is larger than is read, or no regular file.
            OSError: it cannot be read.
        """

    def read_own(self, name: str) -> bytes:
        """The same; raises ValueError too where the name is but a link to another file."""

    def write(self, name: str, text: str) -> None:
        """Put a small file there, whole.

        Raises:
            BusyError: another run writes it.
            OutputError: it cannot be written.
        """

    def commit(self, name: str, text: str) -> None:
        """The same, unless another run has done so since the file was read or written here; raises BusyError then."""

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """A file as one on this machine, to be read. Raises FileNotFoundError, then or when it is read."""

    def putting(self, name: str) -> AbstractContextManager[Path]:
        """An empty local file that takes the name, whole, on success. Raises as `write`."""

    def adding(self, names: Iterable[str]) -> AbstractContextManager[NewFile]:
        """An empty local file that takes, whole, on success, the first name that can be had; raises as `write`.

        On a disk that is the first one, and what was there is replaced: the run that holds the folder is alone. In a
        bucket nothing is, and a name is had where no object has it, or one with the same bytes.

        Raises:
            BusyError: no other bytes may have the first name, and another run holds the folder by now.
        """

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def parts(self) -> Sequence[str]:
        """The names of all files that are called as shards are or nearly so, the oldest first."""

    def footer(self, name: str) -> pq.FileMetaData:
        """The metadata of a Parquet file.

        Raises:
            ValueError: it is no Parquet file of its own.
            OSError: it cannot be read.
        """

    def sizes(self, names: Collection[str]) -> Mapping[str, int]:
        """The bytes of those of these files that are there."""

    def states(self, names: Collection[str]) -> Mapping[str, State]:
        """What is known of those of these files that are there without reading them; another one once they change."""

    def open(self, record: "ShardRecord") -> ShardFile:
        """A shard's file, on this machine.

        Raises:
            ShardError: it is missing.
        """

    def reopen(self, record: "ShardRecord") -> ShardFile:
        """The same, read from where it really lies, whatever is kept of it here; its state is one of `states`."""

    def open_all(self, records: Sequence["ShardRecord"]) -> Mapping[str, ShardFile]:
        """Those of the shards' files that can be held open, by name, so that they stay what they are."""

    def expect(self, record: "ShardRecord") -> None:
        """Have a shard's file ready by the time that it is opened, where that takes long."""

    def holding(self, *, is_own: Callable[[], bool]) -> AbstractContextManager[Held]:
        """Hold the folder for this run alone: make it, or see that it is prodemb's, and clear what a killed run left.

        Args:
            is_own: asked where the folder is neither empty nor marked, such as one that was copied.

        Raises:
            BusyError: another run holds it.
            OutputError: nothing can be written there, or it holds what prodemb did not make.
        """

    def scratch(self, name: str) -> Path:
        """A name for a folder on this machine, which whoever holds this one makes and removes."""

    def free_bytes(self) -> int | None:
        """What its disk has room for; None where it is none."""

    def below(self) -> "Sequence[ShardFolder]":
        """The folders in it, by name."""


@dataclass(frozen=True)
class LocalFolder:
    """A folder of a file system."""

    place: Path

    @property
    def is_local(self) -> bool:
        return True

    def is_there(self) -> bool:
        return self.place.is_dir()

    def has(self, name: str) -> bool:
        return (self.place / name).is_file()

    def read(self, name: str) -> bytes:
        return read_bytes(self.place / name)

    def read_own(self, name: str) -> bytes:
        if (self.place / name).is_symlink():
            raise ValueError(f"{self.place / name}: a link")
        return self.read(name)

    def write(self, name: str, text: str) -> None:
        write_text(self.place / name, text)

    def commit(self, name: str, text: str) -> None:
        self.write(name, text)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        yield self.place / name

    def putting(self, name: str) -> AbstractContextManager[Path]:
        return replacing(self.place / name)

    @contextmanager
    def adding(self, names: Iterable[str]) -> Iterator[NewFile]:
        name = next(iter(names))
        with replacing(self.place / name) as path:
            yield NewFile(path, name)

    def remove(self, name: str) -> None:
        (self.place / name).unlink(missing_ok=True)

    def parts(self) -> Sequence[str]:
        paths = sorted(self.place.glob("part-*.parquet"), key=lambda path: path.lstat().st_mtime_ns)
        return [path.name for path in paths]

    def footer(self, name: str) -> pq.FileMetaData:
        path = self.place / name
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{path}: no regular file")
        return parquet_footer(path)

    def sizes(self, names: Collection[str]) -> Mapping[str, int]:
        found = {}
        for name in names:
            try:
                found[name] = (self.place / name).lstat().st_size
            except FileNotFoundError:
                continue
        return found

    def states(self, names: Collection[str]) -> Mapping[str, State]:
        found = {}
        for name in names:
            try:
                found[name] = ShardFile(self.place / name).state()
            except (ShardError, OSError):
                continue
        return found

    def open(self, record: "ShardRecord") -> ShardFile:
        return ShardFile(self.place / record.name)

    def reopen(self, record: "ShardRecord") -> ShardFile:
        return self.open(record)

    def open_all(self, records: Sequence["ShardRecord"]) -> Mapping[str, ShardFile]:
        """None where the process may not hold so many open."""
        if not have_room(len(records)):
            return {}
        held: dict[str, ShardFile] = {}
        for record in records:
            try:
                held[record.name] = self.open(record)
            except ShardError:
                continue
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    return {}
        return held

    def expect(self, record: "ShardRecord") -> None:
        return

    @contextmanager
    def holding(self, *, is_own: Callable[[], bool]) -> Iterator[Held]:
        with holding(self.place, kind="shard set", is_own=lambda _: is_own()) as held:
            yield held

    def scratch(self, name: str) -> Path:
        return self.place / temporary_name(name)

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(nearest_folder(self.place)).free

    def below(self) -> "Sequence[LocalFolder]":
        return [LocalFolder(path) for path in sorted(self.place.iterdir()) if path.is_dir()]


AnyFolder = Place | ShardFolder
"""The folder of a shard set, or what it is called."""


def shard_folder(folder: AnyFolder) -> ShardFolder:
    """The folder of a shard set."""
    match folder:
        case Path():
            return LocalFolder(folder)
        case Address():
            return BucketFolder(folder)
        case _:
            return folder
