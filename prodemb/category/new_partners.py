"""How well the categories of a partner are predicted of whom nothing was learned."""

from collections.abc import Iterator

import numpy as np

from prodemb.category.evaluate import condition_of
from prodemb.category.fit import CrossFit, Recipe
from prodemb.category.labels import CategoryLabels
from prodemb.category.voices.words import ALL_WORDS, words_of
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.errors import FewLabelsError
from prodemb.core.progress import Progress
from prodemb.heads.evaluation import FUSED, HEAD, Condition
from prodemb.heads.partners import leave_partners_out
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import read_products

_WORDS = "TF-IDF + linear SVM"


def judge_new_partners(
    data: Labelled[CategoryLabels], *, recipe: Recipe, fitted: CrossFit, progress: Progress
) -> Iterator[Condition]:
    """The figures on the products of each of some partners, of voices that learned from the others.

    Args:
        fitted: the weights of the voices, which have seen all partners.
    """
    node_of = recipe.nodes.of(data.labels.classes)
    for left_out in leave_partners_out(data, at_most=recipe.voices.new_partners, seed=recipe.voices.seed):
        title = f"Training without partner {left_out.name}"
        try:
            voices = recipe.fit_voices(data, left_out.learned, title=title, progress=progress)
        except FewLabelsError:
            continue
        products = read_products(data.shard_set, features=data.features, rows=data.rows[left_out.judged])
        prediction = fitted.predictor(voices).predict(products, k=1)
        alone = voices.head.head.predict(products.vectors, present=products.present)
        words = voices.words.opinion(words_of(products.supplied, features=ALL_WORDS), num_nodes=len(recipe.nodes))
        truth = node_of[data.index_of(left_out.judged)]
        yield condition_of(
            f"new partner: {left_out.name}",
            truth=truth,
            predicted={
                _WORDS: words.top(1)[:, 0],
                HEAD: np.append(voices.head.nodes, NO_ANSWER)[alone],
                FUSED: prediction.first,
            },
            answered=prediction.answered(truth),
            tree=recipe.nodes.tree,
        )
