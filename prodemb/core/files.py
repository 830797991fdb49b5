"""Writing files so that a name, once it exists, is whole: a temporary file, flush, rename."""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prodemb.core.bounded import MAX_BYTES, opened
from prodemb.core.errors import BusyError, ConfigError, OutputError, ProdembError

_DISK_TROUBLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR}
)

_OS_ERROR = re.compile(r"\(os error (\d{1,4})\)")
"""How Rust's errors end."""

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it, on failure remove it.

    The temporary file is created exclusively under a random name, so that no link that lies there already is
    followed, and stays locked by the kernel (flock) until it is in place, so that two runs cannot make the same file at
    once. What a killed run left of the same file is removed.

    Raises:
        BusyError: another run is making this file.
        OutputError: it cannot be written: the disk is full, the folder read-only, or `path` is no regular file.
    """
    make_folder(path.parent, of=path)
    with naming(path):
        _check_regular(path)
        temporary, lock = _exclusive(path)
    try:
        with naming(path):
            _refuse_others(path, own=temporary)
            yield temporary
            _flush(temporary, path=path)
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
    """Write readable JSON: two spaces, non-ASCII as it is, a newline at the end.

    Raises:
        OutputError: it would be too large to be read again; or as `replacing`.
    """
    write_text(path, json_text(value, of=path))


def json_text(value: Any, *, of: object) -> str:
    """What `write_json` writes. Raises OutputError where it would be too large to be read again."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if len(text) > MAX_BYTES // 4 and (num_bytes := len(text.encode())) > MAX_BYTES:
        raise OutputError(f"{of}: would be {num_bytes:,} bytes, and not more than {MAX_BYTES:,} are read again")
    return text


def expanded(path: str) -> Path:
    """A path with `~` or `~user` at its beginning replaced by the home folder.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: no user {Path(path).parts[0][1:]!r} with a home folder here") from None


def nearest_folder(path: Path) -> Path:
    """The folder that a path stands for, or the nearest one above it that there is."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def sha256_of(path: Path) -> str:
    """The SHA-256 of a regular file's bytes, in hexadecimal. Raises as `opened`."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def temporary_name(name: str) -> str:
    """A hidden name that nobody can guess, and that `is_temporary` knows."""
    return f".{name}.{secrets.token_hex(8)}.tmp"


def is_temporary(name: str, *, of: str | None = None) -> bool:
    """Whether a file name is one of `temporary_name`, of any file or of this one."""
    found = _TEMPORARY.fullmatch(name)
    return found is not None and of in (None, found["name"])


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
    except ProdembError:
        raise
    except Exception as error:
        number = _number_of(error)
        if number not in _DISK_TROUBLE or not _is_of(getattr(error, "filename", None), path):
            raise
        raise OutputError(f"{path}: cannot be written: {os.strerror(number)}; what was finished stays") from error


def make_folder(folder: Path, *, of: Path) -> None:
    """Make a folder for an output, and those above it, where they are not there.

    Raises:
        OutputError: it cannot be made, or what has its name is no folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno or 0
        raise OutputError(f"{of}: cannot be written: {os.strerror(number)}; what was finished stays") from error


def _number_of(error: Exception) -> int:
    """The system's number of an error, 0 where it has none; safetensors and polars give it in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else 0


def _is_of(named: str | bytes | None, path: Path) -> bool:
    """Whether a file is `path`, in it, its temporary file, or a folder above it that is missing; None is."""
    if named is None:
        return True
    file = Path(os.fsdecode(named))
    is_its_temporary = file.parent == path.parent and is_temporary(file.name, of=path.name)
    is_missing_folder = path.is_relative_to(file) and not os.access(file, os.F_OK)
    return file.is_relative_to(path) or is_its_temporary or is_missing_folder


def _check_regular(path: Path) -> None:
    """Raise where a folder, a pipe or a device has the name; a link is replaced itself, never what it leads to."""
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise OutputError(f"{path}: is no regular file; wanted another name to write to")


def _flush(temporary: Path, *, path: Path) -> None:
    """Flush a written file to disk; some writers (safetensors) put a file of their own in its place."""
    try:
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK):
            raise
        raise OutputError(f"{path}: its temporary file {temporary.name} became a link meanwhile; run again") from None
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exclusive(path: Path) -> tuple[Path, int]:
    """A new temporary file beside `path`, and its descriptor, which holds its lock until it is closed."""
    while True:
        temporary = path.with_name(temporary_name(path.name))
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(temporary, descriptor=descriptor):
                return temporary, descriptor
        os.close(descriptor)  # another run took it for a leftover before it was locked


def _refuse_others(path: Path, *, own: Path) -> None:
    """Remove what killed runs left of the file; raise BusyError where a run is alive that makes it."""
    with os.scandir(path.parent) as entries:
        others = [Path(e.path) for e in entries if e.name != own.name and is_temporary(e.name, of=path.name)]
    for other in others:
        if not remove_leftover(other):
            raise BusyError(f"{path}: another run is writing it; wait for it or choose another name")


def remove_leftover(temporary: Path) -> bool:
    """Remove the temporary file of a killed run, never what it links to; False where its run is alive."""
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            temporary.unlink(missing_ok=True)
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and _is_still(temporary, descriptor=descriptor):
            temporary.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_still(path: Path, *, descriptor: int) -> bool:
    """Whether the file of a name is the one that is open, and no link to it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
