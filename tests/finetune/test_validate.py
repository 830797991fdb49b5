"""The validation score, and what the linear probe sees of a product."""

import numpy as np
import pytest

from prodemb.finetune.encode import FeatureVectors
from prodemb.finetune.validate import Validation, side_by_side


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
