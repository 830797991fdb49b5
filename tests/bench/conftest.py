"""How the tests run a bench: its `main` in this process, with one thread."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

BENCH = Path(__file__).parent

RunBench = Callable[..., dict[str, Any]]


@pytest.fixture
def run_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], warm_python: Path
) -> Iterator[RunBench]:
    """Runs `tests/bench/{script}.py` with these arguments and gives its JSON; `status` is the exit status wanted.

    The text tables are made in each run too, since a bench makes both and prints one. Processes of its own are warm.
    """
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(script: str, *arguments: str, status: int = 0) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [f"tests/bench/{script}.py", *arguments, "--json"])
        monkeypatch.setattr(sys, "executable", str(warm_python))
        found: object = 0
        try:
            importlib.import_module(script).main()
        except SystemExit as ended:
            found = ended.code
        output = capsys.readouterr()
        assert found == status, output.err
        figures: dict[str, Any] = json.loads(output.out)
        return figures

    yield run
    torch.set_num_threads(num_threads)
