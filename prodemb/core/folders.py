"""Folders that prodemb fills: which are its own, one run at a time in each, and replaced as a whole.

A folder is prodemb's own when it is empty or carries the marker, a small file that also is the lock. Anything else is
refused, and only files that prodemb is known to have written are ever removed.
"""

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prodemb.core.errors import BusyError, OutputError
from prodemb.core.files import is_temporary, make_folder, naming, remove_leftover, temporary_name

MARKER = ".prodemb"
"""The marker: says what the folder holds. A run holds its lock (flock), which goes with its process."""

Kind = Literal["shard set", "head", "checkpoint", "training state", "sample", "export", "prediction set"]
"""What a folder of prodemb's holds."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_SHOWN = 3


@dataclass(frozen=True)
class HeldFolder:
    """A folder that this run alone writes to."""

    path: Path
    descriptor: int

    def check(self) -> None:
        """Raise OutputError where the folder was renamed or replaced since it was opened."""
        try:
            same = os.path.samestat(os.fstat(self.descriptor), self.path.stat())
        except OSError:
            same = False
        if not same:
            raise OutputError(f"{self.path}: was moved or replaced while this run wrote to it; run again")


def _never(folder: Path) -> bool:
    return False


@contextmanager
def holding(folder: Path, *, kind: Kind, is_own: Callable[[Path], bool] = _never) -> Iterator[HeldFolder]:
    """Hold a folder for this run alone: make it, or see that it is prodemb's, and clear what a killed run left.

    Args:
        is_own: asked about a folder that is neither empty nor marked, such as one that was copied without hidden files.

    Raises:
        BusyError: another run holds the folder.
        OutputError: nothing can be written there, or it holds what prodemb did not make.
    """
    make_folder(folder, of=folder)
    with naming(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with naming(folder):
            lock = _locked_marker(folder, descriptor=descriptor, kind=kind, is_own=is_own)
        try:
            _clear(descriptor, folder=folder)
            yield HeldFolder(folder, descriptor)
        finally:
            os.close(lock)
    finally:
        os.close(descriptor)


@contextmanager
def replacing_folder(
    folder: Path, *, kind: Kind, own_files: Collection[str], is_own: Callable[[Path], bool] = _never
) -> Iterator[Path]:
    """Yield a new folder beside `folder`; on success it takes that name as a whole, on failure it is removed.

    The old folder can be read until then. Two runs cannot make the same folder at once.

    Args:
        own_files: names of the files and folders that this kind of folder consists of. Others that somebody put into
            the old folder are taken over into the new one.
        is_own: as for `holding`.

    Raises:
        BusyError: another run is making this folder.
        OutputError: it cannot be written, or the old one holds what prodemb did not make.
    """
    folder = folder.resolve()  # a link to a folder stays, and the new one lies on the same disk as the old
    make_folder(folder.parent, of=folder)
    with naming(folder):
        _restore(folder)
        if folder.exists():
            _check_replaceable(folder, kind=kind, is_own=is_own)
        new = folder.with_name(temporary_name(folder.name))
        new.mkdir()
    try:
        with naming(folder):
            lock = _make_marker(new, kind=kind)
        try:
            with naming(folder):
                _refuse_other_folders(folder, own=new)
                yield new
                _flush(new)
                _swap(new, folder, own_files=own_files)
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def is_marked(folder: Path, *, kind: Kind) -> bool:
    """Whether a folder carries the marker of a kind."""
    with suppress(OSError):
        descriptor = os.open(folder / MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _is_plain(descriptor) and os.read(descriptor, 64) == _text(kind)
        finally:
            os.close(descriptor)
    return False


def check_apart(folder: Path, inputs: Collection[Path]) -> None:
    """Raise OutputError where a folder to write to holds one of a run's input files."""
    inside = folder.resolve()
    for file in inputs:
        if file.resolve().is_relative_to(inside):
            raise OutputError(f"{folder}: holds the catalog file {file}; wanted a folder apart from the catalog")


def _text(kind: Kind) -> bytes:
    return f"{kind} of prodemb\n".encode()


def _is_plain(descriptor: int) -> bool:
    """Whether an open file is a regular one with no other name: writing to it changes nothing else."""
    found = os.fstat(descriptor)
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _locked_marker(folder: Path, *, descriptor: int, kind: Kind, is_own: Callable[[Path], bool]) -> int:
    """The descriptor of the folder's marker, locked and made where the folder is prodemb's but has none."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        lock = os.open(folder / MARKER, flags)
    except FileNotFoundError:
        others = sorted(os.listdir(descriptor))
        if others and not is_own(folder):
            raise OutputError(_not_own(folder, others, kind=kind)) from None
        lock = os.open(folder / MARKER, flags | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise OutputError(f"{folder / MARKER}: is a link or no regular file; remove it and run again") from None
        raise
    try:
        _lock(lock, folder=folder)
        if not _is_plain(lock):
            raise OutputError(f"{folder / MARKER}: is no regular file of its own; remove it and run again")
        found = os.pread(lock, 64, 0)
        if not found:
            os.pwrite(lock, _text(kind), 0)
        elif found != _text(kind):
            what = found.decode("utf-8", "replace").strip()
            raise OutputError(f"{folder}: holds a {what}, wanted a {kind}; choose another folder")
    except BaseException:
        os.close(lock)
        raise
    return lock


def _not_own(folder: Path, names: Collection[str], *, kind: Kind) -> str:
    shown = ", ".join(list(names)[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{folder}: holds what prodemb did not make ({shown}); wanted an empty folder or a {kind} of prodemb"


def _lock(descriptor: int, *, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError(f"{folder}: another run is writing here; wait for it or choose another folder") from None


def _clear(descriptor: int, *, folder: Path) -> None:
    """Remove temporary files and folders of killed runs."""
    for name in os.listdir(descriptor):
        if not is_temporary(name):
            continue
        if stat.S_ISDIR(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
            shutil.rmtree(name, ignore_errors=True, dir_fd=descriptor)
        else:
            remove_leftover(folder / name)


def _make_marker(folder: Path, *, kind: Kind) -> int:
    """The descriptor of the marker of a new folder, locked."""
    lock = os.open(folder / MARKER, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, _text(kind))
    except BaseException:
        os.close(lock)
        raise
    return lock


def _check_replaceable(folder: Path, *, kind: Kind, is_own: Callable[[Path], bool]) -> None:
    """Raise OutputError unless a folder is empty, marked, or known to be of this kind."""
    if not folder.is_dir():
        raise OutputError(f"{folder}: is no folder; wanted another name to write to")
    names = sorted(path.name for path in folder.iterdir() if not is_temporary(path.name))
    if names and not is_marked(folder, kind=kind) and not is_own(folder):
        raise OutputError(_not_own(folder, names, kind=kind))


def _refuse_other_folders(folder: Path, *, own: Path) -> None:
    """Remove new folders that killed runs left; raise BusyError where a run is alive that makes one."""
    for other in folder.parent.iterdir():
        if other == own or not is_temporary(other.name, of=folder.name) or other.is_symlink() or not other.is_dir():
            continue
        if _is_locked(other / MARKER):
            raise BusyError(f"{folder}: another run is writing it; wait for it or choose another folder")
        shutil.rmtree(other, ignore_errors=True)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _swap(new: Path, folder: Path, *, own_files: Collection[str]) -> None:
    """Give a new folder its name; the old one, which then has the temporary name, goes but for foreign files."""
    if not folder.exists():
        new.rename(folder)
        return
    if _exchange(new, folder):
        old = new
    else:
        old = folder.with_name(f".{folder.name}.old")
        folder.rename(old)
        new.rename(folder)
    for path in old.iterdir():
        if path.name not in own_files and path.name != MARKER and not is_temporary(path.name):
            path.rename(folder / path.name)
    shutil.rmtree(old, ignore_errors=True)


def _restore(folder: Path) -> None:
    """Give back its name to an old folder that a kill between two renames left without one."""
    old = folder.with_name(f".{folder.name}.old")
    if not folder.exists() and not old.is_symlink() and (old / MARKER).is_file():
        old.rename(folder)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; False where the system or the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin":
        return getattr(library, "renamex_np", lambda *_: -1)(*names, _RENAME_EXCHANGE) == 0
    if not hasattr(library, "renameat2"):
        return False
    return bool(library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
