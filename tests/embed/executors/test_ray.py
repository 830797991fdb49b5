"""Ray: the same files as one process makes, whoever is killed meanwhile, and nothing of it is left afterwards."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.core.errors import ConfigError, ModelError, WorkerError
from prodemb.core.files import is_temporary
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import EmbedReport, embed
from prodemb.embed.executors.pace import ClusterUse
from prodemb.shards.format import read_manifest
from prodemb.workers import ray as engine
from tests.command_line import context
from tests.conftest import jpeg
from tests.embed.conftest import MakeCatalog, contents, estimated, run
from tests.embed.executors.odd_catalog import OddCatalog
from tests.ray_cluster import ROOT, two_nodes

STOPPED = "prodemb: stopped; completed work is kept: run the same command to continue"


def test_without_ray_the_extra_is_named(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"wanted pip install 'prodemb\[ray\]'"):
        run(make_catalog(20), tmp_path / "shards", tiny_clip, engine="ray")


@pytest.fixture(scope="module")
def cluster(warm_python: Path) -> Iterator[Any]:
    with two_nodes(warm_python) as cluster:
        yield cluster


def is_killed_and_then_hangs(folder: Path) -> None:
    for number in (signal.SIGKILL, signal.SIGSTOP):
        try:
            (folder / number.name).touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), number)


def dies_with_a_word(folder: Path) -> None:
    os.write(2, b"the dog ate row 48\n")
    os._exit(3)


def embed_odd(
    catalog: Path, out: Path, model: Path, happens: Callable[[Path], None], *, num_workers: int = 2
) -> EmbedReport:
    values = {"model": str(model), "out": str(out), "shard_size": 16, "window": 8, "dtype": "float32"}
    config = EmbedConfig.parse({**values, "engine": "ray", "workers": num_workers}, source="test")
    return embed(config, catalog=OddCatalog(catalog, happens=happens, home=os.getpid()), images=ImagesConfig())


@pytest.mark.slow
def test_ray_makes_the_same_files_as_one_process_also_where_actors_are_killed_and_hang_over_tomorrows_catalog(
    cluster: Any,
    make_catalog: MakeCatalog,
    tiny_clip: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog, one, two = make_catalog(100), tmp_path / "one", tmp_path / "two"
    report = run(catalog, one, tiny_clip)
    by_ray = run(catalog, two, tiny_clip, engine="ray", workers=2)
    assert contents(one) == contents(two)
    assert (by_ray.num_workers, by_ray.device, by_ray.num_new) == (2, "cpu", 100)
    assert by_ray.timings.num_texts == report.timings.num_texts
    assert not caplog.messages

    frame = pl.read_parquet(catalog)
    new = frame.with_columns(
        pl.when(pl.col("product_id") == "p70").then(pl.lit("red sofa")).otherwise("title").alias("title")
    )
    new.filter(pl.col("product_id") != "p3").write_parquet(catalog)
    (tmp_path / "images" / "5.jpg").write_bytes(jpeg(77))
    run(catalog, one, tiny_clip)
    monkeypatch.setattr(engine, "SILENT_SECONDS", 5)
    updated = embed_odd(catalog, two, tiny_clip, is_killed_and_then_hangs)
    assert {"SIGKILL", "SIGSTOP"} <= {path.name for path in tmp_path.iterdir()}
    assert contents(one) == contents(two)
    assert updated.manifest.changes is not None
    assert (updated.manifest.changes.removed, updated.manifest.changes.changed) == (1, 2)
    assert not [path for path in two.iterdir() if is_temporary(path.name)]
    assert "died: its worker process has died; possibly out of memory" in caplog.text


@pytest.mark.slow
def test_a_dry_run_looks_at_the_cluster_and_has_one_worker_embed_a_sample(
    cluster: Any, make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(100), tmp_path / "shards"
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    found = estimated(catalog, out, tiny_clip, engine="ray")
    assert found.cluster == ClusterUse(num_machines=2, num_workers=2, num_cores=1, num_gpus=0)
    assert (found.device, found.dtype, found.num_shards, found.gpu_hours) == ("cpu", "float32", 7, (0, 0))
    assert found.host == socket.gethostname()
    assert found.sample is not None
    assert found.sample.num_products > 0
    assert 0 < found.products_per_s[0] < found.products_per_s[1]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    with pytest.raises(ConfigError, match="no machine of the Ray cluster has a GPU"):
        estimated(catalog, out, tiny_clip, engine="ray", device="cuda")


@pytest.mark.slow
def test_actors_that_die_again_and_again_end_the_run_with_their_last_words(
    cluster: Any, make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRIES", 1)
    words = (
        r"prodemb worker \d on .* died: its worker process has died: the dog ate row 48; 2 workers died over shard \d"
    )
    with pytest.raises(WorkerError, match=words):
        embed_odd(make_catalog(100), tmp_path / "shards", tiny_clip, dies_with_a_word, num_workers=1)
    assert not list((tmp_path / "shards").glob(".worker-*"))


@pytest.mark.slow
def test_what_an_actor_raises_is_raised(
    cluster: Any, make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    (copy := tmp_path / "clip").mkdir()
    for path in tiny_clip.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ModelError, match="cannot be loaded"):
        run(make_catalog(40), tmp_path / "shards", copy, engine="ray", workers=1)


def processes_with(mark: str) -> list[int]:
    """Processes that have inherited a mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_ctrl_c_ends_the_ray_that_was_started_for_the_run(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    catalog, out = make_catalog(300), tmp_path / "shards"
    (tmp_path / "brand.toml").write_text('target = "brand"\n[embed]\nworkers = 2\nshard_size = 16\n')
    words = [
        "embed",
        str(catalog),
        "--out",
        str(out),
        "--model",
        str(tiny_clip),
        "--pipeline",
        "brand.toml",
        "--engine",
        "ray",
    ]
    mark = f"PRODEMB_TEST={uuid.uuid4().hex}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), **dict([mark.split("=")])}
    command = [sys.executable, "-m", "prodemb.cli", *words]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 120
    while process.poll() is None and len(list(out.glob("part-*"))) < 4:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert "raylet" in {Path(f"/proc/{pid}/comm").read_text().strip() for pid in processes_with(mark)}
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1:]) == (130, [STOPPED])
    until = time.monotonic() + 20
    while processes_with(mark):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not list(out.glob(".worker-*"))
    assert read_manifest(out).shards


def run_as_another(catalog: Path, out: Path, model: Path, address: str) -> None:
    run(catalog, out, model, engine="ray", workers=2, ray_address=address)


@pytest.mark.slow
def test_a_run_whose_driver_is_killed_goes_on_on_the_same_cluster_and_outlives_a_node(
    cluster: Any, make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(400), tmp_path / "shards"

    def wait_for_parts(num_parts: int) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until and len(list(out.glob("part-*"))) < num_parts:
            time.sleep(0.01)

    process = context().Process(target=run_as_another, args=(catalog, out, tiny_clip, cluster.address))
    process.start()
    wait_for_parts(4)
    assert process.exitcode is None
    process.kill()
    process.join(10)

    def remove_node() -> None:
        wait_for_parts(10)
        (node,) = cluster.worker_nodes
        cluster.remove_node(node, allow_graceful=False)

    remover = threading.Thread(target=remove_node)
    remover.start()
    report = run(catalog, out, tiny_clip, engine="ray", workers=2)
    remover.join()
    assert 0 < report.num_new < 400
    assert not [path for path in out.iterdir() if is_temporary(path.name)]
    run(catalog, tmp_path / "whole", tiny_clip)
    assert contents(out) == contents(tmp_path / "whole")
