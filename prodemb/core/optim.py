"""The optimizer and the learning rate schedule that everything here is trained with: AdamW, linear warm-up, cosine."""

import math
from collections.abc import Iterable

import torch
from torch import nn


def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    fused: bool | None = None,
) -> torch.optim.AdamW:
    """AdamW that decays matrices alone; biases, norms and scales have no decay."""
    listed = list(parameters)
    groups = [
        {"params": [parameter for parameter in listed if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in listed if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=fused)


def warmup_cosine(step: int, *, num_steps: int, num_warmup: int) -> float:
    """The share of the peak learning rate at a step, from 0: a linear rise, then a cosine down to 0.

    Source: Loshchilov and Hutter, SGDR, ICLR 2017.
    """
    if step < num_warmup:
        return (step + 1) / num_warmup
    done = min(1.0, (step - num_warmup) / max(1, num_steps - num_warmup))
    return 0.5 * (1 + math.cos(math.pi * done))
