"""The training loop: a killed run resumes with the same curve, mini-batches and processes change nothing."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from prodemb.finetune.state import STATE, state_folder
from tests.finetune.conftest import Finished
from tests.finetune.shop import ALL_AT_ONCE, SMALL, assert_alike, run, run_killed, weights


@pytest.mark.parametrize("kill_at", [1, 3, 10])
def test_a_killed_run_resumes_with_the_same_curve(
    catalog: Path, tiny_clip: Path, tmp_path: Path, whole_run: Finished, kill_at: int
) -> None:
    out, steps = tmp_path / "out", list[int]()
    run_killed(kill_at, catalog, tiny_clip, out, wise_ft_alphas=[1.0])
    assert not out.exists()
    resumed = run(catalog, tiny_clip, out, on_progress=lambda done, _total: steps.append(done), wise_ft_alphas=[1.0])
    assert steps[0] > kill_at - 3
    report, folder = whole_run
    assert resumed.inputs_hash == report.inputs_hash
    assert resumed.curve.step_losses == report.curve.step_losses
    torch.testing.assert_close(weights(out), weights(folder), rtol=0, atol=0)


@pytest.mark.parametrize("kill_at", [1, 8, 11])
def test_a_killed_run_with_all_options_resumes_with_the_same_curve(
    catalog: Path, tiny_clip: Path, tmp_path: Path, run_of_all: Finished, kill_at: int
) -> None:
    out = tmp_path / "out"
    run_killed(kill_at, catalog, tiny_clip, out, **ALL_AT_ONCE)
    resumed = run(catalog, tiny_clip, out, **ALL_AT_ONCE)
    report, folder = run_of_all
    assert resumed.inputs_hash == report.inputs_hash
    assert resumed.curve.step_losses == report.curve.step_losses
    assert resumed.wise_ft_alpha == report.wise_ft_alpha
    torch.testing.assert_close(weights(out), weights(folder), rtol=0, atol=0)
    logged = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged if "epoch" not in line] == [*range(1, len(report.curve.step_losses) + 1)]
    assert [line["epoch"] for line in logged if "epoch" in line] == [1, 2]


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_two_processes_resume_a_run_with_all_options(
    catalog: Path, tiny_clip: Path, tmp_path: Path, run_of_all: Finished
) -> None:
    run_killed(5, catalog, tiny_clip, tmp_path / "out", **ALL_AT_ONCE)
    shared = run(catalog, tiny_clip, tmp_path / "out", workers=2, **ALL_AT_ONCE)
    report, _ = run_of_all
    assert shared.inputs_hash == report.inputs_hash
    assert shared.curve.step_losses == pytest.approx(report.curve.step_losses, rel=1e-3)


def test_a_damaged_state_or_one_of_another_run_is_not_resumed(catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    run_killed(6, catalog, tiny_clip, out, **SMALL)
    shutil.copytree(state_folder(out), kept)
    steps: list[int] = []
    run(catalog, tiny_clip, out, seed=1, on_progress=lambda done, _total: steps.append(done), **SMALL)
    assert steps[0] == 1
    shutil.copytree(kept, state_folder(out))
    (state_folder(out) / STATE).write_bytes(b"cut off")
    steps.clear()
    run(catalog, tiny_clip, out, on_progress=lambda done, _total: steps.append(done), **SMALL)
    assert steps[0] == 1


@pytest.mark.parametrize("mini_batch_size", [1, 5, 16])
def test_mini_batches_give_the_same_curve_and_weights(
    catalog: Path, tiny_clip: Path, tmp_path: Path, small_run: Finished, mini_batch_size: int
) -> None:
    cached = run(catalog, tiny_clip, tmp_path / "out", mini_batch_size=mini_batch_size, **SMALL)
    report, folder = small_run
    assert cached.inputs_hash == report.inputs_hash
    assert cached.curve.step_losses == pytest.approx(report.curve.step_losses, rel=1e-5)
    assert_alike(weights(tmp_path / "out"), weights(folder))


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
@pytest.mark.parametrize("mini_batch_size", [None, 3])
def test_two_processes_give_the_same_curve_and_weights_as_one(
    catalog: Path, tiny_clip: Path, tmp_path: Path, small_run: Finished, mini_batch_size: int | None
) -> None:
    out, steps = tmp_path / "out", list[int]()
    shared = run(
        catalog,
        tiny_clip,
        out,
        workers=2,
        mini_batch_size=mini_batch_size,
        on_progress=lambda done, _total: steps.append(done),
        **SMALL,
    )
    report, folder = small_run
    assert shared.num_processes == 2
    assert shared.inputs_hash == report.inputs_hash
    assert shared.curve.step_losses == pytest.approx(report.curve.step_losses, rel=1e-5)
    assert_alike(weights(out), weights(folder))
    assert steps == [*range(1, len(report.curve.step_losses) + 1), len(report.curve.step_losses)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
