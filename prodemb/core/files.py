"""Writing files so that a name, once it exists, is whole: temporary name, flush, rename."""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prodemb.core.errors import BusyError, OutputError

TEMPORARY_SUFFIX = ".tmp"

_DISK_TROUBLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR}
)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it, on failure remove it.

    The temporary file is locked, by the kernel (flock), so two runs cannot make the same file at once; one that a
    killed run left is taken over.

    Raises:
        BusyError: another run is making this file.
        OutputError: it cannot be written: the disk is full, the folder read-only.
    """
    temporary = _temporary(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(temporary)
    try:
        with naming(path):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(lock)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or leave the old one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON: two spaces, non-ASCII as it is, a newline at the end."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises FileNotFoundError or ValueError; the caller names what the file is."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone, and clear temporary files that a killed run left in it.

    The lock is the kernel's (flock), so it goes with its process, however that ends.

    Raises:
        BusyError: another run holds the folder.
        OutputError: nothing can be written there.
    """
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: another run is writing here; wait for it or choose another folder") from None
        for leftover in folder.glob(f"*{TEMPORARY_SUFFIX}"):
            leftover.unlink(missing_ok=True)  # what is remembered of checksums is written without this lock
        yield


def allocate(descriptor: int, num_bytes: int, *, folder: Path) -> None:
    """Take the disk's blocks for an open file that is to be mapped, where the system can.

    Writing to a map whose blocks do not fit the disk any more ends the process with a signal (SIGBUS), not an error.

    Raises:
        OutputError: there is no room for so many bytes.
    """
    if not num_bytes or not hasattr(os, "posix_fallocate"):  # macOS has none
        return
    try:
        os.posix_fallocate(descriptor, 0, num_bytes)
    except OSError as error:
        if error.errno not in _DISK_TROUBLE:
            raise
        raise OutputError(
            f"{folder}: cannot be written: {os.strerror(error.errno)}, wanted room for {num_bytes:,} bytes; what was "
            "finished stays"
        ) from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say of which output a failure of the disk is; an error that names another file passes as it is.

    An error that names no file counts as the output's: writing to an open file raises such, and shards, which are read
    meanwhile, are mapped.

    Raises:
        OutputError: the disk is full, the folder read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_TROUBLE or not _is_of(error.filename, path):
            raise
        raise OutputError(f"{path}: cannot be written: {os.strerror(error.errno)}; what was finished stays") from error


def _is_of(named: str | bytes | None, path: Path) -> bool:
    """Whether a file is `path`, in it, its temporary file, or a folder above it that is missing; None is."""
    if named is None:
        return True
    file = Path(os.fsdecode(named))
    is_missing_folder = path.is_relative_to(file) and not os.access(file, os.F_OK)
    return file.is_relative_to(path) or file == _temporary(path) or is_missing_folder


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}{TEMPORARY_SUFFIX}")


def _locked(temporary: Path) -> int:
    """The descriptor of a temporary file that this process alone holds; closing it lets go."""
    while True:
        descriptor = os.open(temporary, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), temporary.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            final = temporary.with_name(temporary.name.removesuffix(TEMPORARY_SUFFIX))
            raise BusyError(f"{final}: another run is writing it; wait for it or choose another name") from None
        except FileNotFoundError:
            pass
        # The run that held it has just put it in place.
        os.close(descriptor)
