"""What came out: the answers as a tree of categories, as brands, and by what decided them."""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from prodemb.aliases.junk import UNBRANDED, UNKNOWN
from prodemb.core.errors import ConfigError
from prodemb.core.text import one_line
from prodemb.heads.labels import Target
from prodemb.report.summary import BrandCount, Confusion, Node, Outcome, TargetOutcome
from prodemb.score.diff import CHANGE
from prodemb.score.folder import prediction_files
from prodemb.score.gold import GOLD
from prodemb.score.predictions import is_predictions

MAX_NODES = 2_000
"""Categories that are listed, the largest first."""
MAX_BRANDS = 300
MAX_CONFUSIONS = 25
BANDS = (0.99, 0.95, 0.9, 0.7, 0.5)
"""The lower bounds of the bands of confidence, but the last one's."""
SEPARATOR = " > "


def read_predictions(path: Path) -> pl.DataFrame:
    """The answers of all products, in catalog order, with the first entries of the two rankings.

    Returns:
        The columns `product_id` and `partner`; `category`, `category_confidence`, `category_source`, `category_first`
        and `category_first_confidence`, and the same for `brand`, which is null where it is UNKNOWN.

    Raises:
        ConfigError: `path`, a file or a folder, holds no predictions of all products.
    """
    files = prediction_files(path)
    if not all(map(is_predictions, files)):
        raise ConfigError(f"{path}: holds no predictions; wanted what `prodemb score` writes")
    category, brand = (pl.col(f"{target}_top").list.get(0, null_on_oob=True) for target in ("category", "brand"))
    try:
        rows = pl.scan_parquet([*files])
        if CHANGE in rows.collect_schema():
            raise ConfigError(f"{path}: holds changes alone; wanted predictions of all products")
        return rows.select(
            "product_id",
            "partner",
            "category_confidence",
            "category_source",
            "brand_confidence",
            "brand_source",
            category=pl.col("category_path"),
            category_first=category.struct.field("path"),
            category_first_confidence=category.struct.field("probability"),
            brand=pl.col("brand").replace({UNKNOWN: None}),
            brand_first=brand.struct.field("name"),
            brand_first_confidence=brand.struct.field("probability"),
        ).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"{path}: damaged: {one_line(error)}; score again") from None


def outcome(predictions: pl.DataFrame, *, path: Path, targets: tuple[Target, ...]) -> Outcome:
    """What came out.

    Args:
        predictions: as `prodemb.report.labels.with_labels` returns them.
        path: their file or folder.
        targets: those that were answered.
    """
    tree, num_categories, num_left_out = _tree(predictions)
    brands = predictions.drop_nulls("brand").filter(pl.col("brand") != UNBRANDED)
    counts = _counts(brands, "brand")
    return Outcome(
        predictions=str(path),
        num_products=len(predictions),
        targets=tuple(_target(predictions, target) for target in targets),
        tree=tree,
        num_categories=num_categories,
        num_categories_left_out=num_left_out,
        brands=tuple(
            BrandCount(name=name, num_products=count, confidence=confidence)
            for name, count, confidence, _ in counts.head(MAX_BRANDS).iter_rows()
        ),
        num_brands=len(counts),
        num_unbranded=int((predictions["brand"] == UNBRANDED).sum()),
        confusions=tuple(sorted(_confusions(predictions, targets), key=lambda each: -each.num_products)),
    )


def _target(predictions: pl.DataFrame, target: Target) -> TargetOutcome:
    answered = predictions.drop_nulls(target)
    sources = answered[f"{target}_source"].drop_nulls().value_counts(sort=True)
    predicted = answered.filter(pl.col(f"{target}_source").ne_missing(GOLD))
    confidence = predicted[f"{target}_confidence"].drop_nulls()
    bands, rest = {}, len(confidence)
    for bound in BANDS:
        # Confidences are float32: 0.9 among them is less than the float64 of that name.
        left = int((confidence < pl.Series([bound], dtype=pl.Float32)).sum())
        bands[f"{bound:.2f} and more"] = rest - left
        rest = left
    bands[f"below {BANDS[-1]:.2f}"] = rest
    return TargetOutcome(
        target=target,
        num_answered=len(answered),
        num_unanswered=len(predictions) - len(answered),
        sources=dict(sources.iter_rows()),
        bands=bands if len(confidence) else {},
    )


def _counts(rows: pl.DataFrame, target: Target) -> pl.DataFrame:
    """Distinct answers, the most frequent first: `num` products, the `mean` confidence `of` so many without gold."""
    predicted = pl.col(f"{target}_source").ne_missing(GOLD)
    given = pl.col(f"{target}_confidence").cast(pl.Float64).filter(predicted)
    counts = rows.group_by(target).agg(pl.len().alias("num"), given.mean().alias("mean"), given.count().alias("of"))
    return counts.sort("num", target, descending=[True, False])


@dataclass(kw_only=True)
class _Count:
    """A category while the tree is made."""

    num: int = 0
    num_own: int = 0
    sum: float = 0.0
    num_confident: int = 0
    children: dict[str, "_Count"] = field(default_factory=dict)

    def add(self, num: int, *, mean: float | None, of: int) -> None:
        """Count products, some of them with a mean confidence."""
        self.num += num
        self.sum += of * (mean or 0.0)
        self.num_confident += of


def _tree(predictions: pl.DataFrame) -> tuple[tuple[Node, ...], int, int]:
    """The categories from the top down, how many answers there are, and how many categories are not listed."""
    counts = _counts(predictions.drop_nulls("category"), "category")
    root = _Count()
    sizes: list[int] = []
    for path, num, mean, of in counts.iter_rows():
        at = root
        for name in path.split(SEPARATOR):
            at = at.children.setdefault(name, _Count())
            at.add(num, mean=mean, of=of)
        at.num_own += num
    waiting = [root]
    for count in waiting:
        waiting += count.children.values()
        sizes += [child.num for child in count.children.values()]
    least = sorted(sizes, reverse=True)[MAX_NODES] + 1 if len(sizes) > MAX_NODES else 0
    return _nodes(root, least=least), len(counts), sum(size < least for size in sizes)


def _nodes(count: _Count, *, least: int) -> tuple[Node, ...]:
    """The categories right below one, the largest first; only those with at least so many products."""
    kept = [(name, child) for name, child in count.children.items() if child.num >= least]
    return tuple(
        Node(
            name=name,
            num_products=child.num,
            num_own=child.num_own,
            confidence=child.sum / child.num_confident if child.num_confident else None,
            children=_nodes(child, least=least),
            num_left_out=sum(below.num < least for below in child.children.values()),
        )
        for name, child in sorted(kept, key=lambda pair: (-pair[1].num, pair[0]))
    )


def _confusions(predictions: pl.DataFrame, targets: tuple[Target, ...]) -> list[Confusion]:
    """Labels that a head contradicts in the same way most often, of each target."""
    found: list[Confusion] = []
    for target in targets:
        keys = [f"{target}_label", f"{target}_first"]
        wrong = predictions.filter(pl.col(keys[0]) != pl.col(keys[1]))
        pairs = wrong.group_by(keys).len().sort("len", *keys, descending=[True, False, False])
        found += [
            Confusion(target=target, label=label, answer=answer, num_products=count)
            for label, answer, count in pairs.head(MAX_CONFUSIONS).iter_rows()
        ]
    return found
