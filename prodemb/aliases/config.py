"""The settings of the canonicaliser, the TOML table [brands]."""

from pydantic import Field

from prodemb.core.config import Config


class BrandsConfig(Config):
    """How supplied brand strings become canonical brands."""

    aliases: str = "aliases.csv"
    """The alias file: CSV, or Parquet by its suffix."""

    examples: int = Field(default=32, ge=0)
    """Products of each supplied string that are kept as evidence."""

    established: int = Field(default=3, ge=1)
    """Products that a name needs before other names may join it."""

    asymmetry: float = Field(default=5.0, ge=1.0)
    """How many times the products of a name its parent must have where the titles do not decide."""

    short_name: int = Field(default=4, ge=1)
    """Names of at most this many letters are never taken for typos on their spelling alone."""

    silent_name: int = Field(default=7, ge=1)
    """Least letters of both names for a typo that the titles neither confirm nor deny."""

    typo_similarity: float = Field(default=0.8, ge=0.0, le=1.0)
    """Least similarity (1 minus edits a letter) of a typo that the titles neither confirm nor deny."""

    confirmed_similarity: float = Field(default=0.65, ge=0.0, le=1.0)
    """Least similarity of a typo where the titles name the other brand."""

    alike: float = Field(default=0.5, ge=0.0, le=1.0)
    """Least share of a name's products that are of kinds its parent has too."""

    neighbours: int = Field(default=8, ge=1)
    """Names written alike that are looked at for each name."""

    common_word: float = Field(default=0.01, gt=0.0, le=1.0)
    """Share of all brands in whose titles a word must stand to be a common word, which names no brand."""
