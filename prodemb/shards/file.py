"""The files of shards, held open, so that they can be read whatever becomes of their names."""

import hashlib
import mmap
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from prodemb.core.errors import ShardError
from prodemb.core.files import sha256_of
from prodemb.storage.address import Place

if TYPE_CHECKING:
    from prodemb.shards.format import ShardRecord

_PIECE = 1 << 20

State = list[int | str]
"""What the file system says of a file: inode, size, and the times of its last changes. What a bucket says: ETag
and size."""


@dataclass
class NewFile:
    """A file that is being made for a folder."""

    path: Path
    """Where it is made, on this machine."""
    name: str
    """What it is called in the folder, once it is there."""

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal, once they are all written: it is hashed once."""
        return sha256_of(self.path)


class ShardFile:
    """An open file; it is closed by dropping the object.

    An update puts shards under other names and removes the old ones, so an open file stays what it was.
    """

    __slots__ = ("_changed_ns", "_descriptor", "_sha256", "_state", "path", "place")

    def __init__(
        self, path: Path, *, place: Place | None = None, sha256: str | None = None, state: State | None = None
    ) -> None:
        """Open the file.

        Args:
            place: what messages call it, where that is not its path.
            sha256: its checksum, where it was found already.
            state: what to say of its state, where it is a copy.

        Raises:
            ShardError: it is missing, or no regular file.
        """
        self.path, self.place = path, place or path
        self._sha256, self._state = sha256, state
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ShardError(f"{self.place}: missing, though the manifest lists it; embed again to redo it") from None
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ShardError(f"{self.place}: is no regular file; embed again to redo it")
        self._changed_ns = status.st_ctime_ns

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def mapped(self, *, record: "ShardRecord") -> mmap.mmap:
        """The whole file as read-only memory, which stays after the file is closed.

        Raises:
            ShardError: it has not the recorded size.
        """
        found = os.fstat(self._descriptor).st_size
        if found != record.num_bytes:
            raise ShardError(
                f"{self.place}: found {found:,} bytes, wanted {record.num_bytes:,}; embed again to redo it"
            )
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)

    def state(self) -> State:
        """What the file system says of it now; that it was unlinked is no change."""
        if self._state is not None:
            return self._state
        status = os.fstat(self._descriptor)
        changed_ns = status.st_ctime_ns if status.st_nlink else self._changed_ns
        return [status.st_ino, status.st_size, status.st_mtime_ns, changed_ns]

    def sha256(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal."""
        if self._sha256 is not None:
            return self._sha256
        digest, offset = hashlib.sha256(), 0
        while piece := os.pread(self._descriptor, _PIECE, offset):
            digest.update(piece)
            offset += len(piece)
        return digest.hexdigest()
