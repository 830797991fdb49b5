"""What is shown of predictions: of a feed, and of one product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.cli.report.embed import audit_line, change_lines
from prodemb.cli.report.score import missing_head_lines, score_lines
from prodemb.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    # For annotations alone: at run time it would load torch.
    from prodemb.job.predict import PredictReport
    from prodemb.predict.comparison import FeedComparison


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
