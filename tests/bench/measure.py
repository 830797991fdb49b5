"""What every bench shares in measuring: alternation, medians of ratios, processes of their own, memory.

Nothing heavy is imported here, so that the peak memory of a process that measures itself is its own.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Name = TypeVar("Name", bound=str)


class RowError(Exception):
    """A row of a bench failed; the message is one line."""


def in_turn(
    operations: Mapping[Name, Callable[[], object]], *, rounds: int, wait: Callable[[], None] = lambda: None
) -> dict[Name, list[float]]:
    """The seconds of each operation in each round, after a round that is not timed; in a round all take turns.

    Args:
        wait: returns when the device has finished what was asked of it.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in operations}
    for number in range(rounds + 1):
        for name, operation in operations.items():
            wait()
            started = time.perf_counter()
            operation()
            wait()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def median_ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """The median over the rounds of `seconds / others`."""
    return statistics.median(a / b for a, b in zip(seconds, others, strict=True))


def in_own_process(
    script: str, *arguments: str, environment: Mapping[str, str] | None = None, python: str | None = None
) -> Any:
    """Run a bench script in a process of its own; the JSON that it prints.

    Args:
        python: the interpreter, where another one than this has what the script imports.

    Raises:
        RowError: it ended with another status than 0.
    """
    command = [python or sys.executable, script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | dict(environment or {}))
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise RowError(f"its process ended with status {done.returncode}: {last}")
    return json.loads(done.stdout)


def peak_mb() -> float:
    """The most memory that this process has had resident."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def gpu_peak_mb() -> float:
    """The most device memory that torch has allocated; 0 without CUDA."""
    import torch

    return torch.cuda.max_memory_allocated() / (1 << 20) if torch.cuda.is_initialized() else 0.0


def busy_seconds() -> float:
    """Processor time of all processes of the machine so far; the caller's own where that cannot be read."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return time.process_time()
    user, nice, system, _, _, *interrupts = map(int, stat.read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
