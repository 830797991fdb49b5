"""Processes that are started together: what they tell, and what is said when one of them dies."""

import logging
import os
import time
from functools import partial
from pathlib import Path

import pytest

from prodemb.core.errors import ConfigError, WorkerError
from prodemb.core.progress import ProgressCallback
from prodemb.finetune.launch import launch
from prodemb.finetune.processes import check_shared, is_first_process, join_processes


def count(*, on_progress: ProgressCallback | None) -> None:
    """Report three steps, from every process."""
    assert on_progress is not None
    for step in range(3):
        on_progress(step + 1, 3)


def fail(how: str, *, on_progress: ProgressCallback | None) -> None:
    """End the second process in some way while the first waits for ever."""
    assert on_progress is not None
    if is_first_process():
        time.sleep(600)
    if how == "mistake":
        raise ConfigError("[finetune] epochs: found none")
    os._exit(3)


def warn(*, on_progress: ProgressCallback | None) -> None:
    """Log something from the first process."""
    assert on_progress is not None
    if is_first_process():
        logging.getLogger("prodemb.finetune.trainer").warning("%s is strange", Path("x"))


def share(folder: Path, elsewhere: Path, *, on_progress: ProgressCallback | None) -> None:
    """Check for a folder that the second process may look for in another place, as on a machine of its own."""
    joined = join_processes("cpu")
    place = folder if joined.is_first else elsewhere
    check_shared(place, processes=joined)
    joined.leave()


def test_processes_that_do_not_see_the_first_one_s_folder_say_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(ConfigError, match=r"1 of 2 processes do not see .*; wanted one file system for all machines"):
        launch(partial(share, tmp_path / "a", tmp_path / "b"), count=2, on_progress=None)
    assert not list(tmp_path.rglob("*.tmp"))


def test_only_the_first_process_is_heard() -> None:
    heard: list[tuple[int, int | None]] = []
    launch(count, count=2, on_progress=lambda *done: heard.append(done))
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_what_a_process_logs_is_logged_here_and_not_printed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    launch(warn, count=2, on_progress=None)
    said = [record for record in caplog.record_tuples if record[0].startswith("prodemb")]
    assert said == [("prodemb.finetune.trainer", logging.WARNING, "x is strange")]
    assert "strange" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("mistake", ConfigError, r"^\[finetune\] epochs: found none$"),
        ("exit", WorkerError, r"^fine-tuning process 1 ended with status 3: .*; saved steps are kept"),
    ],
)
def test_the_others_are_ended_when_one_fails(how: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        launch(partial(fail, how), count=2, on_progress=None)
