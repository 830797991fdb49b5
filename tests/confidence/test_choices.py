"""Choices: the weights of a fold are those that the other folds teach."""

import numpy as np

from prodemb.confidence.candidates import Candidates
from prodemb.confidence.choices import Answered, Choices, answered_in, leave_one_out

PRIOR = np.zeros(2)


def choices_of(num: int, *, seed: int, likes: float) -> Choices:
    """Choices between two and none, by the first feature, which counts that much."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((num, 3, 2)).astype(np.float32)
    utilities = features @ np.array([likes, 0.0]) + random.gumbel(size=(num, 3))
    candidates = Candidates(
        ids=np.tile([0, 1, -1], (num, 1)),
        valid=np.ones((num, 3), bool),
        features=features,
        contexts=np.zeros((num, 0), bool),
    )
    return Choices(candidates=candidates, chosen=utilities.argmax(axis=1), weights=np.ones(num, np.float32))


def test_a_fold_is_weighed_by_the_others() -> None:
    folds = [
        [choices_of(800, seed=1, likes=3.0)],
        [choices_of(700, seed=2, likes=1.0), choices_of(100, seed=3, likes=1.0)],
    ]
    first, second = leave_one_out(folds, prior=PRIOR, l2=1.0)
    assert np.allclose(first.weights, Choices.concat(folds[1]).fit(prior=PRIOR, l2=1.0).weights)
    assert np.allclose(second.weights, folds[0][0].fit(prior=PRIOR, l2=1.0).weights)
    assert second.weights[0, 0] > 2.5 > 1.5 > first.weights[0, 0]


def test_a_single_fold_has_only_its_own() -> None:
    own = choices_of(300, seed=1, likes=2.0)
    (model,) = leave_one_out([[own]], prior=PRIOR, l2=1.0)
    assert np.array_equal(model.weights, own.fit(prior=PRIOR, l2=1.0).weights)


def test_choices_without_weight_teach_nothing() -> None:
    own, other = choices_of(300, seed=1, likes=2.0), choices_of(300, seed=2, likes=-5.0)
    silent = Choices(candidates=other.candidates, chosen=other.chosen, weights=np.zeros(300, np.float32))
    joined = Choices.concat([own, silent])
    assert len(joined.chosen) == 600
    assert np.allclose(joined.fit(prior=PRIOR, l2=1.0).weights, own.fit(prior=PRIOR, l2=1.0).weights, atol=1e-6)


def test_heads_of_fewer_classes_give_fewer_candidates() -> None:
    short, other = choices_of(300, seed=1, likes=2.0), choices_of(200, seed=2, likes=1.0)
    long = Choices(
        candidates=short.candidates.widened(5), chosen=short.chosen + 2 * (short.chosen == 2), weights=short.weights
    )
    assert long.candidates.valid.sum() == short.candidates.valid.sum()
    for parts, same in (([short, other], [long, other]), ([other, short], [other, long])):
        joined = Choices.concat(same)
        assert (joined.candidates.ids[joined.chosen == 4, 4] == -1).all()
        assert joined.candidates.valid[np.arange(500), joined.chosen].all()
        fitted = Choices.concat(parts).fit(prior=PRIOR, l2=1.0)
        assert np.allclose(joined.fit(prior=PRIOR, l2=1.0).weights, fitted.weights, atol=1e-6)


def test_the_answers_of_a_condition_are_those_of_all_folds_in_order() -> None:
    first, second, other = (choices_of(num, seed=num, likes=2.0) for num in (200, 100, 50))
    models = leave_one_out([[first], [second, other]], prior=PRIOR, l2=1.0)
    found = answered_in([{"a": first}, {"a": second, "b": other}], models=models)
    assert {name: len(answered.correct) for name, answered in found.items()} == {"a": 300, "b": 50}
    proba = second.candidates.predict_proba(models[1])[:, :2]
    assert np.allclose(found["a"].confidences[200:], proba.max(axis=1))
    assert np.array_equal(found["a"].correct[200:], proba.argmax(axis=1) == second.chosen)
    assert not (second.chosen == 2)[found["a"].correct[200:]].any()
    some = found["a"].take(found["a"].correct)
    assert some.correct.all()
    assert len(some.confidences) == found["a"].correct.sum()
    assert len(Answered.concat([]).correct) == 0
