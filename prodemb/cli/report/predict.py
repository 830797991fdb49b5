"""What is shown of predictions: of a feed, and of one product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Column, Table

from prodemb.cli.report.embed import audit_line, change_lines
from prodemb.cli.report.score import missing_head_lines, score_lines
from prodemb.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    # For annotations alone: at run time it would load torch.
    from prodemb.heads.labels import Target
    from prodemb.job.predict import PredictReport
    from prodemb.predict.comparison import FeedComparison
    from prodemb.predict.explain import Explanation


def feed_items(report: PredictReport) -> Iterator[str | Table]:
    """What was embedded and scored of a feed, and how it differs from what the heads were trained on."""
    for folder, embedded in report.embedded.items():
        manifest = embedded.manifest
        what = f"{embedded.num_new:,} embedded in {embedded.seconds:.1f} s" if embedded.num_new else "none is new"
        yield f"{counted(manifest.num_products, 'product')} in the cache at {folder}, {what}"
        if embedded.num_new:
            yield from change_lines(manifest)
        yield audit_line(manifest)
    yield from score_lines(report.score)
    yield from missing_head_lines(report.score)
    yield _comparison_table(report.comparison)


def _comparison_table(comparison: FeedComparison) -> Table:
    table = Table(title="This feed beside the labelled products that the heads learned from", title_justify="left")
    table.add_column("share of products", overflow="fold")
    table.add_column("this feed", justify="right")
    table.add_column("learned from", justify="right")
    known = {
        "category: like none of the labelled ones": comparison.unknown_categories,
        "brand: neither a label nor in the alias file": comparison.unknown_brands,
    }
    for name, share in known.items():
        if share is not None:
            table.add_row(name, f"{share:.1%}", "")
    for feature, (here, learned) in comparison.empty.items():
        table.add_row(f"{feature}: empty", f"{here:.1%}", "" if learned is None else f"{learned:.1%}")
    return table


def product_items(prediction: Mapping[str, Any], explanations: Iterable[Explanation]) -> Iterator[str | Table]:
    """The answers for one product, who speaks for each, and the nearest labelled products.

    Args:
        prediction: its columns of the predictions file.
    """
    for explanation in explanations:
        is_brand = explanation.target == "brand"
        answer = prediction["brand" if is_brand else "category_path"]
        confidence, source = (prediction[f"{explanation.target}_{what}"] for what in ("confidence", "source"))
        sure = "" if confidence is None else f", confidence {confidence:.3f}"
        yield f"{explanation.target}: {answer or 'none'}{sure}{f', decided by: {source}' if source else ''}"
        if prediction[f"{explanation.target}_known"] is False:
            yield f"  {_UNKNOWN[explanation.target]}"
        answers = Table("likeliest", Column("probability", justify="right"), "first choice of")
        for each in explanation.answers:
            answers.add_row(each.name, f"{each.probability:.3f}", ", ".join(each.voices))
        yield answers
        if explanation.neighbours:
            near = Table("nearest labelled products", Column("cosine", justify="right"), "title")
            for product in explanation.neighbours:
                near.add_row(product.label, f"{product.cosine:.3f}", (product.title or "")[:_LONGEST_TITLE])
            yield near


_LONGEST_TITLE = 60
_UNKNOWN: dict[Target, str] = {
    "category": "unlike the products of all labelled categories",
    "brand": "neither a label nor in the alias file",
}
