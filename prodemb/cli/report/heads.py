"""What is shown of a trained head: where it is, and its figures beside the baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.cli.report.brands import alias_lines, brand_tables
from prodemb.cli.report.calibration import calibration_tables
from prodemb.cli.report.categories import category_lines, category_tables
from prodemb.cli.report.label import given_labels_line
from prodemb.core.text import counted
from prodemb.heads.evaluation import is_better
from prodemb.storage.desk import file_to_read

if TYPE_CHECKING:
    # For annotations alone: at run time they would load torch.
    from prodemb.heads.evaluation import BrandEvaluation, CategoryEvaluation, Promised
    from prodemb.heads.head import HeadCard
    from prodemb.job.pipeline import Pipeline
    from prodemb.job.train import TrainReport


def train_lines(report: TrainReport, *, pipeline: Pipeline) -> list[str]:
    """What training a head made, for brands what the alias file holds, and what a file of labels gave."""
    lines = [] if report.aliases is None else alias_lines(report.aliases, path=file_to_read(pipeline.brands.aliases))
    if report.labels is not None:
        lines.append(given_labels_line(report.labels))
    return [*lines, head_line(report)]


def head_line(report: TrainReport) -> str:
    """Where a head is, what it was trained on and how long that took."""
    card = report.head.card
    if report.was_done:
        return f"{card.target} head at {report.folder}: already trained on {report.shards} with these settings"
    return (
        f"{card.target} head at {report.folder}, trained on {report.shards}: "
        f"{counted(len(card.classes), 'class', 'classes')} from {counted(card.num_train, 'labelled product')}, "
        f"{counted(card.epochs, 'epoch')} in {card.seconds:.1f} s; {report.seconds:.1f} s with the heads of the folds "
        "and the comparison"
    )


def figures(card: HeadCard, *, frozen: HeadCard | None) -> list[str | Table]:
    """A head's figures beside the baselines', on all test products, by condition, and what can be promised.

    Args:
        frozen: the card of the head on CLIP as published, shown beside one on the fine-tuned CLIP.
    """
    if card.evaluation is None:
        return []
    against = (
        ""
        if card.gold and card.gold_answers
        else "no gold brands: figures are against supplied brands, where there are"
    )
    return [
        *_methods_table(card, frozen=frozen),
        *([against] if against else []),
        *_split_lines(card.evaluation),
        *_comparison_lines(card.evaluation),
        *_choice_lines(card, frozen=frozen),
        *brand_tables(card),
        *category_tables(card),
        *category_lines(card),
        *calibration_tables(card.evaluation),
        *_confidence_lines(card.evaluation),
    ]


def _methods_table(card: HeadCard, *, frozen: HeadCard | None) -> list[Table]:
    evaluation = card.evaluation
    if evaluation is None or not evaluation.methods:
        return []
    entries = [(each.name, each.metrics, each.note) for each in evaluation.methods]
    if frozen is not None and frozen.evaluation is not None:
        (*others, last), own = entries, frozen.evaluation.methods[-1:]
        entries = [*others, *((f"{each.name}, CLIP frozen", each.metrics, each.note) for each in own)]
        entries.append((f"{last[0]}, CLIP fine-tuned", *last[1:]))
    asked = next((metrics.num_products for _, metrics, _ in entries if metrics is not None), 0)
    title = (
        f"{card.target.capitalize()}: {counted(asked, 'test product')}; "
        f"learned from {counted(evaluation.num_learned, 'other')}"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    for column in ("top-1", "± 95 %", "top-5", "macro-F1"):
        table.add_column(column, justify="right")
    for method, metrics, note in entries:
        style = "bold" if method == entries[-1][0] else None
        name = f"{method} ({note})" if note else method
        if metrics is None:
            table.add_row(name, "-", "-", "-", "-", style=style)
            continue
        top5 = "-" if metrics.top5 is None else f"{metrics.top5:.3f}"
        margin = margin_of(metrics.top1, num=metrics.num_products)
        table.add_row(name, f"{metrics.top1:.3f}", f"{margin:.3f}", top5, f"{metrics.macro_f1:.3f}", style=style)
    return [table]


def margin_of(share: float, *, num: int) -> float:
    """Half the width of the 95 % interval of a share of so many products (Agresti and Coull, 1998)."""
    total = num + 4
    middle = (share * num + 2) / total
    return float(2 * (middle * (1 - middle) / total) ** 0.5)


def _split_lines(evaluation: CategoryEvaluation | BrandEvaluation) -> list[str]:
    """Whose split it is, and what that costs, where it is the catalog's own."""
    if not evaluation.own_split:
        return []
    if not evaluation.methods:
        return ["the catalog's own split holds out no labelled product, so nothing is measured"]
    variants = evaluation.num_variants
    lines = ["the test products are those that the catalog's own split holds out"]
    if variants:
        lines.append(
            f"{counted(variants, 'of them is a variant', 'of them are variants')} of a product that is learned from, "
            "which flatters the figures"
        )
    return lines


def _comparison_lines(evaluation: CategoryEvaluation | BrandEvaluation) -> list[str]:
    """Where a baseline is better, in words."""
    measured = [(each.name, each.metrics) for each in evaluation.methods if each.metrics is not None]
    if len(measured) < 2:
        return []
    *others, (_, own) = measured
    best, metrics = max(others, key=lambda pair: pair[1].top1)
    if metrics.top1 <= own.top1:
        return []
    is_certain = metrics.top1 - own.top1 > margin_of(own.top1, num=own.num_products)
    return [
        f"{best.removesuffix(' alone')} alone is better here: {metrics.top1:.3f} against {own.top1:.3f} on "
        f"{counted(own.num_products, 'product')}{'' if is_certain else ', which is within chance'}"
    ]


def _choice_lines(card: HeadCard, *, frozen: HeadCard | None) -> list[str]:
    """Which of two heads is kept, and by how much it is better."""
    if frozen is None or frozen.evaluation is None or card.evaluation is None:
        return []
    both = [("the fine-tuned CLIP", card.evaluation), ("CLIP as published", frozen.evaluation)]
    shares = [
        f"{each.out_of_fold:.1%} of {each.num_out_of_fold:,} with {name}"
        for name, each in both
        if each.out_of_fold is not None
    ]
    kept = "the fine-tuned CLIP" if is_better(card.evaluation, frozen.evaluation) else "CLIP as published"
    return [f"right out of fold: {', '.join(shares)}; scoring uses the head on {kept}"]


def _confidence_lines(evaluation: CategoryEvaluation | BrandEvaluation) -> list[str]:
    """How far the confidence is off, and what precision can be promised."""
    error = None if evaluation.reliability is None else evaluation.reliability.calibration_error
    lines = [] if error is None else [f"{evaluation.target} confidence: expected calibration error {error:.3f}"]
    return [*lines, *(_promise_line(each, target=evaluation.target) for each in evaluation.promised)]


def _promise_line(promised: Promised, *, target: str) -> str:
    given = promised.promise
    asked = f"prodemb score --precision {given.precision:g}"
    if given.threshold is None:
        needed = given.more_labels_needed
        how = "more labels alone will not do" if needed is None else f"it takes {needed:,} more labelled products or so"
        return f"{asked}: cannot be promised of {target} answers by {given.num_labels:,} labelled products; {how}"
    deep = "" if promised.level is None else f", {promised.level:.1f} levels deep on average"
    kept = "" if promised.kept is None else f"; {promised.kept:.1%} of them are right"
    return f"{asked}: {promised.coverage:.1%} of the test products get a {target}{deep}{kept}"
