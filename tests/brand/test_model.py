"""The conditional logit: finds the weights that made the choices, stays near the prior where there are few."""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from prodemb.brand.model import ConditionalLogit


def make_choices(
    num: int, *, seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((num, 4, 3)).astype(np.float32)
    valid = random.random((num, 4)) < 0.8
    valid[:, -1] = True
    utilities = inputs @ np.array([2.0, -1.0, 0.0]) + random.gumbel(size=(num, 4))
    return inputs, valid, np.where(valid, utilities, -np.inf).argmax(axis=1)


def fit(num: int, *, l2: float, prior: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    inputs, valid, chosen = make_choices(num)
    prior = np.zeros(3) if prior is None else prior
    model = ConditionalLogit.fit(
        inputs, valid=valid, chosen=chosen, sample_weight=np.ones(num, np.float32), prior=prior, l2=l2
    )
    return model.weights


def test_the_weights_behind_the_choices_are_found() -> None:
    assert np.allclose(fit(20_000, l2=1.0), [2, -1, 0], atol=0.06)


def test_few_products_leave_the_weights_near_the_prior() -> None:
    prior = np.array([5.0, 5.0, 5.0])
    assert np.allclose(fit(3, l2=1e6, prior=prior), prior, atol=1e-3)
    assert not np.allclose(fit(300, l2=1.0, prior=prior), prior, atol=1)


def test_sample_weight_is_like_repetition() -> None:
    inputs, valid, chosen = make_choices(400)
    twice = np.where(np.arange(400) < 100, 2.0, 1.0).astype(np.float32)
    rows = np.concatenate([np.arange(400), np.arange(100)])
    settings = {"prior": np.zeros(3), "l2": 1.0}
    weighed = ConditionalLogit.fit(inputs, valid=valid, chosen=chosen, sample_weight=twice, **settings)
    repeated = ConditionalLogit.fit(
        inputs[rows], valid=valid[rows], chosen=chosen[rows], sample_weight=np.ones(500, np.float32), **settings
    )
    assert np.allclose(weighed.weights, repeated.weights, atol=1e-5)


def test_two_alternatives_are_a_logistic_regression() -> None:
    inputs, _, _ = make_choices(500)
    pair = inputs[:, :2]
    chosen = (np.random.default_rng(1).random(500) < 0.5).astype(np.int64)
    model = ConditionalLogit.fit(
        pair,
        valid=np.ones((500, 2), bool),
        chosen=chosen,
        sample_weight=np.ones(500, np.float32),
        prior=np.zeros(3),
        l2=1.0,
    )
    wanted = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10).fit(pair[:, 1] - pair[:, 0], chosen)
    assert np.allclose(model.weights, wanted.coef_[0], atol=1e-4)


def test_probabilities_sum_to_one_over_what_is_there() -> None:
    inputs, valid, _ = make_choices(100)
    model = ConditionalLogit(weights=np.array([1.0, 2.0, 3.0]))
    likely = model.predict_proba(inputs * 1000, valid=valid)
    assert np.allclose(likely.sum(axis=1), 1)
    assert (likely[~valid] == 0).all()
    assert np.isfinite(likely).all()
