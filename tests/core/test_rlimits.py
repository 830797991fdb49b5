"""How many files may be open: as many as the system allows, and never all of them for shards."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prodemb.core.rlimits import have_room, raise_limit


@pytest.fixture(autouse=True)
def _same_limit_afterwards() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def limit(soft: int) -> int:
    """Set the limit that can be raised again; the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return hard


def test_the_limit_is_raised_to_what_the_system_allows() -> None:
    hard = limit(200)
    raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_quarter_of_what_may_be_open_is_kept_free() -> None:
    num_open = len([*Path("/dev/fd").iterdir()])
    limit(4 * num_open + 400)
    assert have_room(2 * num_open + 300 - 10)
    assert not have_room(2 * num_open + 300 + 10)


def test_the_command_line_raises_the_limit() -> None:
    program = (
        "import resource; from prodemb import cli;"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard));"
        "cli.app = lambda: print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard));"
        "cli.main()"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout == "True\n"
