"""A partner that is left out: judged by what the others taught, without the spellings that only it has."""

from dataclasses import replace

from prodemb.brand.fit import CrossFit, Recipe
from prodemb.brand.labels import BrandLabels
from prodemb.brand.new_partners import judge_new_partners
from prodemb.core.progress import no_progress
from prodemb.heads.train import Labelled


def test_each_partner_is_judged_by_what_the_others_taught(
    data: Labelled[BrandLabels], recipe: Recipe, fitted: CrossFit
) -> None:
    found = [*judge_new_partners(data, recipe=recipe, fitted=fitted, min_confidence=0.5, progress=no_progress)]
    assert [each.name for each in found] == ["new partner: alder", "new partner: borea"]
    assert [each.num_products for each in found] == [600, 300]
    for each in found:
        assert each.top1["prodemb"] >= each.top1["head alone"] > 0.3
        assert each.coverage is not None


def test_none_is_left_out_where_none_is_to_be(data: Labelled[BrandLabels], recipe: Recipe, fitted: CrossFit) -> None:
    fuse = recipe.fuse.model_copy(update={"new_partners": 0})
    left_out = judge_new_partners(
        data, recipe=replace(recipe, fuse=fuse), fitted=fitted, min_confidence=0.5, progress=no_progress
    )
    assert [*left_out] == []
