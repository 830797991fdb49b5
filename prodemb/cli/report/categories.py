"""What is shown of a category head: its figures by condition and in the taxonomy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.core.text import counted

if TYPE_CHECKING:
    from prodemb.heads.head import HeadCard

_SHORT = {
    "most frequent class": "freq.",
    "supplied value": "supp.",
    "zero-shot": "0-shot",
    "TF-IDF + linear SVM": "TF-IDF",
    "logistic regression": "LR",
    "head alone": "head",
}
"""Names of methods that fit above a column of figures."""

_CAPTION = (
    "All test products count, whether anything was learned of their category or not. h-F1: hierarchical F1; supp.: "
    "looked up by cat1-3; freq.: the most frequent class; 0-shot: the taxonomy's nearest name; LR: logistic regression "
    "on the same vectors; head: the category head alone; prodemb: all voices weighed. Every method is trained once, on "
    "all features, and tested on those that the condition leaves"
)


def category_tables(card: HeadCard) -> list[Table]:
    """The category head beside the other methods, by condition; nothing where no truth is known."""
    evaluation = card.evaluation
    if evaluation is None or evaluation.target != "category" or not evaluation.conditions:
        return []
    asked = counted(evaluation.conditions[0].num_products, "test product")
    table = Table(
        title=f"Category: figures in percent on all {asked}",
        title_justify="left",
        caption=_CAPTION,
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    table.add_column("products", overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("")
    methods = list(evaluation.conditions[0].top1)
    for method in methods:
        table.add_column(_SHORT.get(method, method), justify="right", style="bold" if method == methods[-1] else None)
    for condition in evaluation.conditions:
        name = condition.name if condition.group is None else f"  {condition.group}: {condition.name}"
        figures = (condition.top1, condition.macro_f1, condition.tree_f1)
        cells = [
            "\n".join(f"{100 * figure[method]:.1f}" for figure in figures) if method in condition.top1 else ""
            for method in methods
        ]
        table.add_row(name, f"{condition.num_products:,}", "top-1\nmacro-F1\nh-F1", *cells)
    return [table]


def category_lines(card: HeadCard) -> list[str]:
    """How close the predicted categories come in the taxonomy, and which voices learned from a sample alone."""
    evaluation = card.evaluation
    if evaluation is None or evaluation.target != "category":
        return []
    bounds = {"words": "max_cost and max_products bound", "neighbours": "max_products bounds"}
    sampled = [
        f"{voice}: learned from {num:,} of {counted(evaluation.num_learned, 'product')}, about as many of each "
        f"category; [voices] {bounds[voice]} that"
        for voice, num in evaluation.learned_by.items()
        if num < evaluation.num_learned
    ]
    metrics = evaluation.methods[-1].metrics if evaluation.methods else None
    if metrics is None or metrics.tree is None:
        return sampled
    tree = metrics.tree
    levels = ", ".join(f"{share:.3f}" for share in tree.top1_by_level)
    return [
        *sampled,
        f"in the taxonomy: top-1 by level {levels}; hierarchical precision {tree.precision:.3f}, recall "
        f"{tree.recall:.3f}, F1 {tree.f1:.3f}; {tree.lca_distance:.2f} steps from the truth up to the common "
        "ancestor on average",
    ]
