"""Opening files that somebody else may have put there: regular ones only, and beneath a folder without any link."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A pipe is opened at once, so that it can be told from a file; reading a file does not change by it."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class NotRegularError(OSError):
    """What was to be opened is a folder, a pipe, a device or the like."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "is no regular file", str(path))


def open_regular(path: Path, *, beneath: Path | None = None) -> BufferedReader:
    """Open a regular file for reading; nothing else is read from or waited for.

    Args:
        beneath: a folder that `path` lies in; no part of the path below it may be a link, nor become one meanwhile.

    Raises:
        NotRegularError: it is no regular file.
        OSError: it cannot be opened, or a part of its path is a link that may not be.
    """
    try:
        descriptor = os.open(path, _READ) if beneath is None else _opened_beneath(beneath, path.relative_to(beneath))
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # a socket
            raise NotRegularError(path) from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError(path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _opened_beneath(folder: Path, path: Path) -> int:
    """Open a file part by part: each folder by its descriptor, none by a link."""
    above = os.open(folder, _FOLDER)
    try:
        for name in path.parts[:-1]:
            below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            above = below
        return os.open(path.name or ".", _READ | os.O_NOFOLLOW, dir_fd=above)
    finally:
        os.close(above)
