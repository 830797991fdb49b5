"""How a feed differs from the products that heads were trained on, as far as that makes answers worse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from prodemb.core.features import ALL_FEATURES, Feature
from prodemb.heads.head import HeadCard
from prodemb.score.folder import prediction_files
from prodemb.shards.format import Manifest


@dataclass(frozen=True, kw_only=True)
class FeedComparison:
    """Shares of a feed's products, beside those of the labelled products that a head learned from."""

    unknown_brands: float | None
    """Of those that are answered with a brand, the share whose brand is no label and not in the alias file; None
    without a brand head, or where no brand is answered."""
    unknown_categories: float | None
    """The share of products unlike those of all labelled categories; None without a category head, or where nothing is
    known of any product."""
    empty: Mapping[Feature, tuple[float, float | None]]
    """By feature that a head reads: the share of the feed's products without a vector of it, and that of the labelled
    products; None where the head's card does not say."""


def compare_feed(predictions: Path, *, manifests: Mapping[str, Manifest], cards: Sequence[HeadCard]) -> FeedComparison:
    """Hold a feed against what heads were trained on.

    Args:
        predictions: of the feed, a file or a folder.
        manifests: of its shard sets, by the fingerprint of the model.
        cards: of the heads.
    """
    frame = pl.scan_parquet([*prediction_files(predictions)])
    answered = pl.col("brand_confidence").is_not_null()
    brands, categories = (
        frame.select(
            (~pl.col("brand_known")).filter(answered).mean(), (~pl.col("category_known")).mean().alias("categories")
        )
        .collect()
        .row(0)
    )
    empty: dict[Feature, tuple[float, float | None]] = {}
    for card in cards:
        manifest = manifests[card.fingerprint]
        null_counts = manifest.null_counts()
        for index, feature in enumerate(card.features):
            share = sum(null_counts.get(feature, {}).values()) / max(1, manifest.num_products)
            present = card.present_counts[index] / max(1, card.num_train) if card.present_counts else None
            empty.setdefault(feature, (share, None if present is None else 1 - present))
    in_order = {feature: empty[feature] for feature in ALL_FEATURES if feature in empty}
    return FeedComparison(unknown_brands=brands, unknown_categories=categories, empty=in_order)
