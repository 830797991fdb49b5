"""Shares of the processes; what they do together is tested in test_finetune.py with two of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prodemb.finetune.processes import Processes, is_first_process, is_launched, join_processes, local_rank


@given(num_items=st.integers(0, 50), num_processes=st.integers(1, 9))
def test_every_item_is_in_one_share_and_shares_are_nearly_equal(num_items: int, num_processes: int) -> None:
    shares = [Processes(rank=rank, count=num_processes).share(num_items) for rank in range(num_processes)]
    assert [item for share in shares for item in range(share.start, share.stop)] == list(range(num_items))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_alone_nothing_is_sent() -> None:
    alone = join_processes("cpu")
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.full((2,), 3.0)
    alone.add_gradients([parameter])
    vectors = torch.ones(2, 3, requires_grad=True)
    assert alone == Processes()
    assert alone.is_first
    assert parameter.grad.tolist() == [3, 3]
    assert torch.equal(alone.gather(vectors, count=2), vectors)
    assert not alone.gather(vectors, count=2).requires_grad
    assert alone.from_first("mine") == "mine"


def test_a_launcher_says_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_launched()
    assert is_first_process()
    assert local_rank() == 0
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert is_launched()
    assert not is_first_process()
    assert local_rank() == 1
