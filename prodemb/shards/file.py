"""The files of shards, held open, so that they can be read whatever becomes of their names."""

import hashlib
import mmap
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from prodemb.core.errors import ShardError

if TYPE_CHECKING:
    from prodemb.shards.format import ShardRecord

_PIECE = 1 << 20

State = list[int]
"""What the file system says of a file: inode, size, and the times of its last changes."""


class ShardFile:
    """An open file; it is closed by dropping the object.

    An update puts shards under other names and removes the old ones, so an open file stays what it was.
    """

    __slots__ = ("_changed_ns", "_descriptor", "path")

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            ShardError: it is missing, or no regular file.
        """
        self.path = path
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ShardError(f"{path}: missing, though the manifest lists it; embed again to redo it") from None
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ShardError(f"{path}: is no regular file; embed again to redo it")
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
            raise ShardError(f"{self.path}: found {found:,} bytes, wanted {record.num_bytes:,}; embed again to redo it")
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)

    def state(self) -> State:
        """What the file system says of it now; that it was unlinked is no change."""
        status = os.fstat(self._descriptor)
        changed_ns = status.st_ctime_ns if status.st_nlink else self._changed_ns
        return [status.st_ino, status.st_size, status.st_mtime_ns, changed_ns]

    def sha256(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal."""
        digest, offset = hashlib.sha256(), 0
        while piece := os.pread(self._descriptor, _PIECE, offset):
            digest.update(piece)
            offset += len(piece)
        return digest.hexdigest()
