"""What tomorrow's catalog costs: 1 % of the products changed, against embedding everything.

    python tests/bench/incremental.py                               3,000 products of the sample, the bundled CLIP
    python tests/bench/incremental.py --catalog my.parquet --model openai/clip-vit-base-patch32 --share 0.02

Changed products are spread over the whole catalog, in equal parts: another title, another description, another picture
(other bytes at the same path, or in the same cell), new products in between, removed products. Before that every row's
price changes, which is no feature and should cost nothing. Each round embeds the catalog, updates that set to the
changed catalog, and embeds the changed catalog from nothing; medians are shown. The updated set is compared with that
one: the same rows, presence, errors and hashes, or the bench fails; and the worst cosine of two vectors of one
product.
"""

import argparse
import io
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from PIL import Image, ImageOps
from report import Failure, figure, options_parser, reporting, table

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.features import error_column, hash_column
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import EmbedReport, embed
from prodemb.sample.catalog import write_sample
from prodemb.shards.reader import open_shard_set
from prodemb.towers.checkpoint import BUNDLED

Run = Literal["full", "price changed", "update", "full, changed catalog"]
KINDS = ("title", "description", "picture", "added", "removed")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One run's seconds."""

    wall: float
    towers: float
    """In all threads."""
    decoding: float
    reading: float
    writing: float
    num_texts: int
    num_images: int


@dataclass(frozen=True, kw_only=True)
class Incremental:
    """What was measured."""

    num_products: int
    num_changed: int
    costs: dict[Run, Cost]
    """Medians."""
    tower_ratio: float
    """Of the update to the full run on the changed catalog."""
    wall_ratio: float
    changes: dict[str, object]
    same_rows: bool
    worst_cosine: float


def changed(frame: pl.DataFrame, *, share: float, folder: Path) -> tuple[pl.DataFrame, int]:
    """Tomorrow's catalog, and how many products changed; picture files are changed in place."""
    rng = np.random.default_rng(3)
    each = max(1, round(share * len(frame) / len(KINDS)))
    chosen = rng.choice(len(frame), size=each * len(KINDS), replace=False).reshape(len(KINDS), each)
    rows = dict(zip(KINDS, chosen, strict=True))
    frame = frame.with_row_index("row")

    def is_in(kind: str) -> pl.Expr:
        return pl.col("row").is_in(rows[kind].tolist())

    texts = [
        pl.when(is_in(name)).then(pl.concat_str(pl.col(name).fill_null(""), pl.lit(" new"))).otherwise(name).alias(name)
        for name in ("title", "description")
        if name in frame.columns
    ]
    if frame["image"].dtype == pl.Binary:
        cells = frame["image"].to_list()
        for row in rows["picture"].tolist():
            cells[row] = mirrored(cells[row])
        texts.append(pl.Series("image", cells, dtype=pl.Binary).alias("image"))  # type: ignore[arg-type]
    else:
        for row in rows["picture"].tolist():
            if (value := frame["image"][row]) is not None and (path := folder / value).is_file():
                path.write_bytes(mirrored(path.read_bytes()) or b"")
    new = frame.filter(is_in("added")).with_columns(
        product_id=pl.lit("new ") + pl.col("product_id"), title=pl.lit("New: ") + pl.col("title").fill_null("")
    )
    frame = pl.concat([frame.with_columns(texts), new]).sort("row", maintain_order=True).filter(~is_in("removed"))
    return frame.drop("row"), chosen.size


def mirrored(data: bytes | None) -> bytes | None:
    """Another picture."""
    if data is None:
        return None
    out = io.BytesIO()
    try:
        ImageOps.mirror(Image.open(io.BytesIO(data)).convert("RGB")).save(out, "JPEG", quality=90)
    except OSError:  # one of the broken ones
        return data + b" "
    return out.getvalue()


def lay_out(options: argparse.Namespace, folder: Path) -> Path:
    """A catalog that may be changed; pictures as files only where it is the generated one."""
    if options.catalog is None:
        return write_sample(folder, num_products=options.products, seed=5)
    folder.mkdir(parents=True)
    frame = pl.read_parquet(options.catalog, n_rows=options.limit)
    frame = frame if "image" in frame.columns else frame.with_columns(image=pl.lit(None, pl.String))
    if frame["image"].dtype != pl.Binary:
        root = Path(options.catalog).parent
        for value in frame["image"].drop_nulls().unique():
            (folder / value).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / value, folder / value)
    frame.write_parquet(folder / "catalog.parquet")
    return folder / "catalog.parquet"


def run(catalog: Path, out: Path, *, model: str) -> tuple[EmbedReport, Cost]:
    """Embed, with the time it took."""
    started = time.perf_counter()
    config = EmbedConfig(model=model, out=str(out))
    report = embed(config, catalog=open_catalog(CatalogConfig(path=str(catalog))), images=ImagesConfig())
    timings = report.timings
    return report, Cost(
        wall=time.perf_counter() - started,
        towers=timings.text_tower + timings.image_tower,
        decoding=timings.decoding,
        reading=timings.reading,
        writing=timings.writing,
        num_texts=timings.num_texts,
        num_images=timings.num_images,
    )


def compare(updated: Path, full: Path) -> tuple[bool, float]:
    """Whether both sets hold the same rows, presence, errors and hashes, and the worst cosine of two vectors."""
    one, other = open_shard_set(updated), open_shard_set(full)
    features = EmbedConfig().features
    columns = ["product_id", *(column(f) for f in features for column in (error_column, hash_column))]
    worst = 1.0
    for feature in features:
        there = other.present(feature)
        mine, theirs = (shards.vectors(feature)[there].astype(np.float32) for shards in (one, other))
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(theirs, axis=1)
        worst = min(worst, float(((mine * theirs).sum(axis=1) / lengths).min(initial=1.0)))
    return one.frame(columns).equals(other.frame(columns)), worst


def measure(options: argparse.Namespace, folder: Path) -> Incremental:
    """All rounds."""
    costs: dict[Run, list[Cost]] = {}
    run(lay_out(options, folder / "warm-up"), folder / "warm-up-shards", model=options.model)
    for number in range(options.repeat):
        catalog, sets = lay_out(options, folder / f"catalog-{number}"), [folder / f"{name}-{number}" for name in "ab"]
        frame = pl.read_parquet(catalog)
        costs.setdefault("full", []).append(run(catalog, sets[0], model=options.model)[1])
        frame.with_columns(price=pl.int_range(pl.len())).write_parquet(catalog)
        costs.setdefault("price changed", []).append(run(catalog, sets[0], model=options.model)[1])
        tomorrow, num_changed = changed(frame, share=options.share, folder=catalog.parent)
        tomorrow.write_parquet(catalog)
        report, cost = run(catalog, sets[0], model=options.model)
        costs.setdefault("update", []).append(cost)
        costs.setdefault("full, changed catalog", []).append(run(catalog, sets[1], model=options.model)[1])
    same_rows, worst_cosine = compare(*sets)
    assert report.manifest.changes is not None
    medians = {name: _median(found) for name, found in costs.items()}
    update, full = medians["update"], medians["full, changed catalog"]
    return Incremental(
        num_products=report.manifest.num_products,
        num_changed=num_changed,
        costs=medians,
        tower_ratio=update.towers / full.towers,
        wall_ratio=update.wall / full.wall,
        changes=report.manifest.changes.model_dump(),
        same_rows=same_rows,
        worst_cosine=worst_cosine,
    )


def _median(costs: list[Cost]) -> Cost:
    names = asdict(costs[0])
    return Cost(
        **{name: type(value)(statistics.median(asdict(c)[name] for c in costs)) for name, value in names.items()}
    )


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--catalog", help="a Parquet catalog with the standard columns [the generated sample]")
    parser.add_argument("--products", type=int, default=3000, help="of the sample [3000]")
    parser.add_argument("--limit", type=int, help="rows of --catalog [all]")
    parser.add_argument("--model", default=BUNDLED, help="[bundled]")
    parser.add_argument("--share", type=float, default=0.01, help="of the products that change [0.01]")
    parser.add_argument("--repeat", type=int, default=3, help="rounds [3]")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        found = report.attempt("update", lambda: measure(options, Path(folder)))
        if isinstance(found, Failure):
            return
        if not found.same_rows:
            report.fail("update", "its rows, errors or hashes differ from those of a full run on the changed catalog")
        columns = ("seconds", "wall", "towers", "decoding", "reading", "writing", "texts", "pictures")
        changes = ", ".join(f"{name} {value}" for name, value in found.changes.items())
        report.add(
            f"{found.num_products:,} products, {found.num_changed:,} changed: {changes}\n\n"
            f"{table(columns, found.costs, cells=_cells)}\n\n"
            f"update to full run: towers {found.tower_ratio:.2%}, wall {found.wall_ratio:.1%}; "
            f"worst cosine {found.worst_cosine:.6f}",
            **asdict(found),
        )


def _cells(cost: Cost) -> list[str]:
    seconds = (cost.wall, cost.towers, cost.decoding, cost.reading, cost.writing)
    return [*(figure(value) for value in seconds), f"{cost.num_texts:,}", f"{cost.num_images:,}"]


if __name__ == "__main__":
    main()
