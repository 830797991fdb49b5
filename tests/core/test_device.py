"""The number format: bfloat16 only where the processor has the instructions; and one thread for small steps."""

import platform
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from prodemb.core.device import cpu_instructions, fastest_dtype, few_threads, measured_flops


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
    assert cpu_instructions()[1:] == ("AVX512_BF16",) * avx512 + ("AMX",) * amx


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_speed_is_measured_by_at_least_one_product(dtype: torch.dtype) -> None:
    assert 1e8 < measured_flops(torch.device("cpu"), dtype, seconds=0.0) < 1e15


@pytest.fixture
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_three_threads")
def test_small_steps_take_one_thread_and_large_ones_all() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    with few_threads(1_000):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert torch.get_num_threads() == 3
    with few_threads(10**12):
        assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("_three_threads")
def test_threads_come_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), few_threads(1):
        raise ValueError("broken")
    assert torch.get_num_threads() == 3
