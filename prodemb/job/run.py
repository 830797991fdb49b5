"""The whole main job: embed, train, fine-tune, score, one step after another, and a closing summary."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from rich.table import Table

from prodemb.catalog.reader import open_catalog
from prodemb.category.tables import category_lines, category_tables
from prodemb.cli.report import (
    alias_lines,
    brand_tables,
    embed_lines,
    finetune_lines,
    first_rows,
    head_lines,
    head_table,
    score_lines,
    seconds_table,
)
from prodemb.core.errors import ConfigError, FewLabelsError
from prodemb.core.progress import Progress
from prodemb.core.text import counted
from prodemb.job.embed import embed_catalog, with_checkpoint
from prodemb.job.finetune import finetune_category
from prodemb.job.pipeline import Pipeline
from prodemb.job.sample import ensure_sample
from prodemb.job.score import joint_scoring, score_shards
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.job.train import TrainReport, head_shards, train
from prodemb.job.zero_shot import has_category_labels, open_zero_shot, renew_path_vectors
from prodemb.shards.format import read_manifest
from prodemb.shards.reader import open_shard_set
from prodemb.towers.checkpoint import find_checkpoint

Shown = str | Table
"""A line or a table for the screen."""

NUM_SHOWN = 5


class _Steps:
    """What each step made and how long it took, for the summary."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, str]] = []
        self._started = time.perf_counter()

    def done(self, name: str, where: str) -> None:
        """Close the step that began when the one before it was closed."""
        now = time.perf_counter()
        self.rows.append((name, now - self._started, where))
        self._started = now


def run(pipelines: Sequence[Pipeline], *, finetuned: bool, progress: Progress) -> Iterator[Shown]:
    """Run pipelines one after another and score with all their heads; yield what there is to show, as it comes.

    Args:
        finetuned: whether category pipelines fine-tune CLIP, or train on it as published only.

    Raises:
        ConfigError: two pipelines for one target, or predictions that would go to two files.
        CatalogError: a catalog cannot be opened; like ModelError and TaxonomyError before anything is done.
    """
    _check(pipelines)
    steps = _Steps()
    for pipeline in pipelines:
        if ensure_sample(pipeline):
            steps.done("generate the sample catalog", pipeline.catalog.path)
        _check_sources(pipeline)
    heads: list[TrainReport] = []
    tables: list[Table] = []
    embedded: set[str] = set()
    for pipeline in pipelines:
        if pipeline.embed.out not in embedded:
            yield f"\n== embed: {pipeline.catalog.path} through {pipeline.embed.model}"
            yield from embed_lines(embed_catalog(pipeline, progress=progress), folder=Path(pipeline.embed.out))
            embedded.add(pipeline.embed.out)
            steps.done("embed", pipeline.embed.out)
        if pipeline.target == "brand":
            yield from _brand(pipeline, progress=progress, heads=heads, tables=tables, steps=steps)
        else:
            yield from _category(
                pipeline, finetuned=finetuned, progress=progress, heads=heads, tables=tables, steps=steps
            )
    yield "\n== score"
    out = Path(pipelines[0].score.out)
    answered = {report.head.card.target for report in heads}
    untrained = {Path(p.embed.out): p for p in pipelines if p.target == "category" and p.target not in answered}
    folders = {report.shards for report in heads} | untrained.keys()
    opened = {folder: open_shard_set(folder) for folder in sorted(folders)}
    zero_shot = None
    for base, pipeline in untrained.items():
        zero_shot = open_zero_shot([opened[base]], pipeline=pipeline, progress=progress)
    scored = score_shards(
        list(opened.values()),
        out=out,
        heads=[report.folder for report in heads],
        pipeline=_scoring(pipelines),
        progress=progress,
        zero_shot=zero_shot,
    )
    yield from score_lines(scored)
    steps.done("score", str(out))
    yield "\n== summary"
    yield seconds_table(steps.rows)
    yield from tables
    yield first_rows(pl.read_parquet(out, n_rows=NUM_SHOWN).to_dicts())


def _scoring(pipelines: Sequence[Pipeline]) -> Pipeline:
    """The pipeline that says how all are scored."""
    category = next((pipeline for pipeline in pipelines if pipeline.target == "category"), pipelines[0])
    return joint_scoring(pipelines[0], category=category)


def _brand(
    pipeline: Pipeline, *, progress: Progress, heads: list[TrainReport], tables: list[Table], steps: _Steps
) -> Iterator[Shown]:
    yield "\n== train the brand head"
    shards = head_shards(pipeline)
    try:
        report = train(pipeline, shards=shards, folder=pipeline.head_folder, progress=progress)
    except FewLabelsError as error:
        yield f"no {error}"
        steps.done("train the brand head", "no head: too few labels")
        return
    if report.aliases is not None:
        yield from alias_lines(report.aliases, path=Path(pipeline.brands.aliases))
    yield from head_lines(report)
    heads.append(report)
    tables += [head_table(report.head.card, title="Brand head"), *brand_tables(report.head.card)]
    steps.done("train the brand head", str(report.folder))


def _category(
    pipeline: Pipeline,
    *,
    finetuned: bool,
    progress: Progress,
    heads: list[TrainReport],
    tables: list[Table],
    steps: _Steps,
) -> Iterator[Shown]:
    base = Path(pipeline.embed.out)
    taxonomy, name = pipeline_taxonomy(pipeline)
    nearest = f"the nearest names of {name} ({counted(len(taxonomy.paths), 'node')}) answer"
    if not has_category_labels(base, progress=progress):
        yield (
            f"\n== {pipeline.catalog.path}: no product has a google_category_id, so there is no category to learn and "
            f"{nearest}: label some products with Google's ids or paths"
        )
        return
    schema = read_manifest(base).shard_schema
    renew_path_vectors(base, schema=schema, pipeline=pipeline, config=pipeline.embed, progress=progress)
    yield f"\n== train the category head on {base}"
    try:
        report = train(pipeline, shards=base, folder=pipeline.frozen_head_folder, progress=progress)
    except FewLabelsError as error:
        yield f"no {error}; {nearest}"
        steps.done("train the category head", "no head: too few labels")
        return
    yield from head_lines(report)
    steps.done("train the category head, CLIP frozen", str(report.folder))
    before = None
    if finetuned:
        yield "\n== fine-tune CLIP for the categories, and regenerate the shards"
        tuned = finetune_category(pipeline, progress=progress)
        yield from finetune_lines(tuned, config=pipeline.finetune)
        steps.done("fine-tune CLIP", pipeline.finetune.out)
        embedded = embed_catalog(pipeline, config=with_checkpoint(pipeline), replace=True, progress=progress)
        yield from embed_lines(embedded, folder=Path(pipeline.finetune.shards))
        steps.done("regenerate the shards", pipeline.finetune.shards)
        before = report.head.card
        report = train(pipeline, shards=Path(pipeline.finetune.shards), folder=pipeline.head_folder, progress=progress)
        yield from head_lines(report)
        steps.done("train the category head, CLIP fine-tuned", str(pipeline.head_folder))
    heads.append(report)
    yield from category_lines(report.head.card)
    tables += [
        head_table(report.head.card, title="Category head", before=before),
        *category_tables(report.head.card),
    ]


def _check_sources(pipeline: Pipeline) -> None:
    """Open what a pipeline reads, so that what is not there is told before an hour's work and not after it."""
    open_catalog(pipeline.catalog)
    find_checkpoint(pipeline.embed.model, revision=pipeline.embed.revision)
    if pipeline.target == "category":
        pipeline_taxonomy(pipeline)


def _check(pipelines: Sequence[Pipeline]) -> None:
    targets = [pipeline.target for pipeline in pipelines]
    for target in set(targets):
        if targets.count(target) > 1:
            raise ConfigError(f"found {targets.count(target)} pipelines with target {target!r}, wanted one at most")
    outs = sorted({pipeline.score.out for pipeline in pipelines})
    if len(outs) > 1:
        raise ConfigError(f"[score] out: found {' and '.join(outs)} in pipelines that run together, wanted one file")
