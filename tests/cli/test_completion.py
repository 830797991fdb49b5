"""A shell completes commands, options, their choices and files, in well under a second."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = "import sys; sys.argv[0] = 'prodemb'; from prodemb.cli import main; main()"
HEAVY = (
    "import atexit; atexit.register(lambda: print({'torch', 'polars', 'pyarrow', 'numpy', 'transformers'}"
    " & set(sys.modules), file=sys.stderr));"
)


def completed(typed: str) -> subprocess.CompletedProcess[str]:
    """What bash is given for a line that ends where the cursor is."""
    asked = {"_PRODEMB_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    command = [sys.executable, "-c", f"import sys; {HEAVY}{PROGRAM}"]
    return subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("prodemb tra", {"train-brand", "train-category"}),
        ("prodemb export --t", {"--to"}),
        ("prodemb export shards out --to ", {"npy", "list-parquet", "faiss"}),
        ("prodemb embed --device cu", {"cuda"}),
        ("prodemb --log", {"--log-json"}),
        ("prodemb embed --pipeline pipelines/b", set()),
        ("prodemb embed my_", set()),
    ],
)
def test_choices_are_offered_and_files_are_left_to_the_shell(typed: str, offered: set[str]) -> None:
    started = time.perf_counter()
    shown = completed(typed)
    assert {*shown.stdout.split()} == offered
    assert shown.stderr == "set()\n"
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("shell", "part"), [("bash", "complete -o default"), ("zsh", "#compdef"), ("fish", "complete")]
)
def test_each_shell_gets_a_script(tmp_path: Path, shell: str, part: str) -> None:
    command = [sys.executable, "-c", PROGRAM]
    environment = os.environ | {"_PRODEMB_COMPLETE": f"source_{shell}", "HOME": str(tmp_path)}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert part in shown.stdout
    assert "_PRODEMB_COMPLETE=complete_" in shown.stdout
