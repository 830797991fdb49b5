"""The evaluation of a head beside its baselines: what evaluating either target returns, and what the card holds."""

import math
from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field

from prodemb.confidence.promise import Promise
from prodemb.confidence.reliability import Calibration, Reliability
from prodemb.core.config import Config
from prodemb.heads.metrics import Metrics

HEAD, FUSED = "head alone", "prodemb"
"""The names of the methods that are prodemb's own."""


class BaselineResult(Config):
    """One simple method on the same split and the same test products as the head."""

    name: str
    metrics: Metrics | None
    """None where the method was left out."""
    seconds: float
    note: str | None = None
    """Why it was left out, or what was made smaller for it."""


class Condition(Config):
    """Several methods on the test products as they are, on some of them, or with some of their features removed."""

    group: str | None = None
    """What the products were grouped by, where these are some of those of the condition before."""
    name: str
    num_products: int
    top1: dict[str, float]
    """By method: the share of products whose first prediction is the truth."""
    coverage: float | None = None
    """Share of products whose last method is confident enough to answer; None where it always answers."""
    precision: float | None = None
    """Share of those whose answer is the truth; None where it answers none."""
    calibration: Calibration | None = None
    """How far its confidence is off."""
    macro_f1: dict[str, float] = Field(default={})
    """For categories, by method, as the next."""
    tree_f1: dict[str, float] = Field(default={})
    """The hierarchical F1 of the first prediction."""


class Promised(Config):
    """A precision that the out-of-fold answers promise, and what came of it on the test products."""

    promise: Promise
    coverage: float = 0.0
    """Share of the test products that are answered."""
    kept: float | None = None
    """Share of those answers that are right; None where there is none."""
    level: float | None = None
    """For categories: the mean number of names in the answers' paths."""


class Evaluation(Config):
    """What both targets report, measured without the test part in anything that was learned."""

    own_split: bool = False
    """Whether the catalog itself says which products are the test part (`[catalog] split`)."""
    num_variants: int = 0
    """Products of the test part that are variants of one that was learned from; only an own split has any."""
    num_learned: int = 0
    """Labelled products that were learned from."""
    out_of_fold: float | None = None
    """Share of the out-of-fold answers that are right, of products that fine-tuning does not learn from either: the
    better of two heads by it is kept. None without answers."""
    num_out_of_fold: int = 0
    """How many answers that are."""
    out_of_fold_conditions: tuple[Condition, ...] = ()
    """All out-of-fold answers by condition, and as supplied by how many products of the class were learned from: many
    more than there are test products, by which calibration can be told from chance."""
    methods: tuple[BaselineResult, ...] = ()
    """The baselines, then the head alone, then everything together, on all test products whose truth is known."""
    conditions: tuple[Condition, ...] = ()
    """All methods side by side on all test products whose truth is known, whether the head has their class or not."""
    reliability: Reliability | None = None
    """Confidence beside accuracy on these, as supplied."""
    promised: tuple[Promised, ...] = ()

    def with_conditions(self, more: Iterable[Condition]) -> Self:
        """The same with further conditions behind its own."""
        return self.model_copy(update={"conditions": (*self.conditions, *more)})


class CategoryEvaluation(Evaluation):
    """The figures of a category predictor."""

    target: Literal["category"] = "category"
    learned_by: dict[str, int] = Field(default={})
    """How many of the products that were learned from each voice learned from that looks at a sample of them, bounded
    by `[voices]` `max_products` and `max_cost`."""


class BrandEvaluation(Evaluation):
    """The figures of a brand predictor."""

    target: Literal["brand"] = "brand"


def is_better(tuned: Evaluation | None, published: Evaluation | None) -> bool:
    """Whether a head on the fine-tuned CLIP is better than one on CLIP as published, out of fold.

    By more than a standard error: fine-tuning has chosen its weights by the same products, and its heads of the folds
    have learned from more of them. Where nothing is known of the latter, the fine-tuned one is.
    """
    if published is None or published.out_of_fold is None:
        return True
    if tuned is None or tuned.out_of_fold is None:
        return False
    shares = ((each.out_of_fold or 0.0, each.num_out_of_fold) for each in (tuned, published))
    error = math.sqrt(sum(share * (1 - share) / max(1, num) for share, num in shares))
    return tuned.out_of_fold - published.out_of_fold > error


PROMISED = (0.9, 0.95, 0.99)
"""Precisions of which the card says what can be promised."""
CERTAINTY = 0.9
