"""`prodemb serve` as it is started, stopped, and refused."""

import base64
import importlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from prodemb.core.errors import ConfigError
from prodemb.predict.predictor import Predictor
from tests.conftest import jpeg
from tests.predict.heads import write_heads
from tests.serve.running import running

PRODUCT = {"product_id": "a", "title": "red mug", "brand": "Acme"}


@pytest.fixture
def heads(tmp_path: Path, tiny_clip: Path) -> list[Path]:
    return write_heads(tmp_path / "heads", tiny_clip)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_asked_be_answered_and_ends_it(
    tmp_path: Path, heads: list[Path], number: signal.Signals
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "category.toml").write_text('target = "category"\n[serve]\nbatch_wait_ms = 1_000\n')
    options = [word for folder in heads for word in ("--head", folder)]
    asked = {"products": [PRODUCT | {"image": base64.b64encode(jpeg(1)).decode()}]}
    with running(*options, cwd=tmp_path) as served, ThreadPoolExecutor(1) as thread:
        client = httpx.Client(base_url=served.address, trust_env=False, timeout=30)
        answer = thread.submit(client.post, "/predict", json=asked)
        while not client.get("/health").json()["num_waiting"]:
            time.sleep(0.01)
        assert served.process.pid is not None
        os.kill(served.process.pid, number)
        found = answer.result(30)
        served.process.join(30)
        assert served.process.exitcode == 0
        assert served.stderr.read_text() == "prodemb: stopped\n"
    (wanted,) = Predictor.load(heads).predict([PRODUCT | {"image": jpeg(1)}]).to_dicts()
    assert found.json()["predictions"] == [wanted | {"warnings": []}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_waits_for_nobody(tmp_path: Path, heads: list[Path], number: signal.Signals) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "brand.toml").write_text('target = "brand"\n[serve]\nbatch_wait_ms = 60_000\n')
    with running("--head", heads[0], cwd=tmp_path) as served, ThreadPoolExecutor(1) as thread:
        client = httpx.Client(base_url=served.address, trust_env=False, timeout=30)
        answer = thread.submit(client.post, "/predict", json={"products": [PRODUCT]})
        while not client.get("/health").json()["num_waiting"]:
            time.sleep(0.01)
        assert served.process.pid is not None
        os.kill(served.process.pid, number)
        time.sleep(0.3)
        assert served.process.is_alive()
        os.kill(served.process.pid, number)
        served.process.join(20)
        assert served.process.exitcode == -number
        assert isinstance(answer.exception(20), httpx.TransportError)
        assert not served.stderr.read_text()


def test_who_listens_to_other_machines_is_warned(tmp_path: Path, heads: list[Path]) -> None:
    with running("--head", heads[0], "--host", "0.0.0.0", cwd=tmp_path) as served:
        port = served.address.rpartition(":")[2]
        assert served.stderr.read_text() == (
            f"prodemb: http://0.0.0.0:{port} can be reached from other machines, and nobody is asked who they are\n"
        )
        answer = httpx.get(f"http://127.0.0.1:{port}/health", headers={"host": "shop.example"}, trust_env=False)
        assert answer.json()["ready"]


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("prodemb.cli.serve")  # where the package has its function
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "python_multipart" else name)
    with pytest.raises(
        ConfigError, match=r"^serve: found no python-multipart, .*; wanted pip install 'prodemb\[serve\]'$"
    ):
        module.serve()


def test_without_it_settings_and_help_can_be_read() -> None:
    """They are those of all commands."""
    code = (
        "import sys, prodemb.cli, prodemb.serve.config; "
        "assert not {'fastapi', 'starlette', 'uvicorn', 'python_multipart'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
