"""How well the brands of a partner are predicted of whom nothing was learned."""

from collections.abc import Iterator

from prodemb.brand.conditions import true_names, without_strings_of
from prodemb.brand.evaluate import condition_of
from prodemb.brand.fit import CrossFit, Recipe
from prodemb.brand.labels import BrandLabels
from prodemb.core.errors import FewLabelsError
from prodemb.core.progress import Progress
from prodemb.heads.evaluation import Condition
from prodemb.heads.partners import leave_partners_out
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import read_products


def judge_new_partners(
    data: Labelled[BrandLabels], *, recipe: Recipe, fitted: CrossFit, min_confidence: float, progress: Progress
) -> Iterator[Condition]:
    """The figures on the products of each of some partners, of predictors that learned from the others.

    Spellings that only the partner has are unknown to them.

    Args:
        fitted: the weights of the evidence, which have seen all partners.
        min_confidence: the least confidence at which scoring answers a brand.
    """
    for left_out in leave_partners_out(data, at_most=recipe.fuse.new_partners, seed=recipe.fuse.seed):
        title = f"Training without partner {left_out.name}"
        try:
            predictor = recipe.fit(data, left_out.learned, gold=fitted.gold, title=title, progress=progress)
        except FewLabelsError:
            continue
        rows = data.rows[left_out.judged]
        products, names = read_products(data.shard_set, features=data.features, rows=rows), true_names(data, rows=rows)
        fuser = fitted.weighing(predictor).fuser
        known = without_strings_of(data, left_out.judged, aliases=recipe.aliases)
        seeing = fuser.with_aliases(known, rare=fuser.names.rare)
        yield condition_of(
            f"new partner: {left_out.name}",
            products,
            names=names,
            fuser=seeing,
            head=predictor.head,
            min_confidence=min_confidence,
        )
