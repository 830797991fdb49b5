"""What can be promised of each target's answers, from the out-of-fold answers in the heads' folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from prodemb.category.zero_shot import ZeroShot
from prodemb.confidence.answers import Answers, read_answers
from prodemb.confidence.promise import Promise, promise
from prodemb.core.errors import ConfigError, HeadError
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import Target
from prodemb.score.predictor import Predictor


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
        ConfigError: a predictor is zero-shot.
        HeadError: a head has no out-of-fold answers.
    """
    if precision is None:
        return {}
    promises: dict[Target, Promise] = {}
    for predictor in predictors:
        if isinstance(predictor, ZeroShot):
            raise ConfigError(
                f"[score] precision: found {precision:g} for zero-shot categories, which have no labels to promise by; "
                "label products and train a head, or leave it out"
            )
        target = predictor.card.target
        if target not in answers:
            raise HeadError(
                f"[score] precision: the {target} head was trained without out-of-fold answers to promise by; train "
                "again, or leave it out"
            )
        own = answers[target].above(min_brand_confidence) if target == "brand" else answers[target]
        promises[target] = promise(own, precision=precision, certainty=certainty)
    return promises
