"""The validation score, what the linear probe sees of a product, and the probes against slow loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.finetune.encode import FeatureVectors
from prodemb.finetune.validate import PENALTY, Validation, centroid_accuracy, ridge_accuracy, side_by_side


def test_the_score_is_the_mean_of_paths_features_and_probe() -> None:
    validation = Validation(
        nearest_path={"title": 0.5, "image": 0.1}, nearest_centroid={"title": 0.9}, head=0.6, num_products=9
    )
    assert validation.score == pytest.approx((0.3 + 0.9 + 0.6) / 3)
    assert validation.shares() == {
        "nearest_path/title": 0.5,
        "nearest_path/image": 0.1,
        "nearest_centroid/title": 0.9,
        "head": 0.6,
    }
    assert validation.model_copy(update={"head": None}).score == pytest.approx(0.6)
    assert Validation(nearest_path={}, nearest_centroid={}, num_products=1).score == 0


def test_features_stand_side_by_side_each_from_its_own_middle_and_absent_ones_are_zeros() -> None:
    rng = np.random.default_rng(0)
    present = np.array([True, False, True, True])
    title = FeatureVectors(vectors=rng.normal(5, 1, (4, 3)).astype(np.float32), present=np.ones(4, dtype=bool))
    image = FeatureVectors(vectors=rng.normal(0, 9, (3, 3)).astype(np.float32), present=present)
    rows = side_by_side({"title": title, "image": image}, num_products=4)
    assert rows.shape == (4, 6)
    assert (rows[1, 3:] == 0).all()
    np.testing.assert_allclose(rows.sum(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose((rows[:, :3] ** 2).sum(axis=1).mean(), 1, rtol=1e-5)
    np.testing.assert_allclose((rows[present, 3:] ** 2).sum(axis=1).mean(), 1, rtol=1e-5)


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


def slow_ridge(vectors: np.ndarray, labels: list[int]) -> float | None:
    inputs = np.concatenate([vectors.astype(np.float64), np.ones((len(vectors), 1))], axis=1)
    penalty = PENALTY * (inputs**2).sum(axis=1).mean()
    classes = sorted(set(labels))
    indicators = np.array([[float(label == name) for name in classes] for label in labels])
    right = []
    for i, label in enumerate(labels):
        if labels.count(label) < 2:
            continue
        rest = np.arange(len(labels)) != i
        system = inputs[rest].T @ inputs[rest] + penalty * np.eye(inputs.shape[1])
        weights = np.linalg.solve(system, inputs[rest].T @ indicators[rest])
        right.append(classes[int((inputs[i] @ weights).argmax())] == label)
    return float(np.mean(right)) if right and len(classes) > 1 else None


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=25), seed=st.integers(0, 2**31))
def test_ridge_accuracy_is_that_of_fits_without_the_product(labels: list[int], seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(labels), 6)).astype(np.float32)
    found, wanted = ridge_accuracy(vectors, labels=np.array(labels)), slow_ridge(vectors, labels)
    assert (found is None) == (wanted is None)
    if found is not None:
        assert found == pytest.approx(wanted)


def test_a_linear_probe_finds_what_lies_apart() -> None:
    labels = np.repeat([0, 1, 2], 20)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 8)).astype(np.float32)
    assert ridge_accuracy(noise + 9 * np.eye(8, dtype=np.float32)[labels], labels=labels) == 1
    assert (ridge_accuracy(noise, labels=labels) or 0) < 0.7
