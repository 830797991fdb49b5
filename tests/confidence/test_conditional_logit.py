"""The conditional logit: finds the weights that made the choices, stays near the prior where there are few."""

from functools import partial

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from prodemb.confidence.conditional_logit import ConditionalLogit, Contexts


def no_contexts(num: int) -> Contexts:
    return np.zeros((num, 0), dtype=np.bool_)


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
        inputs,
        valid=valid,
        chosen=chosen,
        contexts=no_contexts(num),
        sample_weight=np.ones(num, np.float32),
        prior=prior,
        l2=l2,
    )
    return model.weights[0]


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
    fit_weighed = partial(ConditionalLogit.fit, prior=np.zeros(3), l2=1.0)
    weighed = fit_weighed(inputs, valid=valid, chosen=chosen, contexts=no_contexts(400), sample_weight=twice)
    repeated = fit_weighed(
        inputs[rows],
        valid=valid[rows],
        chosen=chosen[rows],
        contexts=no_contexts(500),
        sample_weight=np.ones(500, np.float32),
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
        contexts=no_contexts(500),
        sample_weight=np.ones(500, np.float32),
        prior=np.zeros(3),
        l2=1.0,
    )
    wanted = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10).fit(pair[:, 1] - pair[:, 0], chosen)
    assert np.allclose(model.weights[0], wanted.coef_[0], atol=1e-4)


def test_probabilities_sum_to_one_over_what_is_there() -> None:
    inputs, valid, _ = make_choices(100)
    model = ConditionalLogit(weights=np.array([[1.0, 2.0, 3.0]]))
    likely = model.predict_proba(inputs * 1000, valid=valid, contexts=no_contexts(100))
    assert np.allclose(likely.sum(axis=1), 1)
    assert (likely[~valid] == 0).all()
    assert np.isfinite(likely).all()


def test_a_context_has_weights_of_its_own() -> None:
    """Two circumstances in one model are two models, where regularisation is weak."""
    (first, valid, chosen), (second, valid_too, _) = make_choices(3000), make_choices(3000, seed=1)
    other = np.where(valid_too, second @ np.array([-1.0, 3.0, 1.0]), -np.inf)
    other_chosen = (other + np.random.default_rng(2).gumbel(size=other.shape)).argmax(axis=1)
    contexts = np.repeat([False, True], 3000)[:, None]
    model = ConditionalLogit.fit(
        np.concatenate([first, second]),
        valid=np.concatenate([valid, valid_too]),
        chosen=np.concatenate([chosen, other_chosen]),
        contexts=contexts,
        sample_weight=np.ones(6000, np.float32),
        prior=np.zeros(3),
        l2=1e-3,
    )
    assert np.allclose(model.weights[0], [2, -1, 0], atol=0.2)
    assert np.allclose(model.weights.sum(axis=0), [-1, 3, 1], atol=0.3)
    assert np.allclose(model.weights_in(contexts[[0, -1]]), [model.weights[0], model.weights.sum(axis=0)])
