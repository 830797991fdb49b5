"""The conditional logit model: the probability of each of several candidates from a weighted sum of its features.

Source: McFadden, Conditional logit analysis of qualitative choice behavior, 1974.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from prodemb.core.arrays import Floats
from prodemb.core.device import few_threads

Contexts = npt.NDArray[np.bool_]
"""(n, C) which of C circumstances each choice is made in."""

_MOST_STEPS = 50
_SHORTEST_STEP = 1e-6
_TOLERANCE = 1e-10
"""How much of the loss a step must promise for the next to be taken."""
_AT_ONCE = 2048
"""Choices whose features are in double precision at a time."""


@dataclass(frozen=True, kw_only=True)
class ConditionalLogit:
    """One weight per feature, and what each context adds to it."""

    weights: npt.NDArray[np.float64]
    """(1 + C, P): those of no context first."""

    @classmethod
    def fit(
        cls,
        features: Floats,
        *,
        valid: npt.NDArray[np.bool_],
        chosen: npt.NDArray[np.int64],
        contexts: Contexts,
        sample_weight: Floats,
        prior: npt.NDArray[np.float64],
        l2: float,
    ) -> Self:
        """The weights under which the chosen candidates are the most probable.

        Args:
            features: (n, K, P) of each candidate.
            valid: (n, K) which candidates there are; at least one in each row.
            chosen: (n,) the index of the true one.
            contexts: (n, C).
            sample_weight: (n,) how much each row counts.
            prior: (P,) the weights that regularisation draws to, so that few rows change little; what a context adds
                is drawn to 0.
            l2: the regularisation strength: l2 / 2 times the squared distance from there is added to the loss.
        """
        shares = _shares(contexts)
        start = np.zeros((shares.shape[1], len(prior)))
        start[0] = prior
        problem = _Problem.of(features, valid=valid, chosen=chosen, shares=shares, sample_weight=sample_weight)
        with few_threads(_AT_ONCE * features[0].size):
            weights = problem.minimum(start, l2=l2)
        return cls(weights=weights)

    def weights_in(self, contexts: Contexts) -> npt.NDArray[np.float64]:
        """(n, P) the weights of each choice.

        Args:
            contexts: (n, C).
        """
        return np.asarray(_shares(contexts) @ self.weights)

    def utilities(self, features: Floats, *, contexts: Contexts) -> npt.NDArray[np.float64]:
        """The weighted sum of each candidate's features, (n, K).

        Args:
            features: (n, K, P).
            contexts: (n, C).
        """
        return np.asarray(np.einsum("nkp,np->nk", features, self.weights_in(contexts)))

    def predict_proba(
        self, features: Floats, *, valid: npt.NDArray[np.bool_], contexts: Contexts
    ) -> npt.NDArray[np.float64]:
        """The probability of each candidate, (n, K); 0 where it is not valid.

        Args:
            features: (n, K, P).
            valid: (n, K).
            contexts: (n, C).
        """
        return _softmax(np.where(valid, self.utilities(features, contexts=contexts), -np.inf))


def _shares(contexts: Contexts) -> npt.NDArray[np.float64]:
    """(n, 1 + C): 1, then which contexts hold."""
    return np.concatenate([np.ones((len(contexts), 1)), contexts], axis=1, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """The weighted log loss of n choices as a function of the weights (1 + C, P)."""

    features: Floats
    valid: npt.NDArray[np.bool_]
    chosen: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]
    """(n, 1 + C), the same for all choices of a group."""
    sample_weight: Floats
    groups: list[npt.NDArray[np.int64]]
    """Indices of the choices with the same contexts."""

    @classmethod
    def of(
        cls,
        features: Floats,
        *,
        valid: npt.NDArray[np.bool_],
        chosen: npt.NDArray[np.int64],
        shares: npt.NDArray[np.float64],
        sample_weight: Floats,
    ) -> "_Problem":
        _, group = np.unique(shares, axis=0, return_inverse=True)
        groups = [np.flatnonzero(group == number) for number in range(group.max(initial=-1) + 1)]
        return cls(
            features=features, valid=valid, chosen=chosen, shares=shares, sample_weight=sample_weight, groups=groups
        )

    def minimum(self, start: npt.NDArray[np.float64], *, l2: float) -> npt.NDArray[np.float64]:
        """The weights with the least loss plus l2 / 2 times the squared distance from `start`, by Newton's method."""
        weights, loss = start, self.loss(start)
        for _ in range(_MOST_STEPS):
            gradient, curvature = self.derivatives(weights)
            gradient += l2 * (weights - start).ravel()
            step = np.linalg.solve(curvature + l2 * np.eye(len(gradient)), gradient)
            size, slope = 1.0, float(gradient @ step)
            # A step that is too long is halved until it helps, which on this convex loss it does.
            while size > _SHORTEST_STEP:
                moved = weights - size * step.reshape(weights.shape)
                found = self.loss(moved) + l2 / 2 * float(np.square(moved - start).sum())
                if found <= loss - 0.25 * size * slope:
                    weights, loss = moved, found
                    break
                size /= 2
            if slope < _TOLERANCE * (1 + abs(loss)) or size <= _SHORTEST_STEP:
                break
        return weights

    def loss(self, weights: npt.NDArray[np.float64]) -> float:
        return sum(
            float(
                self.sample_weight[rows] @ -np.log(np.maximum(proba[np.arange(len(rows)), self.chosen[rows]], 1e-300))
            )
            for rows, _, proba in self._parts(weights)
        )

    def derivatives(self, weights: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The gradient, ((1 + C) P,), and the matrix of second derivatives."""
        num_shares, num_features = weights.shape
        gradient = np.zeros((num_shares, num_features))
        curvature = np.zeros((num_shares, num_features, num_shares, num_features))
        for rows, inputs, proba in self._parts(weights):
            share, counts = self.shares[rows[0]], self.sample_weight[rows].astype(np.float64)
            mean = (proba[:, None, :] @ inputs)[:, 0]
            gradient += np.outer(share, counts @ (mean - inputs[np.arange(len(rows)), self.chosen[rows]]))
            flat = inputs.reshape(-1, num_features)
            spread = flat.T @ (flat * (proba * counts[:, None]).reshape(-1, 1)) - mean.T @ (mean * counts[:, None])
            curvature += np.einsum("a,b,pq->apbq", share, share, spread)
        size = num_shares * num_features
        return gradient.ravel(), curvature.reshape(size, size)

    def _parts(
        self, weights: npt.NDArray[np.float64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Some choices of one group, their features (m, K, P) and the probabilities of their candidates (m, K)."""
        for group in self.groups:
            own = self.shares[group[0]] @ weights
            for start in range(0, len(group), _AT_ONCE):
                rows = group[start : start + _AT_ONCE]
                inputs = self.features[rows].astype(np.float64)
                yield rows, inputs, _softmax(np.where(self.valid[rows], inputs @ own, -np.inf))


def _softmax(utilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    likely = np.exp(utilities - utilities.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))
