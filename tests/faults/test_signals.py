"""Ctrl-C and SIGTERM at any moment of a command: a status, one line, and the same command goes on."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from prodemb.core.files import is_temporary
from tests.command_line import prodemb

ROOT = Path(__file__).parents[2]
STOPPED = "prodemb: stopped; completed work is kept: run the same command to continue"
PIPELINE = """
target = "category"
[catalog]
path = "sample/catalog.parquet"
[embed]
workers = 2
shard_size = 16
window = 16
out = "by-two"
[finetune]
epochs = 1
batch_size = 16
save_steps = 1
"""
QUICK = """
target = "brand"
[train]
epochs = 3
"""
COMMANDS = {
    "embed with two workers": "embed --pipeline category.toml",
    "train-brand": "train-brand --shards shards --out trained",
    "score": "score shards out.parquet --head head",
    "audit": "audit shards audit.parquet --head head",
}


def start(words: str, *, cwd: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "prodemb.cli", *words.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True)


def seconds_of(process: "subprocess.Popen[str]") -> float:
    """The processor time that it has had, which says how far it is on a machine that is busy too."""
    times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def ended(process: "subprocess.Popen[str]") -> tuple[int, list[str]]:
    """A command's status, and what it said but for its progress."""
    _, said = process.communicate(timeout=180)
    return process.returncode, without_progress(said)


def without_progress(said: str) -> list[str]:
    return [line for line in said.splitlines() if not re.match(r"prodemb: [\w ,-]+: \d+ s", line)]


def runs_well(words: str, *, cwd: Path) -> bool:
    result = prodemb(*words.split(), cwd=cwd)
    return (result.returncode, without_progress(result.stderr)) == (0, [])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    (folder / "category.toml").write_text(PIPELINE)
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "brand.toml").write_text(QUICK)
    for words in (
        "sample sample --products 60",
        "embed sample/catalog.parquet --out shards",
        "train-brand --shards shards --out head",
    ):
        assert runs_well(words, cwd=folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_is_one_line_and_the_next_run_goes_on(scene: Path, name: str) -> None:
    number = (signal.SIGINT, signal.SIGTERM)[[*COMMANDS].index(name) % 2]
    process = start(COMMANDS[name], cwd=scene)
    moment = random.Random(name).uniform(0.5, 3)
    while process.poll() is None and seconds_of(process) < moment:
        time.sleep(0.01)
    process.send_signal(number)
    status, said = ended(process)
    # It was done before the signal came, or just leaving.
    assert (status, said) in [(128 + number, [STOPPED]), (0, []), (-number, []), (-number, [STOPPED])]
    assert runs_well(COMMANDS[name], cwd=scene)
    assert not [path for path in scene.rglob("*") if is_temporary(path.name)]
    if name == "score":
        assert pl.read_parquet(scene / "out.parquet").height == 60
