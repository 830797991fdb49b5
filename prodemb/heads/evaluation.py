"""The evaluation of a head beside its baselines: what evaluating either target returns, and what the card holds."""

from typing import Literal

from pydantic import Field

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


class BackOff(Config):
    """The effect of answering with the deepest node above the best class that is probable enough."""

    threshold: float
    """The least probability of a node that is answered."""
    precision: float | None
    """Share of the answers that are the truth or a node above it; None where there is no answer."""
    coverage: float
    """Share of products for which any node is probable enough."""
    level: float | None
    """Mean number of names in the answers' paths."""


class ByTau(Config):
    """The effect of logit adjustment of one strength."""

    tau: float
    top1: float
    macro_f1: float


class Evaluation(Config):
    """What both targets report."""

    baselines: tuple[BaselineResult, ...] = ()
    """Simple methods on the test products whose class the head has."""
    conditions: tuple[Condition, ...] = ()
    """All methods side by side on all test products whose truth is known, whether the head has their class or not."""


class CategoryEvaluation(Evaluation):
    """The figures of a category head."""

    target: Literal["category"] = "category"
    nodes: Metrics | None = None
    """On all test products, against the nodes they are labelled with, rolled up or not; None where there are none."""
    by_tau: tuple[ByTau, ...] = ()
    """The same with some strengths of logit adjustment."""
    back_off: tuple[BackOff, ...] = ()
    """Back-off on the validation part, by threshold; scoring chooses a threshold from these."""
    back_off_test: tuple[BackOff, ...] = ()
    """The same thresholds on the test part."""
    tau: float = 0.0
    """The strength of logit adjustment that `back_off` was measured with."""


class BrandEvaluation(Evaluation):
    """The figures of a brand head and of the brands predicted from supplied brand, title and head together."""

    target: Literal["brand"] = "brand"
    fused: Metrics | None = None
    """Of the fused prediction on all test products; None where there are none."""
    fused_known: Metrics | None = None
    """The same on the test products whose class the head has, as the card's `metrics`."""
