"""Thousands of inputs of every kind, each kind in a process of its own; prints how many, and what failed.

    python tests/fuzz/long_run.py                           10,000 in all
    python tests/fuzz/long_run.py --examples 100000 --seed 7
    python tests/fuzz/long_run.py --kinds pictures shards

The exit status is 1 where a kind failed.
"""

import argparse
import faulthandler
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tests.fuzz.kinds import CHECKS  # noqa: E402

HANG_TIMEOUT_S = 300
"""Seconds after which an input counts as a hang: the process prints where it is, and ends."""


def fuzz(kind: str, *, num_examples: int, number: int) -> int:
    """Check inputs of a kind in this process; returns how many were checked."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    num_done = 0

    @seed(number)
    @settings(
        max_examples=num_examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        nonlocal num_done
        faulthandler.dump_traceback_later(HANG_TIMEOUT_S, exit=True)
        with tempfile.TemporaryDirectory() as folder:
            CHECKS[kind](data, Path(folder))
        faulthandler.cancel_dump_traceback_later()
        num_done += 1

    check()
    return num_done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10_000, help="inputs of all kinds together [10000]")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs [0]")
    parser.add_argument("--kinds", nargs="+", choices=[*CHECKS], default=[*CHECKS], help="[all]")
    parser.add_argument("--here", action="store_true", help="check one kind in this process")
    options = parser.parse_args()
    num_each = -(-options.examples // len(options.kinds))
    if options.here:
        faulthandler.enable()
        print(fuzz(options.kinds[0], num_examples=num_each, number=options.seed))
        return
    num_done, failed = 0, []
    for kind in options.kinds:
        started = time.perf_counter()
        command = [sys.executable, __file__, "--here", "--kinds", kind, "--examples", str(num_each)]
        child = subprocess.run([*command, "--seed", str(options.seed)], capture_output=True, text=True, cwd=ROOT)
        seconds = time.perf_counter() - started
        if child.returncode:
            failed.append(kind)
            print(f"{kind}: FAILED after {seconds:.0f} s\n{child.stderr[-3000:]}", flush=True)
        else:
            num_done += int(child.stdout.split()[-1])
            print(f"{kind}: {int(child.stdout.split()[-1]):,} inputs in {seconds:.0f} s", flush=True)
    names = ", ".join(failed) or "none"
    print(f"{num_done:,} inputs of {len(options.kinds) - len(failed)} kinds passed; kinds that failed: {names}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
