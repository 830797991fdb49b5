"""Evaluation: the fused brand is better than each source alone, also where the supplied one is withheld or wrong."""

from prodemb.brand.conditions import AS_SUPPLIED, WITHHELD, WRONG
from prodemb.brand.evaluate import evaluate_brands
from prodemb.brand.fit import FuseConfig
from prodemb.brand.predict import Fuser
from prodemb.heads.head import TrainedHead
from prodemb.heads.train import Labelled, TrainConfig


def test_the_fused_brand_beats_every_source_in_every_condition(data: Labelled, head: TrainedHead, fuser: Fuser) -> None:
    found = evaluate_brands(data, head=head, fuser=fuser, train=TrainConfig(), config=FuseConfig(), min_confidence=0.5)
    by_name = {condition.name: condition for condition in found.conditions}
    assert next(iter(by_name)) == AS_SUPPLIED
    assert list(by_name)[-2:] == [WITHHELD, WRONG]
    for name in (AS_SUPPLIED, WITHHELD, WRONG):
        rates = by_name[name].top1
        assert rates["prodemb"] >= max(rates.values()) - 0.003, (name, rates)
    assert by_name[WITHHELD].top1["supplied canonical"] == by_name[WRONG].top1["supplied canonical"] == 0
    assert by_name[AS_SUPPLIED].top1["prodemb"] > 0.9 > by_name[AS_SUPPLIED].top1["supplied canonical"]
    for group, num_kinds in (("supplied", 4), ("examples", 3)):
        counts = [condition.num_products for condition in found.conditions if condition.group == group]
        assert len(counts) == num_kinds
        assert sum(counts) == by_name[AS_SUPPLIED].num_products
    assert found.fused is not None
    assert found.fused.top1 == by_name[AS_SUPPLIED].top1["prodemb"]
    assert found.fused.ece is not None
    assert found.fused.ece < 0.1
    assert {baseline.name for baseline in found.baselines} >= {"supplied as is", "logistic regression"}
