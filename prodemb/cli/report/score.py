"""What is shown of scoring and of feeds: what was written, from what, and how many products got no prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodemb.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prodemb.confidence.promise import Promise
    from prodemb.heads.labels import Target
    from prodemb.score.feed import FeedReport
    from prodemb.score.predictions import ScoreCounts
    from prodemb.score.score import ScoreReport


def score_lines(report: ScoreReport) -> list[str]:
    """What scoring wrote, and from which shards."""
    rate = report.num_new / max(1e-9, report.seconds)
    read = ", ".join(f"{target} from {folder}" for target, folder in report.shards.items())
    took = "already scored"
    if not report.was_done:
        # the others by a run before, that was interrupted
        what = (
            "scored" if report.num_new == report.num_products else f"complete, {report.num_new:,} of them scored now,"
        )
        took = f"{what} in {report.seconds:.1f} s ({rate:,.0f}/s)"
    took += f" by {report.num_workers} workers" if report.num_workers > 1 else ""
    where = str(report.out) if report.num_files is None else f"{report.out} in {counted(report.num_files, 'file')}"
    lines = [f"{counted(report.num_products, 'product')} {took}: {where}; {read}"]
    counts = report.counts
    if counts.changes is not None:
        found = ", ".join(f"{count:,} {what}" for what, count in counts.changes.items())
        lines.append(f"compared with the earlier predictions: {found}; unchanged products are not written")
    if count := counts.unanswered.get("category"):
        lines.append(
            f"no category for {counted(count, 'product')}: no vector that the head reads, or no node likely enough"
        )
    if count := counts.unanswered.get("brand"):
        setting = "precision" if "brand" in counts.promises else "min_brand_confidence"
        lines.append(f"brand UNKNOWN for {counted(count, 'product')}: no brand is likely enough ([score] {setting})")
    lines += _gold_lines(counts)
    if report.zero_shot:
        lines.append(
            f"categories are zero-shot: not trained, but the nearest names of {report.zero_shot}; no label says how "
            "often they are right, so category_confidence is null"
        )
    return [*lines, *_promise_lines(counts, num_products=report.num_products)]


def _gold_lines(counts: ScoreCounts) -> list[str]:
    """How many products keep their own labels, and how many cannot."""
    lines = [
        f"{target} from its own gold label for {counted(count, 'product')} ([score] keep_gold)"
        for target, count in counts.gold.items()
        if count
    ]
    if count := counts.unresolved_gold:
        lines.append(
            f"a gold category that cannot be answered, because the head does not know it, for "
            f"{counted(count, 'product')}: predicted instead"
        )
    return lines


def _promise_lines(counts: ScoreCounts, *, num_products: int) -> list[str]:
    """What is promised of each target, and what that costs by level of the taxonomy."""
    lines = [_promise_line(target, made) for target, made in counts.promises.items()]
    if counts.levels:
        before = _reaching([level.before for level in counts.levels], num_products=num_products)
        after = _reaching([level.after for level in counts.levels], num_products=num_products)
        levels = [f"{level} {a:.1%} and {b:.1%}" for level, (a, b) in enumerate(zip(before, after, strict=True), 1)]
        lines.append(
            f"products with a category of level 1 or deeper, of 2 or deeper and so on, before and after: "
            f"{', '.join(levels)}; {counted(counts.backed_off, 'product')} got a parent of the most likely category"
        )
    return lines


def _promise_line(target: Target, made: Promise) -> str:
    """What is promised of one target's answers, and by which labelled products."""
    asked = f"{target} precision {made.precision:g} with certainty {made.certainty:g}"
    labels = f"{counted(made.num_labels, 'labelled product')} (variants count once)"
    if made.threshold is None:
        why = "too many answers are wrong, more labels alone will not do"
        if made.more_labels_needed is not None:
            why = f"too few labels, at least {made.more_labels_needed:,} more are needed"
        return f"{asked}: cannot be promised by {labels}: {why}; nothing is predicted"
    return (
        f"{asked}: promised of predictions with a confidence of {made.threshold:.3g} or more, by {labels}, of which "
        f"{made.coverage:.1%} are answered, {made.observed_precision:.1%} of them right"
    )


def _reaching(counts: Sequence[int], *, num_products: int) -> list[float]:
    """Shares of products that reach each level, of counts by the level where they stand."""
    return [sum(counts[level:]) / max(1, num_products) for level in range(len(counts))]


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
