"""The centroid probe against a slow loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.finetune.validate import Validation, centroid_accuracy


def slow(vectors: np.ndarray, labels: list[int]) -> float | None:
    right = asked = 0
    for i, label in enumerate(labels):
        if labels.count(label) < 2:
            continue
        asked += 1
        best, answer = -np.inf, None
        for candidate in sorted(set(labels)):
            members = [vectors[j] for j in range(len(labels)) if labels[j] == candidate and j != i]
            if members:
                centroid = np.sum(members, axis=0, dtype=np.float64)
                similarity = float(vectors[i] @ centroid / max(np.linalg.norm(centroid), 1e-12))
                if similarity > best:
                    best, answer = similarity, candidate
        right += answer == label
    return right / asked if asked and len(set(labels)) > 1 else None


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=25), seed=st.integers(0, 2**31))
def test_centroid_accuracy_is_its_definition(labels: list[int], seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(labels), 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found, wanted = centroid_accuracy(vectors, labels=np.array(labels)), slow(vectors, labels)
    assert (found is None) == (wanted is None)
    if found is not None:
        assert found == pytest.approx(wanted)


def test_the_score_is_the_mean_of_all_shares() -> None:
    validation = Validation(nearest_path={"title": 0.5, "image": 0.1}, nearest_centroid={"title": 0.9}, num_products=9)
    assert validation.score == pytest.approx(0.5)
    assert Validation(nearest_path={}, nearest_centroid={}, num_products=1).score == 0
