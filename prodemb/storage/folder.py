"""A folder of a bucket that runs write to, one at a time, and the files of this machine that they make for it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.bounded import check_footer
from prodemb.core.errors import OutputError
from prodemb.core.files import make_folder, naming
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder
from prodemb.storage.lease import Lease, leased
from prodemb.storage.objects import ObjectInfo, exists, listing, read_range

_TAIL_BYTES = 1 << 16
"""Read from the end of a Parquet file; its metadata is hardly ever longer."""
_SHOWN = 3
_PREFIX = "file-"


@contextmanager
def holding(folder: Address, *, lease_name: str, kind: str, is_own: Callable[[], bool]) -> Iterator[Lease]:
    """Hold a folder for this run alone, by a lease in it, which also says that the folder is prodemb's.

    Args:
        lease_name: of the lease; each kind of folder has its own.
        kind: what the folder is to hold, for messages: "shard set".
        is_own: asked where the folder is neither empty nor has that lease, such as one that was copied.

    Raises:
        BusyError: another run holds it.
        OutputError: it holds what prodemb did not make.
        StorageError: the bucket cannot be read or written.
    """
    names = [name for name, _ in islice(objects_in(folder), _SHOWN + 1)]
    if names and not exists(folder / lease_name) and not is_own():
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise OutputError(
            f"{folder}: holds what prodemb did not make ({shown}); wanted an empty folder or a {kind} of prodemb"
        )
    with leased(folder / lease_name, what=str(folder)) as lease:
        yield lease


def objects_in(folder: Address) -> Iterator[tuple[str, ObjectInfo]]:
    """The objects that lie directly in a folder, by their names; a request per 1,000 in it and below."""
    start = len(folder.key) + 1 if folder.key else 0
    for info in listing(folder):
        if "/" not in (name := info.address.key[start:]):
            yield name, info


def parquet_footer(info: ObjectInfo) -> pq.FileMetaData:
    """The metadata of a Parquet file; one request, two where it is longer than 64 kB.

    Raises:
        ValueError: it is no Parquet file, or has more metadata than is read.
        ConflictError, MissingObjectError, StorageError: it was written anew or deleted meanwhile, or cannot be read.
    """
    tail = _tail(info, num_bytes=_TAIL_BYTES)
    check_footer(pa.BufferReader(tail))
    num_bytes = int.from_bytes(tail[-8:-4], "little") + 8
    if num_bytes > len(tail):
        tail = _tail(info, num_bytes=num_bytes)
    return pq.read_metadata(pa.BufferReader(tail[-num_bytes:]))


@contextmanager
def temporary_file(name: str) -> Iterator[Path]:
    """A path on this machine, on the disk of the cache. It is removed afterwards, as is what killed processes left."""
    folder = cache_folder() / "scratch"
    make_folder(folder, of=folder)
    with naming(folder):
        temporary, lock = _new_folder(folder)
        try:
            yield temporary / name
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            os.close(lock)


def _new_folder(folder: Path) -> tuple[Path, int]:
    """A new folder in one, and the descriptor by which it is locked as long as its process lives."""
    outer = _lock(folder, fcntl.LOCK_EX)
    try:
        for other in folder.glob(f"{_PREFIX}*"):
            with suppress(BlockingIOError, FileNotFoundError):
                lock = _lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other, ignore_errors=True)
                os.close(lock)
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        return own, _lock(own, fcntl.LOCK_EX)
    finally:
        os.close(outer)


def _lock(folder: Path, how: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _tail(info: ObjectInfo, *, num_bytes: int) -> bytes:
    return read_range(info, start=max(0, info.num_bytes - num_bytes), length=num_bytes)
