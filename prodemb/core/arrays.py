"""Array types that the rooms pass to one another, the index that stands for no answer, and a random choice of rows."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.integer]
"""Indices of rows, classes or nodes."""

Confidences = npt.NDArray[np.floating]
"""Probabilities, 0 to 1."""

Floats = npt.NDArray[np.float32]

NO_ANSWER = -1
"""The index of a product's class or node where there is no answer, or no known truth."""


def sample_rows(num_rows: int, *, at_most: int, seed: int) -> Indices:
    """Rows to look at, in order: all of them, or `at_most` taken at random."""
    if num_rows <= at_most:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(seed).choice(num_rows, size=at_most, replace=False))


def draw_other(values: Indices, *, than: Indices, seed: int) -> Indices:
    """For each of n rows the place of a random value that is another than the row's own, (n,).

    Args:
        values: (m,) to draw from, at least two different ones.
        than: (n,) the rows' own.
        seed: of the choice.
    """
    order = np.argsort(values, kind="stable")
    low, high = (np.searchsorted(values[order], than, side=side) for side in ("left", "right"))
    drawn = np.random.default_rng(seed).integers(0, len(order) - (high - low))
    return np.asarray(order[np.where(drawn < low, drawn, drawn + high - low)])
