"""The whole job: embed, train, fine-tune, score, report, one step after another; it yields what happened, as data."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from prodemb.catalog.reader import open_catalog
from prodemb.core.errors import ConfigError, FewLabelsError, HeadError
from prodemb.core.progress import Progress
from prodemb.embed.embed import EmbedReport
from prodemb.finetune.report import FinetuneReport
from prodemb.heads.evaluation import is_better
from prodemb.job.embed import embed_catalog, with_checkpoint
from prodemb.job.finetune import finetune_category
from prodemb.job.given_labels import given_labels
from prodemb.job.pipeline import Pipeline
from prodemb.job.report import ReportMade, make_report, report_path
from prodemb.job.sample import generate_sample, is_sample_missing
from prodemb.job.score import joint_scoring, predictions_to_write, score_shards
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.job.train import TrainReport, head_shards, train
from prodemb.job.zero_shot import has_category_labels, open_zero_shot, renew_path_vectors
from prodemb.report.page import check_report_out
from prodemb.report.summary import StepTime
from prodemb.score.score import ScoreReport, check_out
from prodemb.shards.format import read_manifest
from prodemb.shards.reader import open_shard_set
from prodemb.storage.address import Place, place
from prodemb.storage.desk import folder_to_write
from prodemb.towers.checkpoint import find_checkpoint

StepName = Literal["sample", "embed", "train-brand", "train-category", "finetune-category", "score", "report"]
"""The command that does the same on its own."""

Report = EmbedReport | TrainReport | FinetuneReport | ScoreReport | ReportMade | Path
"""What a step made; of a generated sample its catalog file."""

R = TypeVar("R", bound=Report)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the job."""

    name: StepName
    pipeline: Pipeline
    """The pipeline that it belongs to; for `score` the one with the settings of all."""
    out: Place
    """The file or folder that it makes."""
    fine_tuned: bool = False
    """Whether it uses the fine-tuned CLIP."""


@dataclass(frozen=True, kw_only=True)
class StepStarted:
    """A step is about to run."""

    step: Step


@dataclass(frozen=True, kw_only=True)
class StepFinished:
    """A step has run, or found that an earlier run had finished it, as its report says."""

    step: Step
    report: Report
    seconds: float


@dataclass(frozen=True, kw_only=True)
class StepSkipped:
    """A head was not trained, because there are too few labels; the job goes on without it."""

    step: Step
    seconds: float
    error: FewLabelsError | None
    """What is missing; None where no product has a label at all."""
    taxonomy: str | None = None
    """For categories, which are then answered zero-shot: the taxonomy whose names answer."""
    num_nodes: int = 0
    """How many nodes it has."""


Event = StepStarted | StepFinished | StepSkipped


def run(pipelines: Sequence[Pipeline], *, finetune: bool, progress: Progress) -> Iterator[Event]:
    """Run pipelines one after another, score with all their heads, and write a report.

    Args:
        finetune: whether category pipelines fine-tune CLIP; without it they train on CLIP as published alone.

    Raises:
        ConfigError: two pipelines have the same target, or write predictions to different files; or where these or
            the report are to be there is another kind of file.
        CatalogError, ModelError, TaxonomyError: a pipeline's source or label file is missing; raised before any step
            but `sample`.
        HeadError: there is nothing to score with, because no head could be trained.
    """
    _check(pipelines)
    check_out(predictions_to_write(pipelines[0].score.out), config=_joint(pipelines).score)
    check_report_out(report_path(pipelines))
    finished: list[StepFinished] = []
    for event in _steps(pipelines, finetune=finetune, progress=progress):
        if isinstance(event, StepFinished):
            finished.append(event)
        yield event
    yield from _report(pipelines, finished=finished, progress=progress)


def _steps(pipelines: Sequence[Pipeline], *, finetune: bool, progress: Progress) -> Iterator[Event]:
    """All steps up to the predictions."""
    for pipeline in pipelines:
        if is_sample_missing(pipeline):
            step = Step(name="sample", pipeline=pipeline, out=Path(pipeline.catalog.path))
            yield from _done(step, generate_sample)
        _check_sources(pipeline)
    trained: list[TrainReport] = []
    skipped: list[StepSkipped] = []
    embedded: set[str] = set()
    for pipeline in pipelines:
        if pipeline.embed.out not in embedded:
            embedded.add(pipeline.embed.out)
            yield from _embed(pipeline, progress=progress)
        steps = _brand(pipeline, progress=progress)
        if pipeline.target == "category":
            steps = _category(pipeline, finetune=finetune, progress=progress)
        result = yield from steps
        if isinstance(result, TrainReport):
            trained.append(result)
        else:
            skipped.append(result)
    yield from _score(pipelines, trained=trained, skipped=skipped, progress=progress)


def _done(step: Step, work: Callable[[], R]) -> Generator[Event, None, R]:
    """Do a step; yields that it started and finished, returns its report."""
    yield StepStarted(step=step)
    started = time.perf_counter()
    report = work()
    yield StepFinished(step=step, report=report, seconds=time.perf_counter() - started)
    return report


def _embed(pipeline: Pipeline, *, progress: Progress) -> Generator[Event, None, EmbedReport]:
    step = Step(name="embed", pipeline=pipeline, out=place(pipeline.embed.out))
    return (yield from _done(step, lambda: embed_catalog(pipeline, progress=progress)))


def _brand(pipeline: Pipeline, *, progress: Progress) -> Generator[Event, None, TrainReport | StepSkipped]:
    step = Step(name="train-brand", pipeline=pipeline, out=folder_to_write(pipeline.head_name))

    def work() -> TrainReport:
        return train(pipeline, shards=head_shards(pipeline), folder=pipeline.head_folder, progress=progress)

    return (yield from _unless_few_labels(step, work))


def _unless_few_labels(
    step: Step, work: Callable[[], TrainReport]
) -> Generator[Event, None, TrainReport | StepSkipped]:
    """Train a head; where there are too few labels the step is skipped."""
    started = time.perf_counter()
    try:
        return (yield from _done(step, work))
    except FewLabelsError as error:
        skipped = _skipped(step, error=error, seconds=time.perf_counter() - started)
        yield skipped
        return skipped


def _skipped(step: Step, *, error: FewLabelsError | None, seconds: float) -> StepSkipped:
    if step.name != "train-category":
        return StepSkipped(step=step, seconds=seconds, error=error)
    taxonomy, name = pipeline_taxonomy(step.pipeline)
    return StepSkipped(step=step, seconds=seconds, error=error, taxonomy=name, num_nodes=len(taxonomy.paths))


def _category(
    pipeline: Pipeline, *, finetune: bool, progress: Progress
) -> Generator[Event, None, TrainReport | StepSkipped]:
    """A head on CLIP as published; then, if wanted, one on the fine-tuned CLIP; returns the better one."""
    base = place(pipeline.embed.out)
    step = Step(name="train-category", pipeline=pipeline, out=folder_to_write(pipeline.frozen_head_name))
    started = time.perf_counter()
    if not has_category_labels(base, progress=progress, labels=given_labels([pipeline])):
        yield StepStarted(step=step)
        skipped = _skipped(step, error=None, seconds=time.perf_counter() - started)
        yield skipped
        return skipped

    def work() -> TrainReport:
        schema = read_manifest(base).shard_schema
        renew_path_vectors(base, schema=schema, pipeline=pipeline, config=pipeline.embed, progress=progress)
        return train(pipeline, shards=base, folder=pipeline.frozen_head_folder, progress=progress)

    frozen = yield from _unless_few_labels(step, work)
    if isinstance(frozen, StepSkipped) or not finetune:
        return frozen
    tuned = yield from _fine_tuned(pipeline, progress=progress)
    return tuned if is_better(tuned.head.card.evaluation, frozen.head.card.evaluation) else frozen


def _fine_tuned(pipeline: Pipeline, *, progress: Progress) -> Generator[Event, None, TrainReport]:
    """Fine-tuning, the shards of the new CLIP, and a head on these."""
    step = Step(
        name="finetune-category", pipeline=pipeline, out=folder_to_write(pipeline.finetune.out), fine_tuned=True
    )
    yield from _done(step, lambda: finetune_category(pipeline, progress=progress))
    shards = place(pipeline.finetune.shards)
    step = Step(name="embed", pipeline=pipeline, out=shards, fine_tuned=True)
    yield from _done(
        step, lambda: embed_catalog(pipeline, config=with_checkpoint(pipeline), replace=True, progress=progress)
    )
    folder = folder_to_write(pipeline.head_name)
    step = Step(name="train-category", pipeline=pipeline, out=folder, fine_tuned=True)
    return (yield from _done(step, lambda: train(pipeline, shards=shards, folder=folder, progress=progress)))


def _score(
    pipelines: Sequence[Pipeline],
    *,
    trained: Sequence[TrainReport],
    skipped: Sequence[StepSkipped],
    progress: Progress,
) -> Generator[Event, None, ScoreReport]:
    """Score with the trained heads, and zero-shot where there is no category head."""
    settings, out = _joint(pipelines), predictions_to_write(pipelines[0].score.out)
    untrained = [each.step.pipeline for each in skipped if each.step.name == "train-category"]
    if not trained and not untrained:
        reasons = "; ".join(str(each.error) for each in skipped)
        raise HeadError(f"{out}: not written, since there is no head to score with: {reasons}")

    def work() -> ScoreReport:
        folders = {report.shards for report in trained} | {place(pipeline.embed.out) for pipeline in untrained}
        labels = given_labels(pipelines)
        opened = {folder: open_shard_set(folder).with_labels(labels) for folder in sorted(folders, key=str)}
        zero_shot = None
        for pipeline in untrained:
            zero_shot = open_zero_shot([opened[place(pipeline.embed.out)]], pipeline=pipeline, progress=progress)
        return score_shards(
            list(opened.values()),
            out=out,
            heads=[report.folder for report in trained],
            pipeline=settings,
            progress=progress,
            zero_shot=zero_shot,
        )

    return (yield from _done(Step(name="score", pipeline=settings, out=out), work))


def _report(
    pipelines: Sequence[Pipeline], *, finished: Sequence[StepFinished], progress: Progress
) -> Generator[Event, None, ReportMade]:
    """The report of the steps and of what they made; of two heads for categories, of the one that scored."""
    out = report_path(pipelines)
    (targets,) = [event.report.shards for event in finished if isinstance(event.report, ScoreReport)]
    trained = [event.report for event in finished if isinstance(event.report, TrainReport)]
    heads = [each.folder for each in trained if targets.get(each.head.card.target) == each.shards]

    def work() -> ReportMade:
        steps = [_step_time(event) for event in finished]
        return make_report(pipelines, out=out, heads=heads, steps=steps, progress=progress)

    return (yield from _done(Step(name="report", pipeline=pipelines[0], out=out), work))


def _step_time(event: StepFinished) -> StepTime:
    """What a step cost, as a report shows it."""
    num_products, bottleneck = None, None
    match event.report:
        case EmbedReport() as report if report.num_new:
            num_products, bottleneck = report.num_new, report.bottleneck
        case TrainReport() as report if not report.was_done:
            num_products = report.head.card.num_train
        case FinetuneReport() as report if not report.was_done:
            num_products = report.num_train
        case ScoreReport() as report if report.num_new:
            num_products = report.num_new
    return StepTime(
        name=event.step.name,
        fine_tuned=event.step.fine_tuned,
        seconds=event.seconds,
        num_products=num_products,
        bottleneck=bottleneck,
    )


def _joint(pipelines: Sequence[Pipeline]) -> Pipeline:
    """The pipeline that scoring takes its settings from."""
    category = next((pipeline for pipeline in pipelines if pipeline.target == "category"), pipelines[0])
    brand = next((pipeline for pipeline in pipelines if pipeline.target == "brand"), pipelines[0])
    return joint_scoring(brand, category=category)


def _check_sources(pipeline: Pipeline) -> None:
    """Open what a pipeline reads, so that a missing source is an error before an hour's work and not after it."""
    open_catalog(pipeline.catalog)
    find_checkpoint(pipeline.embed.model, revision=pipeline.embed.revision)
    given_labels([pipeline])
    if pipeline.target == "category":
        pipeline_taxonomy(pipeline)


def _check(pipelines: Sequence[Pipeline]) -> None:
    targets = [pipeline.target for pipeline in pipelines]
    for target in set(targets):
        if targets.count(target) > 1:
            raise ConfigError(
                f"found {targets.count(target)} pipelines with target {target!r}, wanted at most one for each target"
            )
    outs = sorted({pipeline.score.out for pipeline in pipelines})
    if len(outs) > 1:
        raise ConfigError(f"[score] out: found {' and '.join(outs)} in pipelines that run together, wanted one file")
    first, *others = pipelines
    for other in others:
        _check_same_sources(first, other)


_IN_SHARDS = {
    *("model", "revision", "truncate_dim", "features", "lexical_dim", "shard_size", "dtype"),
    *("text_model", "text_model_revision", "text_template"),
}
"""Settings of [embed] that decide what stands in the shards."""


def _check_same_sources(one: Pipeline, other: Pipeline) -> None:
    """Raise ConfigError where two pipelines read the catalog, or fill one shard set, in different ways.

    The second would undo what the first has made, or take vectors of other products for its own.
    """
    shared = {"catalog": None, "images": None} | ({"embed": _IN_SHARDS} if one.embed.out == other.embed.out else {})
    for table, keys in shared.items():
        mine, theirs = (getattr(pipeline, table).model_dump(mode="json", include=keys) for pipeline in (one, other))
        for key, value in mine.items():
            if value != theirs[key]:
                raise ConfigError(
                    f"[{table}] {key}: found {_shown(value)} in the {one.target} pipeline and {_shown(theirs[key])} in "
                    f"the {other.target} pipeline; they share the catalog and its shards, so wanted the same in both"
                )


def _shown(value: object) -> str:
    """A setting in an error; an address may hold a password."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 and "://" not in text else "another value"
