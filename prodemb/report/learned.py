"""What was learned: the heads' cards, and risk-coverage by their out-of-fold answers."""

from pathlib import Path

import numpy as np

from prodemb.confidence.answers import Answers, read_answers
from prodemb.confidence.promise import coverage_and_precision
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import BrandLabel
from prodemb.report.summary import Learned, RiskPoint

MAX_CLASSES = 15
MIN_ANSWERS = 20
"""Fewer answers say nothing about precision."""


def learned(
    folder: Path, *, card: HeadCard, is_fine_tuned: bool, other: HeadCard | None, min_confidence: float
) -> Learned:
    """What the head in a folder learned.

    Args:
        is_fine_tuned: whether it is on the fine-tuned CLIP.
        other: the card of the head on the other CLIP, if there is one.
        min_confidence: answers below it are not given.

    Raises:
        HeadError: its out-of-fold answers are missing, damaged, or belong to another head.
    """
    answers = read_answers(folder, card.answers_sha256) if card.answers_sha256 else None
    names = [label.name if isinstance(label, BrandLabel) else label.path for label in card.classes]
    counted = sorted(zip(names, card.class_counts, strict=False), key=lambda pair: (-pair[1], pair[0]))
    return Learned(
        card=card,
        is_fine_tuned=is_fine_tuned,
        other=other,
        risk=() if answers is None else risk_points(answers.above(min_confidence)),
        largest_classes=tuple(counted[:MAX_CLASSES]),
    )


def risk_points(answers: Answers) -> tuple[RiskPoint, ...]:
    """The curve of risk and coverage, from the strictest threshold with enough answers on.

    Source: El-Yaniv and Wiener, On the foundations of noise-free selective classification, JMLR 2010.
    """
    once = answers.one_per_group()
    coverage, precision = coverage_and_precision(once)
    enough = coverage * len(once) >= MIN_ANSWERS
    points = np.unique(np.stack([coverage[enough], precision[enough]], axis=1), axis=0)
    return tuple(RiskPoint(coverage=float(x), precision=float(y)) for x, y in points)
