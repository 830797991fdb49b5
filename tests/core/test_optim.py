import math

import pytest
import torch
from torch import nn

from prodemb.core.optim import adamw, warmup_cosine


def test_the_rate_rises_falls_as_a_cosine_and_ends_at_zero() -> None:
    rates = [warmup_cosine(step, num_steps=20, num_warmup=4) for step in range(21)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[12] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))
    assert rates[20] == pytest.approx(0.0)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_without_warmup_the_first_rate_is_the_peak() -> None:
    assert warmup_cosine(0, num_steps=5, num_warmup=0) == 1.0
    assert warmup_cosine(9, num_steps=5, num_warmup=0) == pytest.approx(0.0)


def test_matrices_alone_decay() -> None:
    layer = nn.Linear(3, 2)
    optimizer = adamw(layer.parameters(), learning_rate=0.1, weight_decay=0.3)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer.step()
    assert torch.allclose(layer.weight, weight * (1 - 0.1 * 0.3))
    assert torch.equal(layer.bias, bias)
