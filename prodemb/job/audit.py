"""Auditing supplied values and gold labels: by the heads of pipelines, and by others that have not seen the labels."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.alias_file import read_aliases
from prodemb.aliases.table import AliasTable
from prodemb.audit.brands import BrandAuditor, BrandIds
from prodemb.audit.categories import CategoryAuditor
from prodemb.audit.findings import Kind, KindAudit, Reason
from prodemb.audit.judge import Auditor
from prodemb.audit.table import Names, findings_table, is_audit, rates_table, values_table, write_table
from prodemb.audit.target import Part, audit_target
from prodemb.brand.fit import out_of_fold as brands_out_of_fold
from prodemb.brand.labels import brand_labels
from prodemb.brand.predict import BrandPredictor
from prodemb.category.fit import out_of_fold as categories_out_of_fold
from prodemb.category.predict import CategoryPredictor
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.device import choose_device
from prodemb.core.errors import ConfigError, FewLabelsError
from prodemb.core.progress import Progress
from prodemb.heads.labels import BrandLabel, Target
from prodemb.heads.neighbours import Neighbours
from prodemb.heads.train import Labelled, LabelsT, load_labelled
from prodemb.job.given_labels import with_given_labels
from prodemb.job.pipeline import Pipeline
from prodemb.job.targets import CategoryTarget, brand_recipe
from prodemb.score.predictor import load_predictor
from prodemb.score.score import check_numbers, match_shard_sets
from prodemb.shards.format import has_manifest
from prodemb.shards.reader import ShardSet
from prodemb.storage.desk import file_to_read

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """What an audit found."""

    out: Path
    num_products: int
    seconds: float
    findings: pl.DataFrame
    """As written to `out`, the surest first."""
    rates: pl.DataFrame
    """By partner; see `prodemb.audit.table.rates_table`."""
    values: pl.DataFrame
    """By value; see `prodemb.audit.table.values_table`."""
    skipped: dict[tuple[Target, Kind], dict[Reason, int]]
    """Why products were not audited."""


def audit_shards(
    shards: Sequence[ShardSet],
    *,
    out: Path,
    heads: Sequence[Path],
    brand: Pipeline,
    category: Pipeline,
    progress: Progress,
) -> AuditReport:
    """Write the values of the shards' products that confident answers contradict to `out`.

    Products with a label of their own are answered by predictors that are trained here without them, as for
    cross-fitting; the others by the heads in these folders.

    Args:
        heads: one per target at most.
        brand: what brand predictors are trained by.
        category: what category predictors are trained by.

    Raises:
        ConfigError: `out` is no `.parquet` file, or one of another kind.
        HeadError: a folder holds no head, or there are two for one target.
        FingerprintError, ShardError: as in scoring.
        TaxonomyError: the labels are of another taxonomy than the pipeline's.
    """
    started = time.perf_counter()
    _check_out(out)
    predictors = [load_predictor(folder) for folder in heads]
    shards = with_given_labels(shards, pipelines=[brand, category])
    sources = match_shard_sets(predictors, shard_sets=shards)
    check_numbers(sources)
    audits: list[tuple[KindAudit, ShardSet, Names]] = []
    for predictor, shard_set in zip(predictors, sources, strict=True):
        match predictor:
            case BrandPredictor():
                kinds, names = _audit_brands(shard_set, saved=predictor, pipeline=brand, progress=progress)
            case CategoryPredictor():
                kinds, names = _audit_categories(shard_set, saved=predictor, pipeline=category, progress=progress)
        audits += [(each, shard_set, names) for each in kinds]
    table = findings_table(audits)
    write_table(out, table)
    return AuditReport(
        out=out,
        num_products=sources[0].num_products,
        seconds=time.perf_counter() - started,
        findings=table,
        rates=rates_table(audits),
        values=values_table(audits),
        skipped={(audit.target, audit.kind): audit.skipped for audit, _, _ in audits},
    )


def _check_out(out: Path) -> None:
    if out.suffix != ".parquet" or out.is_dir():
        raise ConfigError(f"{out}: findings are one Parquet file; wanted a name that ends in .parquet")
    if has_manifest(out.parent):
        raise ConfigError(f"{out}: its folder is a shard set; wanted another folder for the findings")
    if out.exists() and not is_audit(out):
        raise ConfigError(f"{out}: holds no findings of an audit, so it is not replaced; give another name")


def _audit_brands(
    shard_set: ShardSet, *, saved: BrandPredictor, pipeline: Pipeline, progress: Progress
) -> tuple[Sequence[KindAudit], Names]:
    aliases = _aliases(pipeline, saved=saved)
    labels = brand_labels(shard_set, canonical_of=aliases.canonical_of, corrected=aliases.corrected)
    ids, recipe = BrandIds(labels.names), brand_recipe(pipeline, aliases=aliases)

    def auditor(predictor: BrandPredictor, *, same_set: bool) -> BrandAuditor:
        least = pipeline.audit.min_confidence
        return BrandAuditor(predictor, ids=ids, min_confidence=least, same_set=same_set)

    parts: list[Part] = []
    data = _labelled(shard_set, labels=labels, pipeline=pipeline, progress=progress)
    if data is not None:
        found = brands_out_of_fold(data, recipe=recipe, progress=progress)
        parts = [
            _part(data, indices, auditor=auditor(predictor, same_set=True), pipeline=pipeline)
            for indices, predictor in found
        ]
    fuser = saved.fuser
    own = ids.of(np.arange(len(fuser.label_names)), names=fuser.label_names)
    same_set = fuser.neighbours is not None and _are_labelled_alike(fuser.neighbours, labels.index, ids=own)
    saved.to(choose_device(pipeline.embed.device))
    parts += _rest(labels.index, auditor=auditor(saved, same_set=same_set))
    with progress("Auditing brands") as on_progress:
        kinds = audit_target(
            shard_set,
            target="brand",
            parts=parts,
            gold=np.where(labels.gold, labels.index, NO_ANSWER),
            sources=BrandAuditor.sources,
            on_progress=on_progress,
        )
    return kinds, [BrandLabel(name=name) for name in ids.names]


def _audit_categories(
    shard_set: ShardSet, *, saved: CategoryPredictor, pipeline: Pipeline, progress: Progress
) -> tuple[Sequence[KindAudit], Names]:
    target = CategoryTarget(pipeline, shard_set=shard_set)
    labels, recipe = target.labels(), target.recipe()
    nodes = recipe.nodes

    def auditor(predictor: CategoryPredictor, *, same_set: bool) -> CategoryAuditor:
        least = pipeline.audit.min_confidence
        return CategoryAuditor(predictor, nodes=nodes, min_confidence=least, same_set=same_set)

    parts: list[Part] = []
    data = _labelled(shard_set, labels=labels, pipeline=pipeline, progress=progress)
    if data is not None:
        found = categories_out_of_fold(data, recipe=recipe, progress=progress)
        parts = [
            _part(data, indices, auditor=auditor(predictor, same_set=True), pipeline=pipeline)
            for indices, predictor in found
        ]
    own = np.append(nodes.of(labels.classes), NO_ANSWER)[labels.index]
    known = auditor(saved, same_set=False).ids
    same_set = _are_labelled_alike(saved.voices.neighbours, own, ids=known)
    saved.to(choose_device(pipeline.embed.device))
    parts += _rest(labels.index, auditor=auditor(saved, same_set=same_set))
    with progress("Auditing categories") as on_progress:
        kinds = audit_target(
            shard_set,
            target="category",
            parts=parts,
            gold=own,
            why_outside="few labels" if data is None else "fine-tuned",
            sources=CategoryAuditor.sources,
            on_progress=on_progress,
        )
    return kinds, nodes.labels


def _aliases(pipeline: Pipeline, *, saved: BrandPredictor) -> AliasTable:
    """The pipeline's alias file as it is; where there is none, the table that the head was trained with."""
    path = file_to_read(pipeline.brands.aliases)
    if path.exists():
        return read_aliases(path)
    # A head's folder does not say what a person decided, so nothing counts as that.
    return AliasTable(replace(row, decided=row.canonical) for row in saved.fuser.names.aliases.rows)


def _labelled(
    shard_set: ShardSet, *, labels: LabelsT, pipeline: Pipeline, progress: Progress
) -> Labelled[LabelsT] | None:
    """The labelled products to train on; None where they are too few."""
    with progress("Reading labels and vectors"):
        try:
            device = choose_device(pipeline.embed.device)
            return load_labelled(shard_set, labels=labels, config=pipeline.train, device=device)
        except FewLabelsError as error:
            logger.warning("%s; labelled products are not audited", error)
            return None


def _part(data: Labelled[LabelsT], indices: Indices, *, auditor: Auditor, pipeline: Pipeline) -> Part:
    """Labelled products, (m,) indices, and what judges them: it has learned from all others outside the test part."""
    learned = np.setdiff1d(data.outside_test, indices)
    counts = data.labels.class_counts(data.learned(learned))
    alike = counts[data.index_of(indices)]
    return Part(rows=data.rows[indices], auditor=auditor, learned=alike >= pipeline.train.min_examples)


def _rest(index: Indices, *, auditor: Auditor) -> Iterator[Part]:
    """The products without a label, if any."""
    rows = np.flatnonzero(index == NO_ANSWER)
    if len(rows):
        yield Part(rows=rows, auditor=auditor, learned=np.zeros(len(rows), dtype=np.bool_))


def _are_labelled_alike(neighbours: Neighbours, labels: Indices, *, ids: npt.NDArray[np.int64]) -> bool:
    """Whether neighbours that a head has kept are of a shard set with these labels: each row has the label it had.

    Args:
        labels: (n,) the id of the label of each product of the shard set; -1 where it has none.
        ids: the ids of what the labels of the neighbours are indices of.
    """
    rows = neighbours.rows
    return bool((rows < len(labels)).all()) and bool((labels[rows] == ids[neighbours.labels]).all())
