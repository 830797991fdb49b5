"""How far the vectors of shards made in bfloat16 are from those made in float32.

python tests/bench/precision.py                         64 products of the sample, the bundled CLIP
python tests/bench/precision.py --model vit-b-32 --catalog my.parquet --limit 100
"""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from products import SHAPES, catalog_path, lay_out, make_checkpoint
from report import Failure, figure, options_parser, reporting, table
from rows import Job, embed

from prodemb.core.features import Feature, hash_column
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.towers.checkpoint import BUNDLED, find_checkpoint


@dataclass(frozen=True, kw_only=True)
class PrecisionFigures:
    """The cosine of bfloat16 vectors with float32 vectors of the same contents."""

    num_contents: int
    """Distinct texts or pictures."""
    mean_cosine: float
    worst_cosine: float


def measure_precision(job: Job, *, products: Path) -> dict[str, PrecisionFigures]:
    """By tower: `products` embedded in float32 and in bfloat16, the vectors in the shards compared."""
    exact = _embedded(job, products=products, dtype="float32")
    rough = _embedded(job, products=products, dtype="bfloat16")
    towers: dict[str, list[Feature]] = {
        "text": [feature for feature in exact.schema.features if feature != "image"],
        "image": [feature for feature in exact.schema.features if feature == "image"],
    }
    figures = {}
    for tower, features in towers.items():
        cosines: dict[bytes, float] = {}
        for feature in features:
            cosines |= _cosines(exact, rough, feature=feature)
        if cosines:
            values = list(cosines.values())
            figures[tower] = PrecisionFigures(
                num_contents=len(values), mean_cosine=float(np.mean(values)), worst_cosine=float(np.min(values))
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


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--model", default=BUNDLED, help=f"{BUNDLED}, {', '.join(SHAPES)}, a folder or a hub id")
    parser.add_argument("--catalog", help="a catalog with the standard column names [a generated sample]")
    parser.add_argument("--limit", type=int, default=64, help="its first products [64]")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as temporary:
        folder = Path(temporary)
        model = make_checkpoint(options.model, folder=folder / "checkpoint")
        path = catalog_path(options.catalog, folder=folder, num_products=options.limit)
        products = lay_out(path, folder=folder / "products", limit=options.limit, text_only=False)
        job = Job(
            row="embed",
            model=model,
            model_folder=str(find_checkpoint(model).folder),
            device=options.device,
            dtype="float32",
            features=products.features,
            products=str(products.folder),
            few=str(products.folder),
            out=str(folder / "out"),
        )
        found = report.attempt("precision", lambda: measure_precision(job, products=products.folder))
        towers: dict[str, PrecisionFigures | Failure] = (
            {"precision": found} if isinstance(found, Failure) else {**found}
        )
        columns = ["bfloat16 to float32", "contents", "cosine", "worst"]
        report.add(table(columns, towers, cells=_cells), towers=towers)


def _cells(tower: PrecisionFigures) -> list[str]:
    cosines = (figure(cosine, digits=6) for cosine in (tower.mean_cosine, tower.worst_cosine))
    return [f"{tower.num_contents:,}", *cosines]


if __name__ == "__main__":
    main()
