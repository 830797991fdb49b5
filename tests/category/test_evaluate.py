"""Evaluation: every condition beside every baseline, against the nodes that products are labelled with."""

from dataclasses import replace

import numpy as np
import torch

from prodemb.category.conditions import ALL, FEATURES_LEFT
from prodemb.category.evaluate import evaluate_categories
from prodemb.category.fit import CrossFit, Recipe
from prodemb.category.labels import CategoryLabels
from prodemb.category.predict import CategoryPredictor
from prodemb.core.progress import no_progress
from prodemb.heads.evaluation import FUSED, HEAD, PROMISED
from prodemb.heads.split import VALIDATION, split_of
from prodemb.heads.train import Labelled, TrainConfig, load_labelled

QUIET = TrainConfig.parse({"baselines": {"run": False}}, source="test")


def test_each_condition_has_every_method(
    data: Labelled[CategoryLabels], predictor: CategoryPredictor, fitted: CrossFit
) -> None:
    found = evaluate_categories(data, predictor=predictor, fitted=fitted, train=TrainConfig())
    conditions = found.conditions
    assert [c.name for c in conditions if c.group is None] == list(FEATURES_LEFT)
    baselines = ["supplied value", "most frequent class", "TF-IDF + linear SVM", "kNN", "logistic regression"]
    for condition in conditions:
        assert list(condition.top1) == list(condition.macro_f1) == list(condition.tree_f1) == [*baselines, HEAD, FUSED]
    everything, *bands = (c for c in conditions if c.name == ALL or c.group is not None)
    assert everything.num_products == len(data.test) == sum(band.num_products for band in bands)
    assert everything.top1[FUSED] >= everything.top1[HEAD] > 0.7
    assert all(everything.tree_f1[name] >= everything.top1[name] for name in (HEAD, FUSED))
    by_name = {c.name: c for c in conditions}
    assert by_name["picture only"].top1[HEAD] < everything.top1[HEAD]
    assert by_name["title only"].top1["supplied value"] == everything.top1["most frequent class"]
    assert [method.name for method in found.methods] == [*baselines, HEAD, FUSED]
    fused = found.methods[-1].metrics
    assert fused is not None
    assert fused.tree is not None
    assert fused.top1 == everything.top1[FUSED]
    assert fused.tree.top1_by_level[-1] <= fused.tree.top1_by_level[0]


def test_confidence_is_that_of_products_that_were_not_learned(
    data: Labelled[CategoryLabels], predictor: CategoryPredictor, fitted: CrossFit
) -> None:
    found = evaluate_categories(data, predictor=predictor, fitted=fitted, train=QUIET)
    unseen = split_of(data.groups[fitted.rows]) == VALIDATION
    assert (found.num_learned, found.num_out_of_fold) == (len(data.outside_test), unseen.sum())
    assert found.out_of_fold == (fitted.prediction.first == fitted.truth)[unseen].mean()
    assert found.learned_by == {"words": len(data.outside_test), "neighbours": len(data.outside_test)}
    conditions = found.out_of_fold_conditions
    bands = [each for each in conditions if each.group == "examples"]
    assert [each.name for each in conditions if each.group is None] == list(FEATURES_LEFT)
    assert conditions[0].num_products == len(fitted.rows) == sum(each.num_products for each in bands)
    assert all(each.calibration is not None for each in (*conditions, *found.conditions))
    assert found.reliability is not None
    assert found.reliability.calibration_error is not None
    assert found.reliability.calibration_error < 0.1
    assert sum(each.count for each in found.reliability.bins) == len(data.test)
    assert [each.promise.precision for each in found.promised] == list(PROMISED)
    for each in found.promised:
        if each.promise.threshold is not None:
            assert each.kept is not None
            assert each.level is not None
            assert each.kept >= each.promise.precision - 0.05
            assert 1 <= each.level <= 2
    assert predictor.head.with_evaluation(found).card.evaluation == found


def test_without_a_test_part_there_are_promises_alone(
    data: Labelled[CategoryLabels], predictor: CategoryPredictor, fitted: CrossFit
) -> None:
    without = replace(data, test=np.zeros(0, np.int32))
    found = evaluate_categories(without, predictor=predictor, fitted=fitted, train=QUIET)
    assert (found.methods, found.conditions, found.reliability) == ((), (), None)
    assert [each.promise.precision for each in found.promised] == list(PROMISED)


def test_what_the_head_rolls_up_the_other_voices_still_tell_apart(
    data: Labelled[CategoryLabels], recipe: Recipe, fitted: CrossFit
) -> None:
    config = QUIET.model_copy(update={"epochs": 3, "min_examples": 150})
    rolled_up = load_labelled(data.shard_set, labels=data.labels, config=config, device=torch.device("cpu"))
    voices = replace(recipe, train=config).fit_voices(rolled_up, rolled_up.outside_test, title="", progress=no_progress)
    assert sorted(label.path for label in voices.head.head.card.classes) == ["Other", "Things"]  # type: ignore[union-attr]
    found = evaluate_categories(rolled_up, predictor=fitted.predictor(voices), fitted=fitted, train=config)
    rates = found.conditions[0].top1
    assert rates[HEAD] < 0.4 < 0.8 < rates[FUSED]
