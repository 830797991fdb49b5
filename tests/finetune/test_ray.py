"""Fine-tuning on a Ray cluster: the weights of one process, whoever is killed meanwhile, and nothing that is left."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from prodemb.core.errors import ConfigError, WorkerError
from prodemb.core.progress import ProgressCallback
from prodemb.finetune import ray as engine
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.ray import launch_on_ray
from tests.command_line import context
from tests.finetune.conftest import Finished
from tests.finetune.shop import SMALL, assert_alike, run, weights
from tests.ray_cluster import two_nodes


@pytest.fixture(scope="module")
def cluster(warm_python: Path) -> Iterator[Any]:
    """Two machines of one core."""
    with two_nodes(warm_python) as cluster:
        yield cluster


def workers_of(out: Path) -> list[int]:
    """The processes whose last words are kept for a run, by rank."""
    found = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            file = (folder / "fd" / "2").readlink() if folder.name.isdigit() else Path()
            if file.parent == out.with_name(f"{out.name}.ray"):
                found[file.name] = int(folder.name)
    return [found[name] for name in sorted(found)]


def launched(work: Any, out: Path, *, device: Any = "cpu", on_progress: ProgressCallback | None = None) -> None:
    config = FinetuneConfig(out=str(out), engine="ray", workers=2)
    launch_on_ray(work, config=config, device=device, paths=(), on_progress=on_progress)


def die_with_a_word(*, on_progress: ProgressCallback | None) -> None:
    os.write(2, b"the dog ate the batch\n")
    os._exit(3)


@pytest.mark.slow
def test_a_worker_is_killed_and_the_weights_are_those_of_one_process(
    cluster: Any, catalog: Path, tiny_clip: Path, tmp_path: Path, whole_run: Finished, caplog: pytest.LogCaptureFixture
) -> None:
    out, steps = tmp_path / "out", []

    def kill_one(step: int, _total: int | None) -> None:
        steps.append(step)
        if step == 5 == len(steps):
            _, second = workers_of(out)
            os.kill(second, signal.SIGKILL)

    report = run(
        catalog, tiny_clip, out, wise_ft_alphas=[1.0], engine="ray", workers=2, save_steps=2, on_progress=kill_one
    )
    alone, folder = whole_run
    assert report.num_processes == 2
    assert report.inputs_hash == alone.inputs_hash
    assert report.curve.step_losses == pytest.approx(alone.curve.step_losses, rel=1e-3)
    assert_alike(weights(out), weights(folder))
    again = steps.index(min(steps[5:]), 5)
    assert steps[again] > 2  # it went on from a saved step
    assert steps[-1] == len(alone.curve.step_losses)
    (said,) = [message for message in caplog.messages if "died" in message]
    assert said.startswith("fine-tuning worker 1 on ")
    assert said.endswith("; fine-tuning goes on from the last saved step")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_what_a_worker_raises_is_raised(cluster: Any, catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^\[finetune\] learning_rate: found 1e\+30, but the loss was not finite"):
        run(catalog, tiny_clip, tmp_path / "out", engine="ray", workers=2, learning_rate=1e30, warmup_steps=0)
    assert not (tmp_path / "out.ray").exists()


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_the_run_with_their_last_words(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRIES", 0)
    words = r"^fine-tuning worker \d on .* died: .*: the dog ate the batch; 1 attempt came no further; saved steps are"
    with pytest.raises(WorkerError, match=words):
        launched(die_with_a_word, tmp_path / "out")


@pytest.mark.slow
def test_without_room_the_wait_ends(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 2)
    monkeypatch.setitem(engine._ENVIRONMENT, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "1")
    other = ray.remote(num_cpus=1)(dict).remote()
    try:
        with pytest.raises(
            WorkerError, match=r"has not had room for 2 workers at once for 2 s; each wanted 1 core of a"
        ):
            launched(die_with_a_word, tmp_path / "out")
        with pytest.raises(ConfigError, match=r"device: found 'cuda', but no machine of the Ray cluster has a GPU"):
            launched(die_with_a_word, tmp_path / "out", device="cuda")
    finally:
        ray.kill(other)


def run_as_another(catalog: Path, model: Path, out: Path, address: str) -> None:
    run(catalog, model, out, wise_ft_alphas=[1.0], engine="ray", workers=2, ray_address=address)


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_worker_and_goes_on_with_another_engine(
    cluster: Any, catalog: Path, tiny_clip: Path, tmp_path: Path, whole_run: Finished
) -> None:
    out = tmp_path / "out"
    process = context().Process(target=run_as_another, args=(catalog, tiny_clip, out, cluster.address))
    process.start()
    state = tmp_path / "out.state" / "state.safetensors"
    until = time.monotonic() + 120
    while process.exitcode is None and not state.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    workers = workers_of(out)
    assert len(workers) == 2
    process.kill()
    process.join(10)
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < until
        time.sleep(0.1)
    steps: list[int] = []
    report = run(catalog, tiny_clip, out, wise_ft_alphas=[1.0], on_progress=lambda done, _total: steps.append(done))
    assert steps[0] > 1
    assert report.curve.step_losses == pytest.approx(whole_run[0].curve.step_losses, rel=1e-3)


def test_a_launcher_and_ray_together_are_refused(
    catalog: Path, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"engine: found 'ray' in a process that a launcher has started"):
        run(catalog, tiny_clip, tmp_path / "out", engine="ray", **SMALL)


def test_without_ray_the_extra_is_named(
    catalog: Path, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"^\[finetune\] engine: .*wanted pip install 'prodemb\[ray\]'"):
        run(catalog, tiny_clip, tmp_path / "out", engine="ray", **SMALL)
    assert not list(tmp_path.iterdir())
