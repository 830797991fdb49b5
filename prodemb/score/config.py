"""The settings of scoring."""

from typing import Any

from pydantic import Field

from prodemb.core.config import Config
from prodemb.workers.config import Engine, RayAddress


class ScoreConfig(Config):
    """`[score]`: what the predictions hold."""

    out: str = "out.parquet"
    """Where `prodemb run` writes the predictions: a file that ends in `.parquet`, or a folder of several; of this
    machine or in a bucket."""
    top: int = Field(default=5, ge=1)
    """Predictions listed in `category_top` and `brand_top`."""
    min_brand_confidence: float = Field(default=0.5, ge=0, le=1)
    """A brand with a lower confidence is UNKNOWN; `brand_top` keeps it."""
    precision: float | None = Field(default=None, gt=0, lt=1)
    """Share of the answers that is promised to be right, of categories and of brands: a doubtful category is answered
    with a node above it, or with none, a doubtful brand is UNKNOWN. None to promise nothing and answer all."""
    certainty: float = Field(default=0.9, gt=0, lt=1)
    """The probability that the promise holds (`prodemb.confidence.promise`)."""
    keep_gold: bool = True
    """Whether a product that carries a gold label is answered with it, whatever the heads say."""
    engine: Engine = "local"
    """`local`: this machine. `ray`: the machines of a Ray cluster, into a folder."""
    ray_address: RayAddress | None = None
    """Of the cluster's head, as in `[embed]`."""
    workers: int | None = Field(default=None, ge=1)
    """Processes that score side by side into a folder; by default this one alone. On a Ray cluster: by default one per
    GPU, and without any one per machine."""
    max_rows_per_file: int = Field(default=1_000_000, ge=1)
    """Products in a file of a folder at most, in whole shards: what a worker that dies costs, and what several workers
    share out."""

    @property
    def inputs(self) -> dict[str, Any]:
        """The settings that decide what the predictions say, as JSON."""
        return self.model_dump(mode="json", exclude={"out", "engine", "ray_address", "workers", "max_rows_per_file"})
