"""The settings of the canonicaliser, `[brands]`."""

from pydantic import Field

from prodemb.core.config import Config


class BrandsConfig(Config):
    """How supplied brand strings become canonical brands."""

    aliases: str = "aliases.csv"
    """The alias file: CSV, or Parquet by its suffix."""

    examples: int = Field(default=32, ge=0)
    """Products kept per supplied string, as evidence for merges."""

    min_count: int = Field(default=3, ge=1)
    """Products that a name needs before other names may be merged into it."""

    min_count_ratio: float = Field(default=5.0, ge=1.0)
    """Products of the parent per product of a name that are needed where the titles do not decide."""

    short_name: int = Field(default=4, ge=1)
    """Names of at most this many letters are never merged as typos on their spelling alone."""

    min_name_length: int = Field(default=7, ge=1)
    """Letters that both names need for a typo that the titles neither confirm nor contradict."""

    typo_similarity: float = Field(default=0.8, ge=0.0, le=1.0)
    """Least similarity (1 minus edits per letter) of a typo that the titles neither confirm nor contradict."""

    confirmed_similarity: float = Field(default=0.65, ge=0.0, le=1.0)
    """Least similarity of a typo where the titles name the other brand."""

    min_overlap: float = Field(default=0.5, ge=0.0, le=1.0)
    """Least share of a name's products of kinds that its parent has too."""

    neighbours: int = Field(default=8, ge=1)
    """Similarly spelled names that are compared with each name."""

    common_word: float = Field(default=0.01, gt=0.0, le=1.0)
    """Share of all brands whose titles contain a word for it to be a common word, which names no brand."""
