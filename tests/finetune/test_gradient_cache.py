"""Gradient caching: the big batch's gradients and curve, whatever the mini-batches, in less memory."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prodemb.finetune.contrastive import contrastive_loss
from prodemb.finetune.gradient_cache import backpropagate
from prodemb.finetune.processes import Processes

DIM = 6


def two_towers() -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    return tuple(torch.nn.Sequential(torch.nn.Linear(4, 9), torch.nn.Tanh(), torch.nn.Linear(9, DIM)) for _ in range(2))


def gradients(counts: dict[str, int], *, mini_batch_size: int | None) -> tuple[float, list[Tensor], list[int]]:
    """Loss, all gradients, and how many items each call encoded."""
    towers = dict(zip(("left", "right"), two_towers(), strict=True))
    inputs = {kind: torch.randn(count, 4, generator=torch.Generator().manual_seed(7)) for kind, count in counts.items()}
    asked: list[int] = []

    def encoder(kind: str) -> Callable[[slice], Tensor]:
        def encode(part: slice) -> Tensor:
            asked.append(part.stop - part.start)
            return torch.nn.functional.normalize(towers[kind](inputs[kind][part]), dim=1)

        return encode

    def loss_of(vectors: dict[str, Tensor]) -> Tensor:
        labels = [torch.arange(count) % 3 for count in counts.values()]
        return contrastive_loss(
            vectors["left"], keys=vectors["right"], query_labels=labels[0], key_labels=labels[1], kind="soft", scale=5.0
        )

    loss = backpropagate(
        {kind: encoder(kind) for kind in counts},
        counts=counts,
        mini_batch_size=mini_batch_size,
        nothing=torch.empty(0, DIM),
        loss_of=loss_of,
        processes=Processes(),
    )
    parameters = [parameter for tower in towers.values() for parameter in tower.parameters()]
    return loss, [parameter.grad for parameter in parameters if parameter.grad is not None], asked


@settings(deadline=None)
@given(left=st.integers(1, 20), right=st.integers(1, 20), mini_batch_size=st.integers(1, 25))
def test_gradients_are_those_of_the_whole_batch(left: int, right: int, mini_batch_size: int) -> None:
    counts = {"left": left, "right": right}
    loss, wanted, _ = gradients(counts, mini_batch_size=None)
    cached_loss, found, asked = gradients(counts, mini_batch_size=mini_batch_size)
    assert max(asked) <= mini_batch_size
    assert cached_loss == pytest.approx(loss, rel=1e-6)
    assert len(found) == len(wanted) == 8
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_what_fits_is_encoded_once() -> None:
    counts = {"left": 8, "right": 5}
    assert gradients(counts, mini_batch_size=None)[2] == [8, 5]
    assert gradients(counts, mini_batch_size=8)[2] == [8, 5]
    assert gradients(counts, mini_batch_size=4)[2] == [4, 4, 4, 1] * 2


def test_only_one_mini_batchs_activations_are_in_memory() -> None:
    held: list[int] = []
    live: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        live[id(tensor)] = tensor.numel()
        return tensor

    layer = torch.nn.Linear(4, DIM)
    inputs = torch.randn(32, 4)

    def encode(part: slice) -> Tensor:
        live.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            vectors = layer(inputs[part]).tanh()
        held.append(sum(live.values()))
        return vectors

    for mini_batch_size in (None, 4):
        held.clear()
        backpropagate(
            {"all": encode},
            counts={"all": 32},
            mini_batch_size=mini_batch_size,
            nothing=torch.empty(0, DIM),
            loss_of=lambda vectors: vectors["all"].square().sum(),
            processes=Processes(),
        )
        if mini_batch_size is None:
            whole = max(held)
        else:
            assert 0 < max(held) <= whole / 8 + layer.weight.numel()
            assert held[:8] == [0] * 8
    assert np.isfinite(layer.weight.grad.numpy()).all()
