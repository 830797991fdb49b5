"""Small untrained heads for tests, and scoring with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prodemb.aliases.table import AliasTable
from prodemb.brand.predict import BrandPredictor, Fuser
from prodemb.category.predict import CategoryPredictor
from prodemb.confidence.answers import Answers
from prodemb.core.features import BRAND_FEATURES, FEATURES
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.heads.labels import BrandLabel, CategoryLabel, Target
from prodemb.heads.network import HeadConfig
from prodemb.score.predictor import Predictor
from prodemb.score.score import ScoreConfig, ScoreReport, score
from prodemb.shards.reader import ShardSet

CPU = torch.device("cpu")


def make_card(target: Target, *, num_classes: int = 9, **entries: Any) -> HeadCard:
    """A card of a head on random shards (`tests.shard_sets.write_random_set`), with some entries replaced."""
    categories = tuple(CategoryLabel(id=100 + i, path=f"Things > Kind {i}") for i in range(num_classes))
    brands = tuple(BrandLabel(name=f"Brand {i}") for i in range(num_classes))
    features = FEATURES if target == "category" else BRAND_FEATURES
    values: dict[str, Any] = {
        "target": target,
        "fingerprint": "clip",
        "model": "model clip",
        "features": features,
        "dims": (8,) * len(features),
        "aggregate": AggregateConfig(),
        "head": HeadConfig(hidden_layer_sizes=(6,)),
        "num_train": 1,
        "num_validation": 1,
        "coverage": None,
        "classes": categories if target == "category" else brands,
    }
    return HeadCard(**values | entries)


def make_head(
    target: Target, *, dim: int = 8, fingerprint: str = "clip", num_classes: int = 9, **entries: Any
) -> TrainedHead:
    """A head with random weights."""
    torch.manual_seed(len(target))
    num_features = len(FEATURES if target == "category" else BRAND_FEATURES)
    entries = {
        "dims": (dim,) * num_features,
        "fingerprint": fingerprint,
        "model": f"model {fingerprint}",
        **entries,
    }
    return TrainedHead.untrained(make_card(target, num_classes=num_classes, **entries)).to(CPU)


def predictor_of(head: TrainedHead) -> Predictor:
    """What predicts with a head; for brands with a fuser that has seen no product."""
    if head.card.target == "category":
        return CategoryPredictor.of(head)
    names = [label.name for label in head.card.classes if isinstance(label, BrandLabel)]
    return BrandPredictor(head=head, fuser=Fuser.untrained(names, aliases=AliasTable([])))


def score_with(
    sets: Sequence[ShardSet],
    out: Path,
    *heads: TrainedHead,
    answers: Mapping[Target, Answers] | None = None,
    since: Path | None = None,
    **settings: Any,
) -> ScoreReport:
    """Score with heads; every brand is answered unless `min_brand_confidence` is given."""
    config = ScoreConfig(**{"min_brand_confidence": 0.0} | settings)
    predictors = [*map(predictor_of, heads)]
    return score(sets, out, predictors=predictors, config=config, device=CPU, answers=answers, since=since)


def answers_at(confidence: float, *, num: int = 400) -> Answers:
    """Out-of-fold answers that are right at and above a confidence, and wrong half of the time below."""
    shown = np.linspace(1, 0.01, num, dtype=np.float32)
    correct = (shown >= confidence) | (np.arange(num) % 2 == 0)
    return Answers(probabilities=shown[:, None], correct=correct[:, None], groups=np.arange(num, dtype=np.uint64))
