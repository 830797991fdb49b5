"""A few inputs of every kind; `python tests/fuzz/long_run.py` takes thousands."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.kinds import CHECKS

NUM_EXAMPLES = 12


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", CHECKS)
def test_no_input_crashes_or_costs_another_row(kind: str) -> None:
    @settings(
        max_examples=NUM_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            CHECKS[kind](data, Path(folder))

    check()


@pytest.mark.slow
def test_the_long_run_counts_its_inputs() -> None:
    script = Path(__file__).parent / "long_run.py"
    command = [sys.executable, str(script), "--examples", "3", "--kinds", "texts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "3 inputs of 1 kinds passed; kinds that failed: none"
