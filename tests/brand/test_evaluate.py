"""Evaluation: the fused brand is better than each source alone, also where the supplied one is withheld or wrong."""

from dataclasses import replace
from typing import get_args

import numpy as np

from prodemb.brand.conditions import AS_SUPPLIED, UNKNOWN_BRAND, WITHHELD, WRONG, BrandCondition
from prodemb.brand.evaluate import evaluate_brands
from prodemb.brand.fit import CrossFit, FuseConfig
from prodemb.brand.labels import BrandLabels
from prodemb.brand.predict import BrandPredictor
from prodemb.heads.evaluation import FUSED, HEAD, PROMISED
from prodemb.heads.train import Labelled, TrainConfig


def test_the_fused_brand_beats_every_source_in_every_condition(
    data: Labelled[BrandLabels], predictor: BrandPredictor, fitted: CrossFit
) -> None:
    found = evaluate_brands(
        data, predictor=predictor, fitted=fitted, train=TrainConfig(), config=FuseConfig(), min_confidence=0.5
    )
    by_name = {each.name: each for each in found.conditions}
    assert next(iter(by_name)) == AS_SUPPLIED
    assert list(by_name)[-3:] == [WITHHELD, WRONG, UNKNOWN_BRAND]
    for condition in (AS_SUPPLIED, WITHHELD, WRONG):
        rates = by_name[condition].top1
        assert rates[FUSED] >= max(rates.values()) - 0.003, (condition, rates)
    assert by_name[WITHHELD].top1["supplied canonical"] == by_name[WRONG].top1["supplied canonical"] == 0
    assert by_name[AS_SUPPLIED].top1[FUSED] > 0.9 > by_name[AS_SUPPLIED].top1["supplied canonical"]
    for group, num_kinds in (("supplied", 4), ("examples", 3)):
        counts = [each.num_products for each in found.conditions if each.group == group]
        assert len(counts) == num_kinds
        assert sum(counts) == by_name[AS_SUPPLIED].num_products == len(data.test)
    methods = {method.name: method.metrics for method in found.methods}
    assert methods.keys() >= {"supplied as is", "logistic regression"}
    assert list(methods)[-2:] == [HEAD, FUSED]
    for name in (HEAD, FUSED):
        metrics = methods[name]
        assert metrics is not None
        assert metrics.top1 == by_name[AS_SUPPLIED].top1[name]


def test_confidence_is_that_of_products_that_were_not_learned(
    data: Labelled[BrandLabels], predictor: BrandPredictor, fitted: CrossFit
) -> None:
    train = TrainConfig.parse({"baselines": {"run": False}}, source="test")
    found = evaluate_brands(
        data, predictor=predictor, fitted=fitted, train=train, config=FuseConfig(), min_confidence=0.5
    )
    assert found.num_learned == len(data.outside_test)
    conditions = found.out_of_fold_conditions
    bands = [each for each in conditions if each.group == "examples"]
    assert [each.name for each in conditions if each.group is None] == [*get_args(BrandCondition)]
    assert conditions[0].num_products == len(fitted.rows) == sum(each.num_products for each in bands)
    assert conditions[0].top1[FUSED] == fitted.as_supplied.correct.mean()
    assert found.reliability is not None
    assert found.reliability.calibration_error is not None
    assert found.reliability.calibration_error < 0.1
    assert [each.promise.precision for each in found.promised] == list(PROMISED)
    for each in found.promised:
        if each.promise.threshold is not None and each.kept is not None:
            assert each.kept >= each.promise.precision - 0.05
            assert each.coverage > 0.5
    unknown = found.conditions[-1]
    assert unknown.name == UNKNOWN_BRAND
    assert unknown.top1[FUSED] > 0.6


def test_without_a_test_part_there_are_promises_alone(
    data: Labelled[BrandLabels], predictor: BrandPredictor, fitted: CrossFit
) -> None:
    without = replace(data, test=np.zeros(0, np.int32))
    found = evaluate_brands(
        without, predictor=predictor, fitted=fitted, train=TrainConfig(), config=FuseConfig(), min_confidence=0.5
    )
    assert (found.methods, found.conditions, found.reliability) == ((), (), None)
    assert [each.promise.precision for each in found.promised] == list(PROMISED)
    assert not any(each.coverage for each in found.promised)
