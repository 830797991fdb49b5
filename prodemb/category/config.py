"""The settings of the voices for categories, and of what weighs them."""

from pydantic import Field

from prodemb.core.config import Config


class VoicesConfig(Config):
    """`[voices]`: what a category is predicted from besides the head, and how all of it is weighed.

    The weights are learned from out-of-fold answers in several conditions. `no_categories` to `foreign` say how much
    the products of the other conditions count, relative to those as supplied: what the next partner is expected to
    send.
    """

    no_categories: float = Field(default=0.5, ge=0)
    """Weight of the products without cat1-3."""
    wrong_categories: float = Field(default=0.05, ge=0)
    """Weight of the products with cat1-3 of a product of another category."""
    no_picture: float = Field(default=0.25, ge=0)
    """Weight of the products without their picture."""
    alone: float = Field(default=0.25, ge=0)
    """Weight of the products with title and description alone, the title alone, and the picture alone."""
    foreign: float = Field(default=0.1, ge=0)
    """Weight of the products judged as if nothing of their top-level branch were labelled."""
    l2: float = Field(default=1.0, gt=0)
    """How strongly the weights are drawn to the built-in ones; more for few products."""
    new_partners: int = Field(default=3, ge=0)
    """Partners that are left out of training, one at a time, to measure how well those of the next one are judged: the
    largest ones; each takes one training."""
    max_answers: int = Field(default=10_000, ge=1)
    """Out-of-fold answers that weights and thresholds are learned from at most, a random sample."""
    max_products: int = Field(default=50_000, ge=1)
    """Labelled products that neighbours and words learn from at most, about as many of each category."""
    max_cost: float = Field(default=1e9, gt=0)
    """Classes times words in all texts that the words learn from at most; 1e9 took about 40 seconds."""
    seed: int = 0
    """Seed of all random choices."""
