"""The statuses that commands end with: one for each kind of failure, so that a script can tell what to do."""

import errno
import signal
from dataclasses import dataclass

from prodemb.core.errors import (
    BusyError,
    CatalogError,
    ConfigError,
    HeadError,
    ImagesError,
    LostRowsError,
    ModelError,
    OutputError,
    ShardError,
    StorageError,
    TaxonomyError,
)

FAILED = 1
SHARDS = 6
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
_OF_WRITING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EEXIST})
"""The system's errors that reading never meets."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """One status."""

    number: int
    meaning: str
    errors: tuple[type[Exception], ...] = ()
    """What it stands for."""


STATUSES = (
    Status(number=0, meaning="success"),
    Status(number=FAILED, meaning="any other error"),
    Status(number=2, meaning="wrong usage"),
    Status(number=3, meaning="a pipeline file, setting or argument", errors=(ConfigError,)),
    Status(number=7, meaning="more rows or pictures lost than allowed", errors=(LostRowsError, ImagesError)),
    Status(number=4, meaning="a catalog or taxonomy", errors=(CatalogError, TaxonomyError)),
    Status(number=5, meaning="a checkpoint", errors=(ModelError,)),
    Status(number=SHARDS, meaning="shards: damaged, missing or of another model", errors=(ShardError,)),
    Status(number=8, meaning="a head, or too few labels to train one", errors=(HeadError,)),
    Status(number=9, meaning="an output cannot be written", errors=(OutputError,)),
    Status(number=10, meaning="another run is writing there: try later", errors=(BusyError,)),
    Status(number=11, meaning="object storage refuses or does not answer", errors=(StorageError,)),
    Status(number=INTERRUPTED, meaning="interrupted (Ctrl-C)"),
    Status(number=TERMINATED, meaning="terminated"),
)
"""The first one with an error's class, or one above it, is the error's."""


def status_of(error: BaseException) -> int:
    """The status that a command ends with because of an error."""
    is_of_writing = isinstance(error, OSError) and error.errno in _OF_WRITING
    kind = OutputError if is_of_writing else type(error)
    return next((each.number for each in STATUSES if issubclass(kind, each.errors)), FAILED)


def listed() -> str:
    """All statuses and what they mean, in the order of their numbers."""
    ordered = sorted(STATUSES, key=lambda status: status.number)
    return ", ".join(f"{status.number} {status.meaning}" for status in ordered)
