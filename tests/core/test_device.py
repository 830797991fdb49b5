"""The number format: bfloat16 only where the processor has the instructions."""

import platform

import pytest
import torch

from prodemb.core.device import fastest_dtype


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the instructions are x86's")
@pytest.mark.parametrize(
    ("avx512", "amx", "wanted"),
    [(False, False, torch.float32), (True, False, torch.bfloat16), (False, True, torch.bfloat16)],
)
def test_bfloat16_needs_its_instructions(
    monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool, wanted: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fastest_dtype(torch.device("cpu")) == wanted
