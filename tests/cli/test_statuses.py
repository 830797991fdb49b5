"""Every kind of error has a status of its own, which the help lists."""

import errno
from collections.abc import Callable
from functools import partial

import pytest

from prodemb.cli.statuses import STATUSES, listed, status_of
from prodemb.core import errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigError, 3),
        (errors.CatalogError, 4),
        (errors.TaxonomyError, 4),
        (errors.ModelError, 5),
        (errors.FingerprintError, 6),
        (errors.LostRowsError, 7),
        (errors.ImagesError, 7),
        (errors.FewLabelsError, 8),
        (errors.OutputError, 9),
        (errors.BusyError, 10),
        (partial(OSError, errno.ENOSPC, "full"), 9),
        (partial(OSError, errno.EROFS, "read-only"), 9),
        (partial(OSError, errno.EEXIST, "there"), 9),
        (partial(OSError, errno.EACCES, "closed"), 1),
        (errors.WorkerError, 1),
        (MemoryError, 1),
        (KeyError, 1),
    ],
)
def test_an_error_has_the_status_of_its_kind(error: Callable[[], Exception], status: int) -> None:
    assert status_of(error()) == status


def test_numbers_are_distinct_and_listed_in_order() -> None:
    numbers = [status.number for status in STATUSES]
    assert len({*numbers}) == len(numbers)
    assert listed().startswith("0 success, 1 any other error, 2 wrong usage, 3 ")
    assert listed().endswith("130 interrupted (Ctrl-C), 143 terminated")
