"""The conditional logit: one of several alternatives by a weighted sum of what speaks for each.

Source: McFadden, Conditional logit analysis of qualitative choice behavior, 1974.
"""

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]


def fit_weights(
    inputs: Floats,
    *,
    valid: npt.NDArray[np.bool_],
    chosen: npt.NDArray[np.int64],
    importance: Floats,
    prior: npt.NDArray[np.float64],
    strength: float,
) -> npt.NDArray[np.float64]:
    """The weights (P,) under which the alternatives that were right are the likeliest.

    They are drawn to `prior` by `strength` / 2 times the squared distance, so that few products change little.

    Args:
        inputs: (n, K, P) what speaks for each alternative.
        valid: (n, K) which alternatives there are; at least one in each row.
        chosen: (n,) the one that was right.
        importance: (n,) how much each row counts.
        prior: (P,).
    """
    features, there = torch.from_numpy(inputs).double(), torch.from_numpy(valid)
    target, counts = torch.from_numpy(chosen), torch.from_numpy(importance).double()
    start = torch.from_numpy(prior).double()
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        utilities = (features @ weights).masked_fill(~there, -torch.inf)
        surprise = torch.nn.functional.cross_entropy(utilities, target, reduction="none")
        total = (surprise * counts).sum() + strength / 2 * (weights - start).square().sum()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return np.asarray(weights.detach().numpy())


def choice_probabilities(
    inputs: Floats, *, valid: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """How likely each alternative is, (n, K); 0 for those that are not there."""
    utilities = np.where(valid, inputs @ weights, -np.inf)
    likely = np.exp(utilities - utilities.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))
