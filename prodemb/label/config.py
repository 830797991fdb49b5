"""The settings of choosing products to label."""

from pydantic import Field

from prodemb.core.config import Config

MAX_PRODUCTS = 5_000
"""The most that may be asked for: similarities of twice as many groups are in memory."""


class LabelConfig(Config):
    """`[label]`: how many products people are given to label."""

    products: int = Field(default=200, ge=1, le=MAX_PRODUCTS)
    """How many are picked at once."""
    seed: int = Field(default=0, ge=0)
    """Of the choice: the same products, settings and seed give the same file."""
