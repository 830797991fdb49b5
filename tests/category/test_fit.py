"""Cross-fitting: voices judge products that they never saw, and what they answer is as sure as it is right."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from prodemb.category.candidates import CONTEXTS, NUM_CONTEXTS, PRIOR_WEIGHTS
from prodemb.category.conditions import ALL, FEATURES_LEFT
from prodemb.category.config import VoicesConfig
from prodemb.category.fit import CrossFit, Recipe, cross_fit
from prodemb.category.labels import CategoryLabels
from prodemb.category.nodes import Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.category.voices.every import Voices
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.confidence.reliability import Reliability
from prodemb.core.arrays import Indices
from prodemb.core.progress import Progress, no_progress
from prodemb.heads.train import Labelled, TrainConfig, load_labelled
from prodemb.shards.product_set import read_products

QUICK = TrainConfig(epochs=1)


@dataclass(frozen=True, kw_only=True)
class Recording(Recipe):
    """A recipe that writes down what each set of voices learned from."""

    learned: list[Indices] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    def fit_voices(self, data: Labelled[CategoryLabels], learned: Indices, *, title: str, progress: Progress) -> Voices:
        self.learned.append(learned)
        self.titles.append(title)
        return super().fit_voices(data, learned, title=title, progress=progress)


def test_the_voices_of_a_fold_learn_from_the_others(data: Labelled[CategoryLabels], recipe: Recipe) -> None:
    few = VoicesConfig(max_answers=100)
    recording = Recording(**vars(recipe) | {"train": QUICK, "voices": few})
    found = cross_fit(data, recipe=recording, progress=no_progress)
    assert recording.titles == [f"Training the category head, fold {fold} of 5" for fold in range(1, 6)]
    assert 95 <= len(found.rows) <= 100
    assert not np.isin(found.rows, data.rows[data.test]).any()
    assert np.array_equal(found.truth, recipe.nodes.of(data.labels.classes)[data.labels.index[found.rows]])
    for fold, learned in enumerate(recording.learned):
        judged = found.rows[np.isin(found.rows, data.rows[data.inside(fold)])]
        assert len(judged) > 10
        assert not np.isin(data.groups[judged], data.groups[data.rows[learned]]).any()
        assert not np.isin(data.rows[data.test], data.rows[learned]).any()


def test_a_folds_labels_have_no_say_in_its_own_answers(data: Labelled[CategoryLabels], recipe: Recipe) -> None:
    inside = data.rows[data.inside(2)]
    index = data.labels.index.copy()
    index[inside] = np.random.default_rng(0).permutation(index[inside])
    assert not np.array_equal(index, data.labels.index)
    labels = replace(data.labels, index=index)
    shuffled = load_labelled(data.shard_set, labels=labels, config=QUICK, device=torch.device("cpu"))
    products = read_products(data.shard_set, features=data.features, rows=inside)
    model = ConditionalLogit(
        weights=np.array([[*PRIOR_WEIGHTS.values()], *[[0.0] * len(PRIOR_WEIGHTS)] * len(CONTEXTS)])
    )
    answers = []
    for each in (data, shuffled):
        voices = replace(recipe, train=QUICK).fit_voices(each, each.outside(2), title="", progress=no_progress)
        answers.append(
            CategoryPredictor(voices=voices, model=model, least_known=(0.5,) * NUM_CONTEXTS).predict(products, k=3)
        )
    for name, ours in vars(answers[0]).items():
        assert np.array_equal(ours, getattr(answers[1], name)), name


def test_out_of_fold_answers_are_as_sure_as_they_are_right(
    data: Labelled[CategoryLabels], fitted: CrossFit, nodes: Nodes
) -> None:
    assert np.array_equal(np.sort(fitted.rows), data.rows[data.outside_test])
    answers = fitted.answers(data, nodes=nodes)
    assert np.array_equal(answers.groups, data.groups[fitted.rows])
    assert (np.diff(answers.probabilities, axis=1) <= 0).all()
    assert (answers.correct[:, 0] >= answers.correct[:, 1]).all()
    right = fitted.prediction.first == fitted.truth
    assert right.mean() > 0.95
    error = Reliability.of(fitted.prediction.probabilities[:, 0], correct=right).calibration_error
    assert error is not None
    assert error < 0.05


def test_answers_to_random_labels_are_no_surer_than_chance(data: Labelled[CategoryLabels], recipe: Recipe) -> None:
    index = np.random.default_rng(5).integers(0, 6, len(data.labels.index)).astype(np.int32)
    labels = replace(data.labels, index=index)
    random = load_labelled(data.shard_set, labels=labels, config=QUICK, device=torch.device("cpu"))
    found = cross_fit(random, recipe=replace(recipe, train=QUICK), progress=no_progress)
    right = found.prediction.first == found.truth
    sure = found.prediction.probabilities[:, 0]
    assert right.mean() < 0.25
    assert abs(sure.mean() - right.mean()) < 0.06
    assert (sure < 0.5).mean() > 0.95


def test_most_products_of_labelled_categories_count_as_known(fitted: CrossFit) -> None:
    assert len(fitted.least_known) == NUM_CONTEXTS
    assert all(0 <= least <= 1 for least in fitted.least_known)
    assert fitted.least_known[0] > 0.5
    # No product lacks all but its cat1-3: what counts as known there is as where one has a picture too.
    lacks = {name: 1 << number for number, name in enumerate(CONTEXTS)}
    beside = lacks["no title and description"] | lacks["no description"]
    assert fitted.least_known[beside | lacks["no picture"]] > 0


def test_answers_are_kept_by_condition(data: Labelled[CategoryLabels], fitted: CrossFit) -> None:
    assert list(fitted.by_condition) == list(FEATURES_LEFT)
    own = fitted.prediction.answered(fitted.truth)
    assert np.array_equal(fitted.by_condition[ALL].correct, own.correct)
    assert np.allclose(fitted.by_condition[ALL].confidences, own.confidences)
    picture, everything = fitted.by_condition["picture only"], fitted.by_condition[ALL]
    assert picture.correct.mean() < everything.correct.mean()
    assert abs(picture.correct.mean() - picture.confidences.mean()) < 0.05


def test_folds_that_leave_too_few_categories_are_done_without(data: Labelled[CategoryLabels], recipe: Recipe) -> None:
    config = QUICK.model_copy(update={"min_examples": 90, "roll_up": False})
    counts = np.bincount(data.index_of(data.outside_test))
    config = config.model_copy(update={"min_examples": int(np.sort(counts)[-2])})
    fitted = cross_fit(data, recipe=replace(recipe, train=config), progress=no_progress)
    assert len(fitted.rows) < len(data.outside_test)
    assert len(fitted.by_fold) < data.num_folds
