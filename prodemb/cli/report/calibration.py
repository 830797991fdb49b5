"""What is shown of confidence: how far it is off in each condition, beside what chance alone would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.confidence.reliability import NUM_BINS

if TYPE_CHECKING:
    # For annotations alone: at run time they would load torch.
    from prodemb.confidence.reliability import Calibration
    from prodemb.heads.evaluation import BrandEvaluation, CategoryEvaluation, Condition

_FEWEST = 2 * NUM_BINS
"""Products below which nothing is shown of their calibration: bins of one product show chance alone."""

_INDENT = "  "
_CAPTION = (
    "In percent. right: share of answers that are; sure: their mean confidence; ECE: expected calibration error; "
    "chance: what that stays below in 95 of 100 cases where confidence is perfect. Out of fold there are more answers "
    "than test products, so that chance does less. examples: labelled products of the class that were learned from"
)


def calibration_tables(evaluation: CategoryEvaluation | BrandEvaluation) -> list[Table]:
    """How far the confidence is off, by condition and for rare classes; nothing where no answers are known."""
    own, others = (_by_name(each) for each in (evaluation.conditions, evaluation.out_of_fold_conditions))
    names = [
        name for name in dict.fromkeys([*own, *others]) if name in others or not name.startswith(f"{_INDENT}supplied")
    ]
    if not names:
        return []
    table = Table(
        title=f"{evaluation.target.capitalize()} confidence",
        title_justify="left",
        caption=_CAPTION,
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    table.add_column("products", overflow="fold")
    for column in ("test", "right", "sure", "ECE", "chance", "out of fold", "right", "sure", "ECE", "chance"):
        table.add_column(column, justify="right")
    for name in sorted(names, key=lambda name: name.startswith(_INDENT)):  # groups of products last
        table.add_row(name, *_cells(own.get(name)), *_cells(others.get(name)))
    return [table]


def _by_name(conditions: tuple[Condition, ...]) -> dict[str, Calibration]:
    return {
        each.name if each.group is None else f"{_INDENT}{each.group}: {each.name}": each.calibration
        for each in conditions
        if each.calibration is not None and each.calibration.num_products >= _FEWEST
    }


def _cells(calibration: Calibration | None) -> list[str]:
    if calibration is None:
        return [""] * 5
    shares = (calibration.accuracy, calibration.confidence, calibration.error, calibration.by_chance)
    return [f"{calibration.num_products:,}", *(f"{100 * share:.1f}" for share in shares)]
