"""What is shown of confidence: every condition beside chance, test products beside out-of-fold answers."""

import io

from rich.console import Console

from prodemb.cli.report.calibration import calibration_tables
from prodemb.confidence.reliability import Calibration
from prodemb.heads.evaluation import BrandEvaluation, CategoryEvaluation, Condition


def condition(name: str, *, num: int, error: float, group: str | None = None) -> Condition:
    calibration = Calibration(num_products=num, accuracy=0.712, confidence=0.745, error=error, by_chance=0.061)
    return Condition(group=group, name=name, num_products=num, top1={"prodemb": 0.712}, calibration=calibration)


def shown(evaluation: CategoryEvaluation | BrandEvaluation) -> list[str]:
    console = Console(width=120, record=True, file=io.StringIO())
    for table in calibration_tables(evaluation):
        console.print(table)
    return [" ".join(line.replace("│", " ").split()) for line in console.export_text().splitlines()]


def test_test_products_stand_beside_out_of_fold_answers() -> None:
    lines = shown(
        CategoryEvaluation(
            conditions=(condition("title only", num=89, error=0.033), condition("new partner: A", num=40, error=0.02)),
            out_of_fold_conditions=(
                condition("1 to 5", num=45, error=0.082, group="examples"),
                condition("title only", num=2000, error=0.012),
                condition("picture only", num=2000, error=0.01),
            ),
        )
    )
    assert lines[0] == "Category confidence"
    assert "title only 89 71.2 74.5 3.3 6.1 2,000 71.2 74.5 1.2 6.1" in lines
    assert "new partner: A 40 71.2 74.5 2.0 6.1" in lines
    assert "examples: 1 to 5 45 71.2 74.5 8.2 6.1" in lines
    assert lines.index("picture only 2,000 71.2 74.5 1.0 6.1") < lines.index("examples: 1 to 5 45 71.2 74.5 8.2 6.1")


def test_of_too_few_answers_nothing_is_shown() -> None:
    few = condition("1 to 5", num=29, error=0.2, group="examples")
    assert shown(BrandEvaluation(conditions=(few,))) == []
    lines = shown(BrandEvaluation(conditions=(condition("as supplied", num=30, error=0.2), few)))
    assert lines[0] == "Brand confidence"
    assert not any("1 to 5" in line for line in lines)
    assert shown(CategoryEvaluation()) == []
