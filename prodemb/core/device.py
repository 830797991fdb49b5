"""Choosing the device and the number format of a run."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from threadpoolctl import threadpool_limits

from prodemb.core.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda"]


def choose_device(name: DeviceName, *, index: int = 0) -> torch.device:
    """The device called `name`; `auto` is CUDA where there is one.

    Args:
        index: which of several CUDA devices; past the last it starts again at the first.

    Raises:
        ConfigError: CUDA was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: found 'cuda', but torch sees no CUDA device here; wanted 'cpu' or 'auto'")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", index % torch.cuda.device_count())


def num_devices(name: DeviceName) -> int:
    """How many devices `name` stands for: all CUDA devices, or the one CPU."""
    return torch.cuda.device_count() if choose_device(name).type == "cuda" else 1


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it (CUDA from Ampere, CPUs with AVX-512 BF16 or AMX), else float32.

    oneDNN's own answer is no help on x86: it says yes to every AVX-512, and where the instructions are missing it
    emulates bfloat16 at a fifth of the speed of float32.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            supported = torch.cuda.is_bf16_supported(including_emulation=False)
    elif platform.machine() in ("x86_64", "AMD64"):
        supported = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if supported else torch.float32


def cpu_instructions() -> tuple[str, ...]:
    """The instruction sets of this CPU that decide how fast it multiplies: torch's choice, and those for bfloat16."""
    found = [torch.backends.cpu.get_cpu_capability()]
    if platform.machine() in ("x86_64", "AMD64"):
        found += ["AVX512_BF16"] if torch.cpu._is_avx512_bf16_supported() else []
        found += ["AMX"] if torch.cpu._is_amx_tile_supported() else []
    return tuple(found)


def measured_flops(device: torch.device, dtype: torch.dtype, *, seconds: float = 0.1) -> float:
    """Floating-point operations a second in products of square matrices, measured for about so many seconds."""
    size = 8192 if device.type == "cuda" else 1024
    matrix = torch.ones(size, size, dtype=dtype, device=device)
    num_done, started, elapsed = -1, time.perf_counter(), 0.0
    while num_done < 1 or elapsed < seconds:
        torch.mm(matrix, matrix)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        num_done += 1
        if num_done == 0:  # the first product loads kernels
            started = time.perf_counter()
        elapsed = time.perf_counter() - started
    return num_done * 2 * size**3 / elapsed


_WORTH_A_THREAD = 100_000_000
"""Multiplications of one step that one thread does in less time than several need to wait for one another."""


@contextmanager
def few_threads(num_multiplications: int) -> Iterator[None]:
    """Use one CPU thread for small steps, all for large ones, in torch and in numpy.

    Threads of a small step wait for each other most of the time, and where another process keeps a core busy each of
    the many waits lasts until that core is free.

    Args:
        num_multiplications: of one step.
    """
    if num_multiplications >= _WORTH_A_THREAD:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
