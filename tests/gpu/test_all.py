"""The GPU script in its smallest form, on the CPU."""

import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("all.py")


def run(python: Path, out: Path, *arguments: str) -> dict[str, object]:
    command = [str(python), str(SCRIPT), "--device", "cpu", "--tiny", "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, object] = json.loads(out.read_text())
    assert done.returncode == 0, (done.stderr, found)
    steps = found["steps"]
    assert isinstance(steps, dict)
    return steps


@pytest.mark.slow
def test_steps_have_figures_and_hold(warm_python: Path, tmp_path: Path) -> None:
    steps = run(warm_python, tmp_path / "results.json", "--only", "correctness")
    assert steps
    for name, step in steps.items():
        assert isinstance(step, dict)
        assert step["figures"], name
        assert step["figures"].get("holds", True), (name, step["figures"])


def test_steps_without_time_are_skipped_and_said_so(warm_python: Path, tmp_path: Path) -> None:
    steps = run(warm_python, tmp_path / "results.json", "--minutes", "0", "--only", "correctness")
    assert {str(step) for step in steps.values()} == {"{'skipped': 'no time left'}"}
