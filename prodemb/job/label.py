"""Choosing products to label: those whose labels would help most, in a file that people fill in."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from prodemb.catalog.picture_cells import picture_cells
from prodemb.catalog.reader import open_catalog
from prodemb.catalog.urls import is_address
from prodemb.category.predict import CategoryPredictor
from prodemb.category.zero_shot import ZeroShot
from prodemb.core.arrays import NO_ANSWER, Floats, Indices
from prodemb.core.device import choose_device
from prodemb.core.errors import CatalogError, ConfigError, FingerprintError, ModelError, ShardError
from prodemb.core.features import PARTNER, Feature, raw_column
from prodemb.core.progress import Progress
from prodemb.core.text import counted
from prodemb.heads.labels import GOLD_COLUMNS
from prodemb.job.given_labels import labels_of, with_given_labels
from prodemb.job.pipeline import Pipeline
from prodemb.job.score import trained_heads
from prodemb.job.zero_shot import open_zero_shot
from prodemb.label.label_file import (
    COLUMNS,
    FILLED,
    LIKELY,
    LabelFile,
    check_label_out,
    read_label_file,
    write_label_file,
)
from prodemb.label.pick import pick
from prodemb.score.predictor import load_predictor
from prodemb.score.score import match_shard_sets
from prodemb.shards.product_set import ProductSet, read_products, supplied_values
from prodemb.shards.reader import ShardSet
from prodemb.storage.desk import file_to_read

logger = logging.getLogger(__name__)

_SUPPLIED: dict[Feature, str] = {
    "title": "title",
    "brand": "supplied_brand",
    "cat1": "cat1",
    "cat2": "cat2",
    "cat3": "cat3",
}
"""Features, and the columns that show what partners sent of them."""


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """What there is to label now."""

    out: Path
    num_picked: int
    num_kept: int
    """Rows that a person had written into, which stay."""
    num_replaced: int
    """Rows that nobody had, which other products replace."""
    num_unlabelled: int
    """Products without a category, those picked among them."""
    by: str | None
    """What the likeliest categories are by: a head's folder, or zero-shot; None where there are none."""
    is_by_head: bool
    """Whether products that a head is unsure of were preferred."""
    seconds: float


def label_shards(
    shards: Sequence[ShardSet],
    *,
    out: Path,
    category: Pipeline,
    progress: Progress,
    head: Path | None = None,
) -> LabelReport:
    """Write the products whose labels would help most to `out`, with the likeliest categories to choose from.

    Products that carry a category already are left out, whether it stands in the catalog, in `[train] labels` or in
    `out`, and so are those marked as ones that nobody can tell. Rows of an earlier `out` that a person has written into
    stay as they are, above the new ones, in its layout; the others are replaced.

    Args:
        shards: of one catalog.
        out: a .csv or .tsv file.
        category: says how many products are picked, what is labelled already, and where the pictures lie.
        head: the folder of the category head that says what is likely; by default the pipeline's own, if there is one,
            and else zero-shot.

    Raises:
        ConfigError: `out` has another suffix, or is a file of another kind, or one with rows that cannot be read.
        CatalogError: a file of labels cannot be read.
        HeadError: the head is damaged, or none of categories.
    """
    started = time.perf_counter()
    check_label_out(out)
    earlier = _earlier(out)
    answering, by, shard_set = _answering(shards, category=category, head=head, progress=progress)
    named = category.train.labels
    is_new = named is not None and file_to_read(named).absolute() == out.absolute() and earlier is None
    (labelled_set,) = with_given_labels([shard_set], pipelines=[] if is_new else [category])
    has_label = labelled_set.frame([GOLD_COLUMNS["category"]]).to_series().is_not_null().to_numpy()
    ids = shard_set.frame(["product_id"]).to_series()
    passed = pl.Series(dtype=pl.String)
    if named is not None and not is_new:
        passed = read_label_file(file_to_read(named)).not_told_ids
    kept = None
    if earlier is not None:
        has_label |= ids.is_in(labels_of([(category, earlier)]).frame["product_id"].implode()).to_numpy()
        there = np.flatnonzero(ids.is_in(earlier.rows["product_id"].drop_nulls().implode()).to_numpy())
        is_kept = earlier.is_touched(_supplied(shard_set, rows=there))
        kept = earlier.cells.filter(is_kept)
        passed = pl.concat([passed, earlier.rows["product_id"].filter(is_kept)])
    rows = np.flatnonzero(~has_label & ~ids.is_in(passed.drop_nulls().implode()).to_numpy())
    unsure = answering if isinstance(answering, CategoryPredictor) else None
    with progress("Choosing products") as on_progress:
        chosen = pick(
            shard_set,
            num_products=category.label.products,
            rows=rows,
            labelled=np.flatnonzero(has_label),
            seed=category.label.seed,
            confidences=None if unsure is None else lambda products: _confidences(unsure, products),
            features=() if unsure is None else unsure.card.features,
            on_progress=on_progress,
        )
    table = _to_label(shard_set, rows=chosen, answering=answering, category=category)
    write_label_file(out, table, kept=kept, layout=None if earlier is None else earlier.layout)
    num_kept = 0 if kept is None else kept.height
    return LabelReport(
        out=out,
        num_picked=len(chosen),
        num_kept=num_kept,
        num_replaced=0 if earlier is None else earlier.rows.height - num_kept,
        num_unlabelled=int((~has_label).sum()),
        by=by,
        is_by_head=unsure is not None,
        seconds=time.perf_counter() - started,
    )


def _earlier(out: Path) -> LabelFile | None:
    """The file that is to be replaced, if there is one and nothing can be lost."""
    if not out.exists():
        return None
    file = read_label_file(out)
    if not file.is_own:
        raise ConfigError(f"{out}: no file that `prodemb label` wrote, so it is not replaced; give another name")
    if file.num_skipped:
        rows = counted(file.num_skipped, "row")
        raise ConfigError(f"{out}: found {rows} that cannot be read, wanted none, since the file is written anew")
    return file


def _answering(
    shards: Sequence[ShardSet], *, category: Pipeline, head: Path | None, progress: Progress
) -> tuple[CategoryPredictor | ZeroShot | None, str | None, ShardSet]:
    """What says which categories are likely, its name, and the shard set that it reads."""
    folders = [head] if head else trained_heads([category])
    predictor: CategoryPredictor | ZeroShot
    if folders:
        loaded = load_predictor(folders[0])
        if not isinstance(loaded, CategoryPredictor):
            raise ConfigError(f"--head: found {folders[0]}, a head of brands; wanted one of categories")
        predictor, by = loaded.to(choose_device(category.embed.device)), str(folders[0])
    else:
        try:
            predictor, by = open_zero_shot(shards, pipeline=category, progress=progress), "zero-shot"
        except (FingerprintError, ModelError, ShardError) as error:
            logger.warning("%s; the likeliest categories are left empty", error)
            return None, None, shards[0]
    return predictor, by, match_shard_sets([predictor], shard_sets=shards)[0]


def _confidences(predictor: CategoryPredictor, products: ProductSet) -> Floats:
    return predictor.predict(products, k=1).probabilities[:, 0]


def _to_label(
    shard_set: ShardSet, *, rows: Indices, answering: CategoryPredictor | ZeroShot | None, category: Pipeline
) -> pl.DataFrame:
    """The columns of the file for the products at these rows, in their order."""
    ascending, place = np.unique(rows, return_inverse=True)
    table = _supplied(shard_set, rows=ascending)
    likely: list[list[str | None]] = [[None] * len(LIKELY)] * len(ascending)
    if answering is not None and len(ascending):
        products = read_products(shard_set, features=answering.card.features, rows=ascending)
        nodes = answering.predict(products, k=len(LIKELY)).nodes
        labels = answering.nodes.labels
        likely = [[f"{labels[n].id} - {labels[n].path}" if n != NO_ANSWER else None for n in row] for row in nodes]
    table = table.hstack(pl.DataFrame(likely, schema=dict.fromkeys(LIKELY, pl.String), orient="row"))
    shown = _pictures(table["product_id"].to_list(), category=category)
    table = table.with_columns(
        *(pl.lit(None, pl.String).alias(target) for target in FILLED),
        pl.Series("picture", [shown.get(each) for each in table["product_id"]], dtype=pl.String),
    )
    return table[place].select(COLUMNS)


def _supplied(shard_set: ShardSet, *, rows: Indices) -> pl.DataFrame:
    """`product_id` and the columns `SHOWN` of the products at these rows, ascending."""
    named = {raw_column(feature): name for feature, name in _SUPPLIED.items()}
    table = supplied_values(shard_set, ["product_id", PARTNER, *named], rows=rows)
    return table.cast(pl.String).rename(named | {PARTNER: "partner"})


def _pictures(product_ids: Sequence[str], *, category: Pipeline) -> Mapping[str, str]:
    """Where people find the pictures of products, a path or an address; nowhere if the catalog is gone.

    An address that holds a password is not shown, nor are pictures that stand in the catalog itself.
    """
    try:
        catalog = open_catalog(category.catalog)
        cells = picture_cells(product_ids, catalog=catalog)
    except CatalogError:
        return {}
    shown = {}
    for product_id, cell in cells.items():
        if isinstance(cell, str) and cell[:5].lower() != "data:" and "@" not in cell:
            shown[product_id] = cell if is_address(cell) else str(catalog.image_root / cell)
    return shown
