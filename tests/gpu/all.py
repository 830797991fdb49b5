"""Everything that wants a GPU, in order of worth: correctness, stage one, heads and fine-tuning, limits.

    python tests/gpu/all.py                          20 minutes on CUDA
    python tests/gpu/all.py --minutes 9 --only stage_one
    python tests/gpu/all.py --device cpu --tiny      the same script in seconds, as the tests run it

Each step is a process of its own. `results.json` is written after each, with what it printed or why it failed; a step
for which no time is left is `skipped`. Exit status 1 where a step failed. It needs this repository and the packages of
prodemb alone; rows of other libraries and decoders are left out where these are missing.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BENCH = HERE.parent / "bench"
HEADS_TINY = "--products 1024 --classes 20 --memory-classes 30 --batch-size 128 --steps 1".split()
sys.path[:0] = [str(HERE.parent.parent), str(BENCH)]


@dataclass(frozen=True, kw_only=True)
class GpuStep:
    """One script with its arguments; it prints one JSON value last."""

    name: str
    script: Path
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """What runs it."""
        return [sys.executable, str(self.script), *self.arguments]


def gpu_steps(*, device: str, tiny: bool) -> list[GpuStep]:
    """All steps, those worth most first."""
    own = ("--device", device, *(("--tiny",) if tiny else ()))
    shapes = ("vit-b-32-tiny",) if tiny else ("vit-b-32", "vit-l-14")
    limit, repeat = ("12", "1") if tiny else ("4000", "3")
    heads = HEADS_TINY if tiny else []
    batch, minis = ("8", ("4",)) if tiny else ("4096", ("1024", "256"))

    def correctness(part: str) -> GpuStep:
        return GpuStep(name=f"correctness_{part}", script=HERE / "correctness.py", arguments=(part, *own))

    def stage_one(shape: str) -> GpuStep:
        options = ("--model", shape, "--limit", limit, "--repeat", repeat, "--device", device, "--json")
        rows = () if _has_sentence_transformers() and not tiny else ("--rows", "towers", "embed", "transformers")
        return GpuStep(name=f"stage_one_{shape}", script=BENCH / "stage_one.py", arguments=(*options, *rows))

    def throughput(part: str, shape: str) -> GpuStep:
        arguments = (part, "--model", shape, *own)
        return GpuStep(name=f"{part}_{shape}", script=HERE / "throughput.py", arguments=arguments)

    return [
        *map(correctness, ("vectors", "update", "heads", "finetune")),
        stage_one(shapes[0]),
        throughput("workers", shapes[0]),
        *map(stage_one, shapes[1:]),
        throughput("compile", shapes[0]),
        throughput("decode", shapes[0]),
        *(throughput("compile", shape) for shape in shapes[1:]),
        *(
            GpuStep(
                name=f"heads_{classes}",
                script=BENCH / "head_training.py",
                arguments=("--device", device, "--json", *(heads or ["--classes", classes])),
            )
            for classes in (("20",) if tiny else ("7978", "3215"))
        ),
        GpuStep(
            name="finetune_steps",
            script=BENCH / "finetune_memory.py",
            arguments=("--batch-size", batch, "--steps", "1", "--mini-batch-sizes", *minis, "--json"),
        ),
        *(
            GpuStep(name=part, script=HERE / "limits.py", arguments=(part, *own))
            for part in ("trial", "out_of_memory", "two_processes")
        ),
    ]


def run_step(step: GpuStep, *, timeout_s: float) -> dict[str, Any]:
    """Run one step; the seconds it took, and its figures or its error."""
    started = time.monotonic()
    result: dict[str, Any] = {"command": step.command[1:]}
    try:
        done = subprocess.run(step.command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return result | {"error": f"not done after {timeout_s:.0f} s"}
    result["seconds"] = round(time.monotonic() - started, 1)
    last_lines = done.stderr.strip().splitlines()[-12:]
    try:
        figures = json.loads(done.stdout)
    except ValueError:
        return result | {"error": f"exit status {done.returncode}", "stderr": last_lines}
    result["figures"] = figures
    return (
        result if done.returncode == 0 else result | {"error": f"exit status {done.returncode}", "stderr": last_lines}
    )


def main() -> int:
    """Run the steps until the time is over; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="for all steps [20]")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="the smallest form of each step")
    parser.add_argument("--only", action="append", help="the beginning of the steps' names; may be repeated [all]")
    parser.add_argument("--out", type=Path, default=Path("results.json"), help="[results.json]")
    options = parser.parse_args()
    from report import machine

    deadline = time.monotonic() + 60 * options.minutes
    results: dict[str, Any] = {"machine": machine(), "device": options.device, "tiny": options.tiny, "steps": {}}
    for step in gpu_steps(device=options.device, tiny=options.tiny):
        if options.only and not step.name.startswith(tuple(options.only)):
            continue
        left = deadline - time.monotonic()
        found = run_step(step, timeout_s=left) if left > 0 else {"skipped": "no time left"}
        results["steps"][step.name] = found
        print(f"{step.name}: {found.get('error') or found.get('skipped') or 'done'}", file=sys.stderr, flush=True)
        _write(options.out, results)
    return int(any("error" in found for found in results["steps"].values()))


def _write(out: Path, results: dict[str, Any]) -> None:
    """Replace the file as a whole: a machine may be taken away at any moment."""
    new = out.with_name(f"{out.name}.new")
    new.write_text(json.dumps(results, indent=2) + "\n")
    new.replace(out)


def _has_sentence_transformers() -> bool:
    from importlib.util import find_spec

    return find_spec("sentence_transformers") is not None


if __name__ == "__main__":
    sys.exit(main())
