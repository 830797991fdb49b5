"""The evaluation of a head beside its baselines: what evaluating either target returns, and what the card holds."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field

from prodemb.confidence.promise import Promise
from prodemb.confidence.reliability import Reliability
from prodemb.core.config import Config
from prodemb.heads.metrics import Metrics


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
    ece: float | None = None
    """Expected calibration error of its confidence."""
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

    num_learned: int = 0
    """Labelled products that were learned from."""
    out_of_fold: float | None = None
    """Share of the out-of-fold answers that are right, of products that fine-tuning does not learn from either: the
    better of two heads by it is kept. None without answers."""
    num_out_of_fold: int = 0
    """How many answers that are."""
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


class BrandEvaluation(Evaluation):
    """The figures of a brand predictor."""

    target: Literal["brand"] = "brand"


PROMISED = (0.9, 0.95, 0.99)
"""Precisions of which the card says what can be promised."""
CERTAINTY = 0.9
