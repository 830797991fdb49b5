"""What is shown of a trained head: where it is, and its figures beside the baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.cli.report.brands import alias_lines, brand_tables
from prodemb.cli.report.categories import category_lines, category_tables
from prodemb.core.text import counted

if TYPE_CHECKING:
    # For annotations alone: at run time they would load torch.
    from prodemb.heads.head import HeadCard
    from prodemb.job.pipeline import Pipeline
    from prodemb.job.train import TrainReport


def train_lines(report: TrainReport, *, pipeline: Pipeline) -> list[str]:
    """What training a head made, and for brands what the alias file holds."""
    lines = [] if report.aliases is None else alias_lines(report.aliases, path=Path(pipeline.brands.aliases))
    return [*lines, head_line(report)]


def head_line(report: TrainReport) -> str:
    """Where a head is, what it was trained on and how long that took."""
    card = report.head.card
    if report.was_done:
        return f"{card.target} head at {report.folder}: already trained on {report.shards} with these settings"
    covered = "" if card.coverage is None else f"; {card.coverage:.1%} of labelled test products have a known class"
    return (
        f"{card.target} head at {report.folder}, trained on {report.shards}: "
        f"{counted(len(card.classes), 'class', 'classes')} from {counted(card.num_train, 'product')}, "
        f"{counted(card.epochs, 'epoch')} in {card.seconds:.1f} s, {report.seconds:.1f} s with baselines{covered}"
    )


def figures(card: HeadCard, *, frozen: HeadCard | None) -> list[str | Table]:
    """A head's figures beside the baselines': on test products of known classes, and by condition on all of them.

    Args:
        frozen: the card of the head on CLIP as published, shown beside one on the fine-tuned CLIP.
    """
    return [_baseline_table(card, frozen=frozen), *brand_tables(card), *category_tables(card), *category_lines(card)]


def _baseline_table(card: HeadCard, *, frozen: HeadCard | None) -> Table:
    count = card.metrics.num_products if card.metrics else 0
    numbers = f"{counted(len(card.classes), 'class', 'classes')}, {counted(count, 'test product')}"
    table = Table(title=f"{card.target.capitalize()} head: {numbers}", title_justify="left")
    table.add_column("method")
    for column in ("top-1", "top-5", "macro-F1"):
        table.add_column(column, justify="right")
    baselines = card.evaluation.baselines if card.evaluation else ()
    entries = [(baseline.name, baseline.metrics, baseline.note) for baseline in baselines]
    if frozen is not None:
        entries.append(("prodemb head, CLIP frozen", frozen.metrics, None))
    name = "prodemb head" if frozen is None else "prodemb head, CLIP fine-tuned"
    if card.target == "brand":
        name = "prodemb head alone"
    entries.append((name, card.metrics, None))
    for method, metrics, note in entries:
        style = "bold" if method == name else None
        if metrics is None:
            table.add_row(f"{method} ({note})" if note else method, "-", "-", "-", style=style)
            continue
        top5 = "-" if metrics.top5 is None else f"{metrics.top5:.3f}"
        table.add_row(method, f"{metrics.top1:.3f}", top5, f"{metrics.macro_f1:.3f}", style=style)
    return table
