"""What a person is told of an examination: everything in little space, and what to do about each problem."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prodemb.cli.report.doctor import doctor_lines, problems
from prodemb.cli.report.results import result_of
from prodemb.job.doctor import CheckpointFound, Disk, Examination, HeadFound, ShardsFound
from prodemb.job.machine import Device, Machine, Package
from prodemb.towers.reference import Comparison
from tests.small_heads import make_head

MACHINE = Machine(
    prodemb="0.1.0",
    python="3.11.7",
    system="Linux 6.1 x86_64",
    packages=(
        Package(name="torch", version="2.13.0", wanted=">=2.13", extra=None),
        Package(name="simplejpeg", version="1.9.0", wanted=">=1.9", extra="fast"),
        Package(name="peft", version=None, wanted=">=0.21", extra="lora"),
    ),
    devices=(
        Device(
            name="cpu",
            model="EPYC",
            instructions="AVX512",
            num_cores=2,
            memory=None,
            flops={"float32": 2.5e11, "bfloat16": 1.2e12},
            dtype="bfloat16",
        ),
    ),
    cuda=None,
    gpu_driver=None,
    has_simplejpeg=True,
    memory=25_000_000_000,
    free_memory=19_000_000_000,
    max_open_files=20_000,
)
FOUND = Examination(
    machine=MACHINE,
    checkpoints=(
        CheckpointFound(
            model="bundled",
            users=("brand", "heads/brand"),
            fingerprint="f1",
            dim=128,
            comparison=Comparison(texts={"a short text": 1.0}, image=0.99998),
        ),
    ),
    shards=(ShardsFound(folder=Path("shards/clip"), num_products=1_500, model="bundled"),),
    heads=(
        HeadFound(folder=Path("heads/brand"), target="brand", card=make_head("brand", fingerprint="f1").card),
        HeadFound(folder=Path("heads/category"), target="category"),
    ),
    disks=(Disk(outputs=("shards/clip", "out.parquet"), free_bytes=70_000_000_000, closed=()),),
    input_errors=(),
)


def with_machine(**values: Any) -> Examination:
    return replace(FOUND, machine=replace(MACHINE, **values))


def test_everything_has_a_line() -> None:
    assert problems(FOUND) == []
    lines = list(doctor_lines(FOUND, wrong=[]))
    num_classes = len(make_head("brand").card.classes)
    assert [line.rstrip() for line in lines] == [
        "prodemb     0.1.0, Python 3.11.7 on Linux 6.1 x86_64",
        "packages    torch 2.13.0",
        "extras      fast (JPEGs decoded faster)",
        "not here    lora (LoRA in fine-tuning): pip install 'prodemb[lora]'",
        "device      cpu: EPYC, 2 cores, AVX512; multiplies float32 at 250 GFLOP/s and bfloat16 at 1.2 TFLOP/s, takes "
        "bfloat16",
        "JPEG        simplejpeg",
        "memory      25.0 GB, 19.0 GB free; 20,000 open files",
        "disk        70.0 GB free for shards/clip, out.parquet",
        "",
        "checkpoint  bundled (for brand, heads/brand): f1, vectors of 128 numbers; cosines with transformers' own: "
        "texts 1.00000, picture 0.99998 (wanted 0.999)",
        "shards      shards/clip: 1,500 products, complete, of bundled",
        f"head        heads/brand: {num_classes} classes from 1 product; no shards here to score",
        "head        heads/category: none yet; `prodemb train-category` trains it",
        "",
        "no problem found",
    ]


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (
            with_machine(packages=(Package(name="torch", version="2.1", wanted=">=2.13", extra=None),)),
            "torch 2.1: wanted >=2.13; install it with `pip install 'torch>=2.13'`",
        ),
        (
            with_machine(packages=(Package(name="polars", version=None, wanted=">=2", extra=None),)),
            "polars is missing: wanted >=2; install it with `pip install 'polars>=2'`",
        ),
        (
            with_machine(gpu_driver="550.54"),
            "a GPU's driver is here (550.54), but torch, built without CUDA, sees no GPU; install the torch that "
            "pytorch.org names for this driver",
        ),
        (
            with_machine(max_open_files=256),
            "a process may hold 256 files open, wanted at least 1,024; raise the hard limit (`ulimit -Hn`)",
        ),
        (replace(FOUND, setting_errors=("p.toml: no",)), "p.toml: no"),
        (replace(FOUND, input_errors=("a.csv: no such file",)), "a.csv: no such file"),
        (
            replace(FOUND, disks=(Disk(outputs=("a", "b"), free_bytes=5_000_000, closed=()),)),
            "a, b: 5.0 MB are free, wanted at least 1.0 GB; make room",
        ),
        (
            replace(FOUND, disks=(Disk(outputs=("a", "b"), free_bytes=5_000_000_000, closed=("b",)),)),
            "b: no right to write there; change the owner or the setting",
        ),
        (
            replace(
                FOUND,
                checkpoints=(
                    CheckpointFound(model="shop/clip", users=("brand",), is_here=False),
                    CheckpointFound(model="shop/clip", users=("category's text",), is_here=False),
                ),
            ),
            "shop/clip: no folder here, and not in the hub's cache; `prodemb doctor --fetch` downloads it if it is one "
            "of the hub's",
        ),
        (replace(FOUND, shards=(ShardsFound(folder=Path("s"), error="s: damaged"),)), "s: damaged"),
        (
            replace(FOUND, checkpoints=(replace(FOUND.checkpoints[0], fingerprint="f2"),)),
            "heads/brand: trained on vectors of model f1 (f1), which is now f2; put the checkpoint back, or "
            "`prodemb train-brand` again",
        ),
    ],
)
def test_each_problem_says_what_to_do(found: Examination, problem: str) -> None:
    wrong = problems(found)
    assert wrong == [problem]
    assert list(doctor_lines(found, wrong=wrong))[-2:] == ["1 problem:", f"1. {problem}"]
    assert result_of(found)["problems"] == wrong


def test_a_thing_with_a_problem_points_to_it() -> None:
    broken = replace(FOUND.checkpoints[0], error="bundled: image tower: found a cosine of 0.1")
    for checkpoint in (broken, replace(FOUND.checkpoints[0], is_here=False)):
        found = replace(FOUND, checkpoints=(checkpoint,))
        lines = list(doctor_lines(found, wrong=problems(found)))
        assert "checkpoint  bundled (for brand, heads/brand): PROBLEM, see below" in lines


def test_a_gpu_is_shown_with_its_memory_and_driver() -> None:
    device = Device(
        name="cuda:0",
        model="H100",
        instructions="9.0",
        num_cores=None,
        memory=80_000_000_000,
        flops={"bfloat16": 6e14},
        dtype="bfloat16",
    )
    found = with_machine(devices=(device,), cuda="12.8", gpu_driver="570.1")
    assert (
        "device      cuda:0: H100, 80.0 GB, compute capability 9.0, CUDA 12.8, driver 570.1; multiplies bfloat16 at "
        "600.0 TFLOP/s, takes bfloat16"
    ) in doctor_lines(found, wrong=[])
    assert problems(found) == []
