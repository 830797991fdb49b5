"""The labels that pipelines read from files of their own, beside the catalog: `[train] labels`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from prodemb.aliases.normalise import normalise_brand
from prodemb.core.features import GOLD_LABELS
from prodemb.core.text import counted, some_of
from prodemb.heads.labels import GOLD_COLUMNS, Target
from prodemb.job.pipeline import Pipeline
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.label.label_file import LabelFile, Meaning, meanings, read_label_file
from prodemb.shards.labels import GivenLabels
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.storage.desk import file_to_read
from prodemb.taxonomy.taxonomy import Taxonomy

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LabelsRead:
    """What a label file gave for one target."""

    path: Path
    num_labels: int
    """Products of the shards that have one in it which stands for something."""
    num_changed: int
    """Those of them that have another one in the shards."""


def given_labels(pipelines: Sequence[Pipeline]) -> GivenLabels | None:
    """The labels of the pipelines' label files, those of each target from its own; None where none names a file.

    Raises:
        CatalogError: a file is missing, or no label file.
    """
    named = {pipeline.target: pipeline for pipeline in pipelines if pipeline.train.labels}
    if not named:
        return None
    paths = {str(pipeline.train.labels) for pipeline in named.values()}
    files = {path: read_label_file(file_to_read(path)) for path in paths}
    return labels_of([(pipeline, files[str(pipeline.train.labels)]) for pipeline in named.values()])


def labels_of(files: Sequence[tuple[Pipeline, LabelFile]]) -> GivenLabels:
    """The labels of files.

    Args:
        files: for each target a pipeline, and the file that holds its labels.
    """
    frame = pl.DataFrame(schema={"product_id": pl.String})
    for pipeline, file in files:
        labels = file.labels_of(pipeline.target, meaning=meaning_of(pipeline))
        labels = labels.rename({"label": GOLD_COLUMNS[pipeline.target]})
        frame = frame.join(labels, on="product_id", how="full", coalesce=True, maintain_order="left_right")
    missing = [pl.lit(None, pl.String).alias(name) for name in GOLD_LABELS if name not in frame.columns]
    source = " and ".join(dict.fromkeys(str(file.path) for _, file in files))
    return GivenLabels(frame=frame.with_columns(missing).select("product_id", *GOLD_LABELS), source=source)


def meaning_of(pipeline: Pipeline) -> Meaning:
    """What labels of a pipeline's target stand for: the id of a node of its taxonomy, or the key of a brand."""
    if pipeline.target == "brand":
        return lambda name: normalise_brand(name) or name

    @cache
    def taxonomy() -> Taxonomy:  # read where it is asked for, since scoring need not have it
        return pipeline_taxonomy(pipeline)[0]

    def node_of(label: str) -> str | None:
        node = taxonomy().trace(label).node
        return None if node is None else str(node)

    return node_of


def with_given_labels(shard_sets: Sequence[ShardSet], *, pipelines: Sequence[Pipeline]) -> list[ShardSet]:
    """Shard sets with the labels of the pipelines' label files in place of their own. Raises as `given_labels`."""
    labels = given_labels(pipelines)
    return [shard_set.with_labels(labels) for shard_set in shard_sets]


def open_labelled(shards: Path, *, pipeline: Pipeline) -> tuple[ShardSet, LabelsRead | None]:
    """Open the shard set that a pipeline trains on, with the labels of its label file, which are counted.

    What of the file is no label of a product is logged, one line a kind.

    Raises:
        ShardError: as `open_shard_set`.
        CatalogError: as `given_labels`.
        TaxonomyError: there are categories, and the pipeline's taxonomy cannot be read.
    """
    shard_set = open_shard_set(shards)
    if pipeline.train.labels is None:
        return shard_set, None
    file, column = read_label_file(file_to_read(pipeline.train.labels)), GOLD_COLUMNS[pipeline.target]
    labels, meaning = labels_of([(pipeline, file)]), meaning_of(pipeline)
    given = labels.frame.select("product_id", given=column).drop_nulls()
    own = shard_set.frame(["product_id", column]).join(given, on="product_id")
    own = own.with_columns(meant=meanings(own["given"], of=meaning), before=meanings(own[column], of=meaning))
    known = own.filter(pl.col("meant").is_not_null())
    changed = known.filter(pl.col(column).is_not_null() & pl.col("meant").ne_missing(pl.col("before")))
    _tell(
        file,
        target=pipeline.target,
        apart=file.contradicting(pipeline.target, meaning=meaning),
        missing=given.join(own, on="product_id", how="anti")["product_id"],
        shards=shards,
    )
    read = LabelsRead(path=file.path, num_labels=known.height, num_changed=changed.height)
    return shard_set.with_labels(labels), read


def _tell(file: LabelFile, *, target: Target, apart: list[str], missing: pl.Series, shards: Path) -> None:
    """Log what of a label file does not count."""
    if file.num_skipped:
        logger.warning("%s: %s cannot be read and are left out", file.path, counted(file.num_skipped, "row"))
    if file.num_without_id:
        logger.warning("%s: %s without a product_id are left out", file.path, counted(file.num_without_id, "label"))
    if apart:
        logger.warning(
            "%s: %s with more than one %s, which count as not labelled here: %s",
            file.path,
            counted(len(apart), "product"),
            target,
            some_of(apart),
        )
    if len(missing):
        logger.warning(
            "%s: %s with a %s that are not in %s: %s",
            file.path,
            counted(len(missing), "product"),
            target,
            shards,
            some_of(missing.to_list()),
        )
