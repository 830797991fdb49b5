"""The features of a product, in their fixed order, and the column names that go with them."""

from typing import Literal, get_args

Feature = Literal["title", "description", "brand", "cat1", "cat2", "cat3", "image", "lexical", "text"]
"""What becomes one vector of a product: seven inputs through CLIP, the words of title and description, and the fields
that `[embed] text_template` joins, through a text encoder."""

ALL_FEATURES: tuple[Feature, ...] = get_args(Feature)
"""All features; shards and heads keep this order."""

FEATURES: tuple[Feature, ...] = ALL_FEATURES[:7]
"""The seven that go through CLIP, texts first."""

DERIVED: tuple[Feature, ...] = ALL_FEATURES[7:]
"""Vectors that are made of several fields; heads read them where there are any."""

LEXICAL_TEXTS: tuple[Feature, ...] = ("title", "description")
"""What the lexical vector is made of."""

TEXT_FEATURES: tuple[Feature, ...] = FEATURES[:-1]

BRAND_FEATURES: tuple[Feature, ...] = ("title", "description", "brand", "image")
"""The inputs of the brand path; the category path uses all seven."""

GOLD_LABELS = ("google_category_id", "brand_label")
"""Columns that hold the truth, where a catalog has them."""

CATALOG_COLUMNS = ("product_id", *FEATURES, *GOLD_LABELS)
"""The standard column names of a catalog."""

PARTNER = "partner"
"""Who sent a product: the value of the file's own column of this name, else the label of its file; null where the
catalog is one file without such a column."""

PRODUCT_COLUMNS = (*CATALOG_COLUMNS, PARTNER)
"""Everything that a catalog holds about a product."""


def raw_column(feature: Feature) -> str:
    """The shard column that holds what the partner sent for a text feature."""
    return f"raw_{feature}"


def error_column(feature: Feature) -> str:
    """The shard column that says why a vector is absent; null where the vector is present."""
    return f"{feature}_error"


def hash_column(feature: Feature) -> str:
    """The shard column with the content hash (16 bytes) of what was encoded; null where absent."""
    return f"{feature}_hash"
