"""Array types that the rooms pass to one another, and the index that stands for no answer."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.integer]
"""Indices of rows, classes or nodes."""

Confidences = npt.NDArray[np.floating]
"""Probabilities, 0 to 1."""

NO_ANSWER = -1
"""The index of a product's class or node where there is no answer, or no known truth."""
