"""What can be promised of each target's answers, from the out-of-fold answers in the heads' folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from prodemb.category.zero_shot import ZeroShot
from prodemb.confidence.answers import Answers, read_answers
from prodemb.confidence.promise import Promise, promise
from prodemb.core.errors import HeadError
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import Target
from prodemb.score.predictor import Predictor

_NO_ANSWERS = Answers(
    probabilities=np.zeros((0, 1), np.float32), correct=np.zeros((0, 1), np.bool_), groups=np.zeros(0, np.uint64)
)


def read_head_answers(folders: Sequence[Path], *, predictors: Sequence[Predictor]) -> dict[Target, Answers]:
    """The out-of-fold answers of those heads that have some.

    Args:
        folders: of the heads.
        predictors: as loaded from these folders.

    Raises:
        HeadError: they are missing, damaged, or belong to another head.
    """
    cards = [predictor.card for predictor in predictors]
    return {
        card.target: read_answers(folder, card.answers_sha256)
        for folder, card in zip(folders, cards, strict=True)
        if isinstance(card, HeadCard) and card.answers_sha256
    }


def make_promises(
    predictors: Sequence[Predictor],
    *,
    answers: Mapping[Target, Answers],
    precision: float | None,
    certainty: float,
    min_brand_confidence: float,
) -> dict[Target, Promise]:
    """The promise of each target; none where no precision is asked for.

    Args:
        answers: out of fold, of each head.
        min_brand_confidence: brands with less are UNKNOWN whatever is promised, so nothing is tested below.

    Raises:
        HeadError: a head has no out-of-fold answers.
    """
    if precision is None:
        return {}
    promises: dict[Target, Promise] = {}
    for predictor in predictors:
        if isinstance(predictor, ZeroShot):
            # No label, no promise: no category is answered, and the report says how many labels it takes.
            promises["category"] = promise(_NO_ANSWERS, precision=precision, certainty=certainty)
            continue
        target = predictor.card.target
        if target not in answers:
            raise HeadError(
                f"[score] precision: the {target} head was trained without out-of-fold answers to promise by; train "
                "again, or leave it out"
            )
        own = answers[target].above(min_brand_confidence) if target == "brand" else answers[target]
        promises[target] = promise(own, precision=precision, certainty=certainty)
    return promises
