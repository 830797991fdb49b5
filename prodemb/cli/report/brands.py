"""What is shown of brands: the alias file in numbers, and how well brands are predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.aliases.junk import UNBRANDED, UNKNOWN
from prodemb.core.text import counted

if TYPE_CHECKING:
    # For annotations alone: at run time they would load torch.
    from pathlib import Path

    from prodemb.aliases.table import AliasTable
    from prodemb.heads.head import HeadCard

_SHORT = {
    "supplied as is": "as is",
    "supplied canonical": "canon",
    "first words of title": "title",
    "TF-IDF + linear SVM": "TF-IDF",
    "logistic regression": "LR",
    "head alone": "head",
}
"""Names of methods that fit above a column of figures."""

_CAPTION = (
    "All test products count, whether the head has a class for their brand or not. as is: the supplied brand; canon: "
    "its canonical brand; title: the brand that the title begins with; LR: logistic regression on the same vectors; "
    "head: the brand head alone; prodemb: supplied brand, title, head and neighbours weighed. brand unknown: as if "
    "nobody knew the brand, where UNKNOWN is right"
)


def alias_lines(table: AliasTable, *, path: Path) -> list[str]:
    """What the canonicaliser decided, in numbers.

    Args:
        path: the alias file.
    """
    effective = [row.effective for row in table.rows]
    brands = set(effective) - {UNKNOWN, UNBRANDED}
    junk = sum(name in (UNKNOWN, UNBRANDED) for name in effective)
    review = sum(row.status == "review" for row in table.rows)
    return [
        f"{counted(len(table), 'supplied string')} -> {counted(len(brands), 'canonical brand')}; {junk:,} are no brand "
        f"({UNKNOWN} or {UNBRANDED}), {review:,} need review: edit {path}"
    ]


def brand_tables(card: HeadCard) -> list[Table]:
    """The fused prediction beside the other methods, by condition; nothing where no truth is known."""
    evaluation = card.evaluation
    if evaluation is None or evaluation.target != "brand" or not evaluation.conditions:
        return []
    asked = counted(evaluation.conditions[0].num_products, "test product")
    title = f"Brand: top-1 accuracy in percent on all {asked}"
    table = Table(title=title, title_justify="left", caption=_CAPTION, caption_justify="left", padding=(0, 1, 0, 0))
    table.add_column("products", overflow="fold")
    table.add_column("count", justify="right")
    methods = [method for method in evaluation.conditions[0].top1 if method != "most frequent class"]
    for method in methods:
        name = _SHORT.get(method, method)
        table.add_column(name, justify="right", style="bold" if method == methods[-1] else None, min_width=len(name))
    for condition in evaluation.conditions:
        shares = (condition.top1.get(method) for method in methods)
        cells = ["" if share is None else f"{100 * share:.1f}" for share in shares]
        name = condition.name if condition.group is None else f"  {condition.group}: {condition.name}"
        table.add_row(name, f"{condition.num_products:,}", *cells)
    return [table]
