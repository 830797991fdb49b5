"""What is shown of the whole job: each step as it comes, and a summary at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.cli.report.embed import embed_lines
from prodemb.cli.report.finetune import finetune_lines
from prodemb.cli.report.heads import figures, train_lines
from prodemb.cli.report.score import first_predictions, score_lines
from prodemb.core.text import counted
from prodemb.embed.embed import EmbedReport
from prodemb.finetune.report import FinetuneReport
from prodemb.job.run import StepFinished, StepSkipped, StepStarted
from prodemb.job.train import TrainReport
from prodemb.score.score import ScoreReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prodemb.job.run import Event, Report, Step


def run_items(events: Iterable[Event]) -> Iterator[str | Table]:
    """Lines and tables for the events of a run, each as soon as there is something to show."""
    ended: list[StepFinished | StepSkipped] = []
    for event in events:
        match event:
            case StepStarted(step=step):
                yield f"\n== {_heading(step)}"
            case StepFinished():
                ended.append(event)
                yield from _finished_lines(event, skipped=[each for each in ended if isinstance(each, StepSkipped)])
            case StepSkipped():
                ended.append(event)
                yield _skipped_line(event)
    yield "\n== summary"
    yield _summary_table(ended)
    yield from _closing_items([each.report for each in ended if isinstance(each, StepFinished)])


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
        case Path() as path:
            yield str(path)


def _skipped_line(event: StepSkipped) -> str:
    target = event.step.pipeline.target
    label = "google_category_id" if target == "category" else "brand"
    line = f"skipped: {event.error or f'no product has a {label}'}"
    if event.taxonomy is not None:
        line += (
            f"; categories are predicted zero-shot, from the nearest names of {event.taxonomy} "
            f"({counted(event.num_nodes, 'node')}); to train a head, label products with Google's ids or paths"
        )
    return line


def _summary_table(ended: Sequence[StepFinished | StepSkipped]) -> Table:
    """Seconds by step, and what each made."""
    table = Table(title="Steps", title_justify="left")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_column("result", overflow="fold")
    for event in ended:
        result = str(event.step.out) if isinstance(event, StepFinished) else "skipped: too few labels"
        table.add_row(_label(event.step), f"{event.seconds:.1f}", result)
    return table


def _closing_items(reports: Sequence[Report]) -> Iterator[str | Table]:
    """The heads' figures, and the first predictions."""
    trained = [report for report in reports if isinstance(report, TrainReport)]
    for target in dict.fromkeys(report.head.card.target for report in trained):
        cards = [report.head.card for report in trained if report.head.card.target == target]
        yield from figures(cards[-1], frozen=cards[0] if len(cards) > 1 else None)
    for report in reports:
        if isinstance(report, ScoreReport):
            yield first_predictions(report.out)
