"""Small untrained heads for tests, and scoring with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from prodemb.aliases.table import AliasTable
from prodemb.brand.predict import BrandPredictor, Fuser
from prodemb.brand.store import save_fuser
from prodemb.category.candidates import CONTEXTS, NUM_CONTEXTS, PRIOR_WEIGHTS
from prodemb.category.nodes import Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.category.store import save_voices
from prodemb.category.voices.every import Voices
from prodemb.category.voices.head import HeadVoice
from prodemb.category.voices.names import Names
from prodemb.category.voices.supplied import SuppliedCounts
from prodemb.category.voices.words import WordModel
from prodemb.confidence.answers import Answers
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.features import BRAND_FEATURES, FEATURES, PARTNER, TEXT_FEATURES, raw_column
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.head import HeadCard, TrainedHead, save_head
from prodemb.heads.labels import BrandLabel, CategoryLabel, Target
from prodemb.heads.neighbours import Neighbours
from prodemb.heads.network import HeadConfig
from prodemb.score.config import ScoreConfig
from prodemb.score.score import ScoreReport, score
from prodemb.shards.product_set import ProductSet
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
        "classes": categories if target == "category" else brands,
        "ancestors": (CategoryLabel(id=99, path="Things"),) if target == "category" else (),
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


def predictor_of(head: TrainedHead) -> BrandPredictor | CategoryPredictor:
    """What predicts with a head: for brands with a fuser that has seen no product, for categories by the head alone."""
    if head.card.target == "category":
        return category_predictor(head)
    names = [label.name for label in head.card.classes if isinstance(label, BrandLabel)]
    return BrandPredictor(head=head, fuser=Fuser.untrained(names, aliases=AliasTable([])))


def category_predictor(head: TrainedHead) -> CategoryPredictor:
    """A predictor that weighs the head's smoothed probabilities alone, beside voices that learned a product a class."""
    card = head.card
    labels = [label for label in (*card.ancestors, *card.classes) if isinstance(label, CategoryLabel)]
    nodes = Nodes(labels)
    own, paths = nodes.of(card.classes), [label.path for label in labels]
    products = random_products(card, num=len(own))
    words = WordModel.fit([paths[node] for node in own], nodes=own)
    voices = Voices(
        nodes=nodes,
        counts=np.bincount(own, minlength=len(nodes)),
        head=HeadVoice(head=head, nodes=own.astype(np.int32)),
        words=words,
        words_without=words,
        neighbours=Neighbours.fit(products, labels=own, rows=np.arange(len(own)), seed=0),
        supplied=SuppliedCounts.fit(products.supplied, nodes=own),
        names=Names(paths=tuple(paths)),
        tower=None,
    )
    alone = {"head_log_proba": 1.0, "none": -20.0}
    weights = [[alone.get(name, 0.0) for name in PRIOR_WEIGHTS], *([0.0] * len(PRIOR_WEIGHTS) for _ in CONTEXTS)]
    return CategoryPredictor(
        voices=voices, model=ConditionalLogit(weights=np.array(weights)), least_known=(0.0,) * NUM_CONTEXTS
    )


def random_products(card: HeadCard, *, num: int) -> ProductSet:
    """Products with random vectors of the features of a head, and without texts."""
    vectors = np.random.default_rng(0).standard_normal((num, sum(card.dims))).astype(np.float16)
    columns = [*(raw_column(feature) for feature in TEXT_FEATURES), PARTNER]
    return ProductSet(
        features=card.features,
        dims=card.dims,
        vectors=vectors,
        present=np.ones((num, len(card.features)), np.bool_),
        supplied=pl.DataFrame({name: pl.Series([None] * num, dtype=pl.String) for name in columns}),
    )


def save_predictor(folder: Path, head: TrainedHead, *, answers_sha256: str = "") -> TrainedHead:
    """Write a head's folder with everything that `predictor_of` predicts with."""
    predictor = predictor_of(head)
    folder.mkdir(exist_ok=True)
    match predictor:
        case CategoryPredictor():
            fuser_sha256 = save_voices(folder, predictor)
        case BrandPredictor():
            fuser_sha256 = save_fuser(folder, predictor.fuser)
    return save_head(folder, head, fuser_sha256=fuser_sha256, answers_sha256=answers_sha256)


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
    return score(sets, out, predictors=predictors, config=config, device="cpu", answers=answers, since=since)


def answers_at(confidence: float, *, num: int = 400) -> Answers:
    """Out-of-fold answers that are right at and above a confidence, and wrong half of the time below."""
    shown = np.linspace(1, 0.01, num, dtype=np.float32)
    correct = (shown >= confidence) | (np.arange(num) % 2 == 0)
    return Answers(probabilities=shown[:, None], correct=correct[:, None], groups=np.arange(num, dtype=np.uint64))
