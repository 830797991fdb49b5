"""How many files this process may hold open."""

import resource
from pathlib import Path

_SPARE = 4
"""One part in so many of the descriptors stays for all else that a process opens."""


def raise_limit() -> None:
    """Let this process, and those that it starts, hold as many files open as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS takes no "unlimited"
        return


def have_room(num_files: int) -> bool:
    """Whether this process may hold so many files open and some more for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return True
    try:
        num_open = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return False
    return num_open + num_files <= soft - soft // _SPARE
