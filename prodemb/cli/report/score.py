"""What is shown of scoring and of feeds: what was written, from what, and how many products got no prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from rich.table import Table

from prodemb.core.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from prodemb.score.feed import FeedReport
    from prodemb.score.score import ScoreReport

NUM_SHOWN = 5
_SHOWN = ("product_id", "category_path", "category_confidence", "brand", "brand_confidence")


def score_lines(report: ScoreReport) -> list[str]:
    """What scoring wrote, and from which shards."""
    rate = report.num_products / max(1e-9, report.seconds)
    read = ", ".join(f"{target} from {folder}" for target, folder in report.shards.items())
    took = "already scored" if report.was_done else f"scored in {report.seconds:.1f} s ({rate:,.0f}/s)"
    lines = [f"{counted(report.num_products, 'product')} {took}: {report.out}; {read}"]
    counts = report.counts
    if counts.changes is not None:
        found = ", ".join(f"{count:,} {what}" for what, count in counts.changes.items())
        lines.append(f"compared with the earlier predictions: {found}; unchanged products are not written")
    if count := counts.unanswered.get("category"):
        lines.append(
            f"no category for {counted(count, 'product')}: no vector that the head reads, or no node likely enough"
        )
    if count := counts.unanswered.get("brand"):
        lines.append(
            f"brand UNKNOWN for {counted(count, 'product')}: no brand is likely enough ([score] min_brand_confidence)"
        )
    if report.zero_shot:
        lines.append(
            f"categories are zero-shot: not trained, but the nearest names of {report.zero_shot}; their confidences "
            "are rough"
        )
    if counts.threshold is not None:
        lines.append(
            f"[score] category_precision: threshold {counts.threshold:g}, chosen on the validation products; "
            f"{counted(counts.backed_off, 'product')} got a parent of the most likely category"
        )
    return lines


def missing_head_lines(report: ScoreReport) -> list[str]:
    """For each target without a head: that its columns are null, and how to get one."""
    return [
        f"no {target} head found, so the {target} columns are null: pass one with --head, or train one with "
        f"`prodemb train-{target}`"
        for target in report.absent
    ]


def feed_lines(report: FeedReport) -> list[str]:
    """What a supplemental feed holds, and what was left out of it."""
    lines = [
        f"{counted(report.num_written, 'product')} written: {report.out}; {report.num_categories:,} with a category, "
        f"{report.num_brands:,} with a brand"
    ]
    if count := report.num_left_out:
        limit = f"{report.min_confidence:g}"
        lines.append(f"left out {counted(count, 'product')}: no category or brand with a confidence of {limit} or more")
    if count := report.num_changed_ids:
        lines.append(
            f"{counted(count, 'id')} changed: a spreadsheet would run such an id as a formula, or it holds control "
            "characters; Google will not find these products"
        )
    return lines


def first_predictions(path: Path) -> Table:
    """The first rows of a predictions file."""
    table = Table(title="First predictions", title_justify="left")
    for column in ("product_id", "category", "confidence", "brand", "confidence"):
        table.add_column(column, justify="right" if column == "confidence" else "left", overflow="fold")
    for row in pl.read_parquet(path, n_rows=NUM_SHOWN).select(_SHOWN).rows():
        table.add_row(*map(_cell, row))
    return table


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
