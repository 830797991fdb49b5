"""The conditional logit model: the probability of each of several candidates from a weighted sum of its features.

Source: McFadden, Conditional logit analysis of qualitative choice behavior, 1974.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ConditionalLogit:
    """One weight per feature."""

    weights: npt.NDArray[np.float64]
    """(P,)."""

    @classmethod
    def fit(
        cls,
        features: Floats,
        *,
        valid: npt.NDArray[np.bool_],
        chosen: npt.NDArray[np.int64],
        sample_weight: Floats,
        prior: npt.NDArray[np.float64],
        l2: float,
    ) -> Self:
        """The weights under which the chosen candidates are the most probable.

        Args:
            features: (n, K, P) of each candidate.
            valid: (n, K) which candidates there are; at least one in each row.
            chosen: (n,) the index of the true one.
            sample_weight: (n,) how much each row counts.
            prior: (P,) the weights that regularisation draws to, so that few rows change little.
            l2: the regularisation strength: l2 / 2 times the squared distance from `prior` is added to the loss.
        """
        inputs, there = torch.from_numpy(features).double(), torch.from_numpy(valid)
        target, counts = torch.from_numpy(chosen), torch.from_numpy(sample_weight).double()
        start = torch.from_numpy(prior).double()
        weights = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            utilities = (inputs @ weights).masked_fill(~there, -torch.inf)
            losses = torch.nn.functional.cross_entropy(utilities, target, reduction="none")
            total = (losses * counts).sum() + l2 / 2 * (weights - start).square().sum()
            torch.autograd.backward(total)
            return total

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return cls(weights=np.asarray(weights.detach().numpy()))

    def predict_proba(self, features: Floats, *, valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """The probability of each candidate, (n, K); 0 where it is not valid.

        Args:
            features: (n, K, P).
            valid: (n, K).
        """
        utilities = np.where(valid, features @ self.weights, -np.inf)
        likely = np.exp(utilities - utilities.max(axis=1, keepdims=True))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))
