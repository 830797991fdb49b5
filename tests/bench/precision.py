"""How far vectors made in bfloat16 are from those made in float32."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rows import Job, embed

from prodemb.core.features import Feature, hash_column
from prodemb.shards.reader import ShardSet, open_shard_set


@dataclass(frozen=True, kw_only=True)
class PrecisionFigures:
    """The cosine of bfloat16 vectors with float32 vectors of the same contents."""

    tower: str
    num_contents: int
    """Distinct texts or pictures."""
    mean_cosine: float
    worst_cosine: float


def measure_precision(job: Job, *, products: Path) -> list[PrecisionFigures]:
    """Embed `products` in float32 and in bfloat16, and compare what stands in the shards."""
    exact = _embedded(job, products=products, dtype="float32")
    rough = _embedded(job, products=products, dtype="bfloat16")
    towers = {
        "text": [feature for feature in exact.schema.features if feature != "image"],
        "image": [feature for feature in exact.schema.features if feature == "image"],
    }
    figures = []
    for tower, features in towers.items():
        cosines: dict[bytes, float] = {}
        for feature in features:
            cosines |= _cosines(exact, rough, feature=feature)
        if cosines:
            values = list(cosines.values())
            figures.append(
                PrecisionFigures(
                    tower=tower,
                    num_contents=len(values),
                    mean_cosine=float(np.mean(values)),
                    worst_cosine=float(np.min(values)),
                )
            )
    return figures


def _embedded(job: Job, *, products: Path, dtype: str) -> ShardSet:
    out = Path(job.out) / dtype
    shutil.rmtree(out, ignore_errors=True)
    embed(replace(job, dtype=dtype, out=str(out)))(products)()
    return open_shard_set(out / "shards")


def _cosines(exact: ShardSet, rough: ShardSet, *, feature: Feature) -> dict[bytes, float]:
    """By content hash, of the products that have the feature."""
    hashes = exact.frame([hash_column(feature)]).to_series().to_list()
    one, other = (shards.vectors(feature).astype(np.float64) for shards in (exact, rough))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = (one * other).sum(1) / np.maximum(lengths, 1e-12)
    return {key: float(cosine) for key, cosine in zip(hashes, cosines, strict=True) if key is not None}
