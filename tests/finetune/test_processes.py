"""Shares of the processes, who decides what they do, and what is said when they are not about to do the same."""

import os
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.errors import ConfigError
from prodemb.core.progress import ProgressCallback
from prodemb.finetune import processes
from prodemb.finetune.launch import launch
from prodemb.finetune.processes import Processes, is_first_process, is_launched, join_processes, local_rank
from tests.finetune.conftest import Finished
from tests.finetune.shop import CATEGORIES, NUM_PRODUCTS, SMALL, forbidden, run, write_catalog


@given(num_items=st.integers(0, 50), num_processes=st.integers(1, 9))
def test_every_item_is_in_one_share_and_shares_are_nearly_equal(num_items: int, num_processes: int) -> None:
    shares = [Processes(rank=rank, count=num_processes).share(num_items) for rank in range(num_processes)]
    assert [item for share in shares for item in range(share.start, share.stop)] == list(range(num_items))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_alone_nothing_is_sent() -> None:
    alone = join_processes("cpu")
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.full((2,), 3.0)
    alone.add_gradients([parameter])
    vectors = torch.ones(2, 3, requires_grad=True)
    assert alone == Processes()
    assert alone.is_first
    assert parameter.grad.tolist() == [3, 3]
    assert torch.equal(alone.gather(vectors, num_items=2), vectors)
    assert not alone.gather(vectors, num_items=2).requires_grad
    assert alone.from_first("mine") == "mine"


def test_a_launcher_says_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_launched()
    assert is_first_process()
    assert local_rank() == 0
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert is_launched()
    assert not is_first_process()
    assert local_rank() == 1


def run_elsewhere(catalogs: list[Path], model: Path, outs: list[Path], *, on_progress: ProgressCallback | None) -> None:
    """Fine-tune in a process that has a catalog and a folder of its own, as on a machine of its own."""
    processes.TIMEOUT = timedelta(minutes=2)
    rank = int(os.environ["RANK"])
    run(catalogs[rank], model, outs[rank], on_progress=on_progress, **SMALL)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_the_first_process_decides_whether_there_is_something_to_do(
    catalog: Path, tiny_clip: Path, tmp_path: Path, finished: Finished
) -> None:
    there = tmp_path / "there"
    work = partial(run_elsewhere, [catalog, catalog], tiny_clip, [finished[1], there])
    launch(work, count=2, on_progress=forbidden)
    assert not there.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_processes_that_find_another_catalog_say_so(catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    catalogs = [catalog, write_catalog(tmp_path, title=["mug"] * NUM_PRODUCTS)]
    work = partial(run_elsewhere, catalogs, tiny_clip, [tmp_path / "out"] * 2)
    with pytest.raises(ConfigError, match=r"1 of 2 processes find another catalog, .* than the first one; wanted"):
        launch(work, count=2, on_progress=forbidden)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_catalog_that_changes_before_the_processes_read_it_costs_nothing(
    tiny_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And what there is to say of its categories is said once, not by each process."""
    labels = ["99999999", *[CATEGORIES[i % 4] for i in range(1, NUM_PRODUCTS)]]
    catalog, out = write_catalog(tmp_path, google_category_id=labels), tmp_path / "out"

    def launch_late(*arguments: Any, **settings: Any) -> None:
        titles = [f"red mug {i}" for i in range(NUM_PRODUCTS)]
        write_catalog(tmp_path, google_category_id=labels, title=titles)
        launch(*arguments, **settings)

    monkeypatch.setattr("prodemb.finetune.finetune.launch", launch_late)
    made = run(catalog, tiny_clip, out, workers=2, **SMALL)
    assert caplog.text.count("is not in the test's taxonomy: '99999999'") == 1
    assert "99999999" not in capfd.readouterr().err
    skipped = run(catalog, tiny_clip, out, on_progress=forbidden, **SMALL)
    assert skipped == made.model_copy(update={"was_done": True})
