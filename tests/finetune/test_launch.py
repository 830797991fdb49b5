"""Processes that are started together: what they tell, and what is said when one of them dies."""

import os
import time
from functools import partial

import pytest

from prodemb.errors import ConfigError, WorkerError
from prodemb.finetune.launch import Progress, launch
from prodemb.finetune.processes import is_first_process


def count(*, progress: Progress | None) -> None:
    """Report three steps, from every process."""
    assert progress is not None
    for step in range(3):
        progress(step + 1, 3)


def fail(how: str, *, progress: Progress | None) -> None:
    """End the second process in some way while the first waits for ever."""
    assert progress is not None
    if is_first_process():
        time.sleep(600)
    if how == "mistake":
        raise ConfigError("[finetune] epochs: found none")
    os._exit(3)


def test_only_the_first_process_is_heard() -> None:
    heard: list[tuple[int, int]] = []
    launch(count, count=2, progress=lambda *done: heard.append(done))
    assert heard == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("mistake", ConfigError, r"^\[finetune\] epochs: found none$"),
        ("exit", WorkerError, r"^fine-tuning process 1 ended with status 3: .*; what is saved stays"),
    ],
)
def test_the_others_are_ended_when_one_fails(how: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        launch(partial(fail, how), count=2, progress=None)
