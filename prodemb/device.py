"""Choosing the device and the number format of a run."""

from typing import Literal

import torch

from prodemb.errors import ConfigError

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
    """bfloat16 where the hardware multiplies it (CUDA from Ampere, CPUs with AVX-512 BF16 or AMX), else float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if supported else torch.float32
