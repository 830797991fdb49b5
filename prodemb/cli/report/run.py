"""What is shown of the whole job: each step as it comes, and at the end ten lines at most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prodemb.cli.display import finished, started
from prodemb.cli.progress import span
from prodemb.cli.report.embed import embed_lines
from prodemb.cli.report.finetune import finetune_lines
from prodemb.cli.report.heads import train_lines
from prodemb.cli.report.score import score_lines
from prodemb.core.text import counted
from prodemb.embed.embed import EmbedReport
from prodemb.finetune.report import FinetuneReport
from prodemb.job.report import ReportMade
from prodemb.job.run import StepFinished, StepSkipped, StepStarted
from prodemb.job.train import TrainReport
from prodemb.score.score import ScoreReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prodemb.heads.labels import Target
    from prodemb.job.run import Event, Step
    from prodemb.report.summary import Incoming, Summary, TargetOutcome


def run_lines(events: Iterable[Event]) -> Iterator[str]:
    """Lines for the events of a run, each as soon as there is something to show."""
    ended: list[StepFinished | StepSkipped] = []
    for event in events:
        match event:
            case StepStarted(step=step):
                started(step.name, where=step.out)
                yield f"\n== {_heading(step)}"
            case StepFinished():
                ended.append(event)
                finished(event.report)
                yield from _finished_lines(event, skipped=[each for each in ended if isinstance(each, StepSkipped)])
            case StepSkipped():
                ended.append(event)
                finished(event)
                yield _skipped_line(event)
    for each in ended:
        if isinstance(each, StepFinished) and isinstance(each.report, ReportMade):
            yield "\n== done"
            yield from closing_lines(ended, report=each.report)


def _label(step: Step) -> str:
    match step.name, step.fine_tuned:
        case "sample", _:
            return "generate the sample catalog"
        case "embed", False:
            return "embed"
        case "embed", True:
            return "embed with the fine-tuned CLIP"
        case "train-brand", _:
            return "train the brand head"
        case "train-category", False:
            return "train the category head, CLIP frozen"
        case "train-category", True:
            return "train the category head, CLIP fine-tuned"
        case "finetune-category", _:
            return "fine-tune CLIP on the categories"
        case "report", _:
            return "report"
        case _:
            return "score"


def _heading(step: Step) -> str:
    if step.name == "embed" and not step.fine_tuned:
        return f"embed {step.pipeline.catalog.path} with {step.pipeline.embed.model}"
    return _label(step)


def _finished_lines(event: StepFinished, *, skipped: Sequence[StepSkipped]) -> Iterator[str]:
    step = event.step
    match event.report:
        case EmbedReport() as report:
            yield from embed_lines(report, folder=step.out)
        case TrainReport() as report:
            yield from train_lines(report, pipeline=step.pipeline)
        case FinetuneReport() as report:
            yield from finetune_lines(report, config=step.pipeline.finetune)
        case ScoreReport() as report:
            yield from score_lines(report)
            without = {each.step.pipeline.target for each in skipped}
            for target in report.absent:
                why = "no head was trained, see above" if target in without else f'no pipeline has target = "{target}"'
                yield f"the {target} columns are null: {why}"
        case ReportMade() as report:
            yield f"report at {report.out}{'; already up to date' if report.was_done else ''}"
        case Path() as path:
            yield str(path)


def _skipped_line(event: StepSkipped) -> str:
    target = event.step.pipeline.target
    label = "google_category_id" if target == "category" else "brand"
    line = f"skipped: {event.error or f'no product has a {label}'}"
    if event.taxonomy is not None:
        line += (
            f"; categories are predicted zero-shot, from the nearest names of {event.taxonomy} "
            f"({counted(event.num_nodes, 'node')}); to train a head, label products with Google's ids or paths: "
            "`prodemb label` picks them"
        )
    return line


def closing_lines(ended: Sequence[StepFinished | StepSkipped], *, report: ReportMade) -> list[str]:
    """What a run did, in ten lines at most that fit 40 columns if names are short; the figures are in its report."""
    summary = report.summary
    skipped = {each.step.pipeline.target: each for each in ended if isinstance(each, StepSkipped)}
    outcomes = {each.target: each for each in summary.outcome.targets}
    lines = [
        f"{counted(summary.incoming.num_products, 'product')} in {span(sum(event.seconds for event in ended))}",
        _lost_line(summary.incoming),
    ]
    for target in dict.fromkeys((*outcomes, *skipped)):
        lines += _target_lines(target, outcome=outcomes.get(target), skipped=skipped.get(target), summary=summary)
    if summary.merges is not None and summary.merges.num_merges:
        lines.append(f"{counted(summary.merges.num_merges, 'brand merge')} to decide: {summary.merges.aliases}")
    return [*lines, f"predictions: {summary.outcome.predictions}", f"report: {report.out} (open in a browser)"]


def _lost_line(incoming: Incoming) -> str:
    """Rows that were left out, and products without a picture."""
    rows = f"{counted(sum(incoming.skipped_rows.values()), 'row')} left out"
    pictures = sum(incoming.missing.get("image", {}).values())
    return f"{rows}, {pictures:,} without a picture" if pictures else rows


def _target_lines(
    target: Target, *, outcome: TargetOutcome | None, skipped: StepSkipped | None, summary: Summary
) -> list[str]:
    """How many products are answered, and how good answers are beside the best baseline, or why none was trained."""
    if outcome is None or (skipped is not None and skipped.taxonomy is None):
        return [f"{target}: none, too few labels to train"]
    num = outcome.num_answered + outcome.num_unanswered
    lines = [f"{target}: found for {outcome.num_answered / max(1, num):.1%} of products"]
    if skipped is not None:
        return [*lines, "  zero-shot: too few labels to train"]
    for learned in summary.learned:
        evaluation = learned.card.evaluation
        if learned.card.target != target or evaluation is None:
            continue
        measured = [each.metrics.top1 for each in evaluation.methods if each.metrics is not None]
        if len(measured) > 2:
            # The last two are the head alone and everything together.
            *baselines, _, own = measured
            lines.append(f"  {own:.1%} right in test, baseline {max(baselines):.1%}")
    return lines
