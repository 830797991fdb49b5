"""What is shown of an examination: a line for each thing, and at the end what is wrong and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodemb.cli.report.shards import size_text
from prodemb.core.text import counted
from prodemb.job.doctor import LEAST_FREE_BYTES
from prodemb.towers.reference import MIN_COSINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prodemb.job.doctor import CheckpointFound, Disk, Examination, HeadFound, ShardsFound
    from prodemb.job.machine import Device, Machine

_SHOWN = ("torch", "transformers", "tokenizers", "numpy", "pyarrow", "polars", "faiss-cpu", "scikit-learn")
"""The packages whose versions explain most."""
_EXTRAS = {
    "excel": "Excel files",
    "fast": "JPEGs decoded faster",
    "lora": "LoRA in fine-tuning",
    "plots": "TensorBoard logs of fine-tuning",
    "serve": "`prodemb serve`",
}
"""What extras are for."""
_LEAST_OPEN_FILES = 1_024
_WIDTH = 12


def problems(found: Examination) -> list[str]:
    """What would make a command fail, each with what to do about it."""
    machine = found.machine
    wrong = [
        f"{each.name} {each.version or 'is missing'}: wanted {each.wanted}; install it with "
        f"`pip install '{each.name}{each.wanted}'`"
        for each in machine.packages
        if not each.fits and (each.extra is None or each.version is not None)
    ]
    if machine.gpu_driver is not None and all(device.memory is None for device in machine.devices):
        built = "without CUDA" if machine.cuda is None else f"for CUDA {machine.cuda}"
        wrong.append(
            f"a GPU's driver is here ({machine.gpu_driver}), but torch, built {built}, sees no GPU; install the torch "
            "that pytorch.org names for this driver"
        )
    if machine.max_open_files is not None and machine.max_open_files < _LEAST_OPEN_FILES:
        wrong.append(
            f"a process may hold {machine.max_open_files:,} files open, wanted at least {_LEAST_OPEN_FILES:,}; "
            "raise the hard limit (`ulimit -Hn`)"
        )
    wrong += [*found.setting_errors, *found.input_errors]
    wrong += [
        f"{model}: no folder here, and not in the hub's cache; `prodemb doctor --fetch` downloads it if it is one of "
        "the hub's"
        for model in dict.fromkeys(each.model for each in found.checkpoints if not each.is_here)
    ]
    things: list[CheckpointFound | ShardsFound | HeadFound] = [*found.checkpoints, *found.shards, *found.heads]
    wrong += [each.error for each in things if each.error is not None]
    wrong += [message for head in found.heads if (message := _stale(head, found=found)) is not None]
    for disk in found.disks:
        if disk.free_bytes < LEAST_FREE_BYTES:
            wrong.append(
                f"{', '.join(disk.outputs)}: {size_text(disk.free_bytes)} are free, wanted at least "
                f"{size_text(LEAST_FREE_BYTES)}; make room"
            )
        if disk.closed:
            wrong.append(f"{', '.join(disk.closed)}: no right to write there; change the owner or the setting")
    return wrong


def doctor_lines(found: Examination, *, wrong: Sequence[str]) -> Iterator[str]:
    """Everything that was found, and what is wrong."""
    yield from _machine_lines(found.machine)
    for disk in found.disks:
        yield _line("disk", _disk(disk))
    yield ""
    for checkpoint in found.checkpoints:
        yield _line("checkpoint", _checkpoint(checkpoint))
    for shards in found.shards:
        yield _line("shards", _shards(shards))
    for head in found.heads:
        yield _line("head", _head(head))
    yield ""
    if not wrong:
        yield "no problem found"
        return
    yield f"{counted(len(wrong), 'problem')}:"
    yield from (f"{number}. {problem}" for number, problem in enumerate(wrong, start=1))


def _machine_lines(machine: Machine) -> Iterator[str]:
    yield _line("prodemb", f"{machine.prodemb}, Python {machine.python} on {machine.system}")
    versions = {each.name: each.version for each in machine.packages}
    yield _line("packages", ", ".join(f"{name} {versions[name]}" for name in _SHOWN if versions.get(name)))
    yield from _extra_lines(machine)
    for device in machine.devices:
        yield _line("device", _device(device, machine=machine))
    yield _line("JPEG", "simplejpeg" if machine.has_simplejpeg else "Pillow, which takes longer than simplejpeg")
    free = "" if machine.free_memory is None else f", {size_text(machine.free_memory)} free"
    files = "any number of" if machine.max_open_files is None else f"{machine.max_open_files:,}"
    yield _line("memory", f"{size_text(machine.memory)}{free}; {files} open files")


def _extra_lines(machine: Machine) -> Iterator[str]:
    """The extras that are here on one line, and one for each other."""
    is_here: dict[str, bool] = {}
    for each in machine.packages:
        if each.extra is not None:
            is_here[each.extra] = is_here.get(each.extra, True) and each.version is not None
    if here := [extra for extra in is_here if is_here[extra]]:
        yield _line("extras", ", ".join(map(_with_purpose, here)))
    for extra in is_here:
        if not is_here[extra]:
            yield _line("not here", f"{_with_purpose(extra)}: pip install 'prodemb[{extra}]'")


def _with_purpose(extra: str) -> str:
    return f"{extra} ({_EXTRAS[extra]})" if extra in _EXTRAS else extra


def _device(device: Device, *, machine: Machine) -> str:
    parts = [f"{device.name}: {device.model}"]
    if device.memory is None:
        parts.append(f"{counted(device.num_cores or 1, 'core')}, {device.instructions}")
    else:
        parts.append(f"{size_text(device.memory)}, compute capability {device.instructions}")
        parts.append(f"CUDA {machine.cuda}, driver {machine.gpu_driver or 'unknown'}")
    speeds = " and ".join(f"{name} at {_flops(flops)}" for name, flops in device.flops.items())
    return f"{', '.join(parts)}; multiplies {speeds}, takes {device.dtype}"


def _flops(flops: float) -> str:
    return f"{flops / 1e12:,.1f} TFLOP/s" if flops >= 1e12 else f"{flops / 1e9:,.0f} GFLOP/s"


def _disk(disk: Disk) -> str:
    return f"{size_text(disk.free_bytes)} free for {', '.join(disk.outputs)}"


def _checkpoint(found: CheckpointFound) -> str:
    name = f"{found.model} (for {', '.join(found.users)})"
    if found.error is not None or not found.is_here:
        return f"{name}: PROBLEM, see below"
    vectors = f"{name}: {found.fingerprint}, vectors of {found.dim} numbers"
    if found.comparison is None and found.no_reference is None:
        return vectors
    if found.comparison is None:
        return f"{vectors}; could not be compared with transformers' own: {found.no_reference}"
    texts = min(found.comparison.texts.values())
    return (
        f"{vectors}; cosines with transformers' own: texts {texts:.5f}, picture {found.comparison.image:.5f} "
        f"(wanted {MIN_COSINE})"
    )


def _shards(found: ShardsFound) -> str:
    if found.error is not None:
        return f"{found.folder}: PROBLEM, see below"
    if found.num_products is None:
        return f"{found.folder}: none yet; `prodemb embed` makes them"
    return f"{found.folder}: {counted(found.num_products, 'product')}, complete, of {found.model}"


def _head(found: HeadFound) -> str:
    if found.error is not None:
        return f"{found.folder}: PROBLEM, see below"
    if found.card is None:
        return f"{found.folder}: none yet; `prodemb train-{found.target}` trains it"
    fits = "no shards here to score" if found.shards is None else f"fits {found.shards}"
    card = found.card
    return (
        f"{found.folder}: {counted(len(card.classes), 'class', 'classes')} from {counted(card.num_train, 'product')}; "
        f"{fits}"
    )


def _stale(head: HeadFound, *, found: Examination) -> str | None:
    """What is wrong where a head's checkpoint is no longer the one that it was trained with."""
    if head.card is None:
        return None
    for checkpoint in found.checkpoints:
        is_its = str(head.folder) in checkpoint.users and checkpoint.fingerprint is not None
        if is_its and checkpoint.fingerprint != head.card.fingerprint:
            return (
                f"{head.folder}: trained on vectors of {head.card.model} ({head.card.fingerprint}), which is now "
                f"{checkpoint.fingerprint}; put the checkpoint back, or `prodemb train-{head.target}` again"
            )
    return None


def _line(title: str, text: str) -> str:
    return f"{title:<{_WIDTH}}{text}"
