"""What the commands show on the screen: tables of a run's figures, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.aliases.junk import UNBRANDED, UNKNOWN
from prodemb.core.text import counted

if TYPE_CHECKING:
    # For annotations alone: at run time they would load torch for `prodemb inspect`.
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from prodemb.aliases.table import AliasTable
    from prodemb.embed.embed import EmbedReport
    from prodemb.finetune.config import FinetuneConfig
    from prodemb.finetune.report import FinetuneReport
    from prodemb.heads.head import HeadCard
    from prodemb.job.train import TrainReport
    from prodemb.score.score import ScoreReport
    from prodemb.shards.format import Manifest


def embed_lines(report: EmbedReport, *, folder: Path) -> list[str]:
    """What stage one made, and where the time went."""
    manifest = report.manifest
    lines = [f"{counted(manifest.num_products, 'product')} in {counted(len(manifest.shards), 'shard')} at {folder}"]
    if not report.num_new:
        lines[0] += "; all done before"
    else:
        what = "embedded now" if manifest.changes is None else "in shards made now"
        lines[0] += f"; {report.num_new:,} {what}, {report.num_new / report.seconds:,.0f} products/s"
        spent = report.spent
        workers = "" if report.num_workers == 1 else f", {report.num_workers} workers"
        lines.append(
            f"{report.seconds:.1f} s on {report.device}{workers}; in its threads: "
            f"text tower {spent.text_tower:.1f} s ({counted(spent.num_texts, 'distinct text')}), "
            f"image tower {spent.image_tower:.1f} s ({counted(spent.num_images, 'distinct picture')}), "
            f"decoding {spent.decoding:.1f} s, hashing words {spent.hashing:.1f} s, "
            f"reading {spent.reading:.1f} s, writing {spent.writing:.1f} s"
        )
        if report.bottleneck is not None:
            lines.append(f"bottleneck: {report.bottleneck}")
    return [*lines, *change_lines(manifest) * bool(report.num_new), audit_line(manifest), *absence_lines(manifest)]


def change_lines(manifest: Manifest) -> list[str]:
    """What an update found against the set before it."""
    found = manifest.changes
    if found is None:
        return []
    features = ", ".join(f"{feature} {count:,}" for feature, count in found.changed_features.items())
    return [
        f"against the set before: {counted(found.added, 'product')} added, {found.changed:,} changed"
        f"{f' ({features})' if features else ''}, {found.removed:,} removed, {found.unchanged:,} unchanged"
        f"{f', {found.unknown:,} perhaps of damaged shards' if found.unknown else ''}",
        f"vectors: {found.vectors_encoded:,} encoded, {found.vectors_reused:,} reused",
    ]


def audit_line(manifest: Manifest) -> str:
    """Rows in and rows out: each is in one shard, or left out for a reason."""
    skipped_rows = sum(manifest.skipped_rows.values())
    return (
        f"audit: {counted(manifest.num_rows, 'row')} in = {counted(manifest.num_products, 'product')} in shards + "
        f"{skipped_rows:,} left out"
    )


def absence_lines(manifest: Manifest) -> list[str]:
    """Rows left out, and absent vectors by feature and reason."""
    rows = ", ".join(f"{count:,} {reason}" for reason, count in manifest.skipped_rows.items())
    lines = [f"rows left out: {rows}"] if rows else []
    return lines + [
        f"absent {feature}: " + ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        for feature, reasons in manifest.null_counts().items()
        if reasons
    ]


def head_table(card: HeadCard, *, title: str, before: HeadCard | None = None) -> Table:
    """A head beside its baselines on the same test products.

    Args:
        before: the head on CLIP as published, shown beside the fine-tuned one.
    """
    count = card.metrics.num_products if card.metrics else 0
    numbers = f"{counted(len(card.labels), 'class', 'classes')}, {counted(count, 'test product')}"
    table = Table(title=f"{title}: {numbers}", title_justify="left")
    table.add_column("method")
    for column in ("top-1", "top-5", "macro-F1"):
        table.add_column(column, justify="right")
    entries = [(baseline.name, baseline.metrics, baseline.note) for baseline in card.baselines]
    if before is not None:
        entries.append(("prodemb head, CLIP frozen", before.metrics, None))
    name = "prodemb head" if before is None else "prodemb head, CLIP fine-tuned"
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
    "as is: the supplied brand; canon: made canonical; title: the brand that the title begins with; LR: logistic "
    "regression on the same vectors; head: without the other two; prodemb: all of them fused"
)


def brand_tables(card: HeadCard) -> list[Table]:
    """The fused answer beside everything else, by condition; nothing where no truth is known."""
    if card.target != "brand" or not card.conditions:
        return []
    asked = counted(card.conditions[0].num_products, "test product")
    title = f"Brand: top-1 in percent of all {asked}, of known brands or not"
    table = Table(title=title, title_justify="left", caption=_CAPTION, caption_justify="left", padding=(0, 1, 0, 0))
    table.add_column("products", overflow="fold")
    table.add_column("count", justify="right")
    methods = [method for method in card.conditions[0].top1 if method != "most frequent class"]
    for method in methods:
        name = _SHORT.get(method, method)
        table.add_column(name, justify="right", style="bold" if method == methods[-1] else None, min_width=len(name))
    for condition in card.conditions:
        cells = [f"{100 * condition.top1[method]:.1f}" for method in methods]
        name = condition.name if condition.group is None else f"  {condition.group}: {condition.name}"
        table.add_row(name, f"{condition.num_products:,}", *cells)
    return [table]


def head_lines(report: TrainReport) -> list[str]:
    """Where a head lies, what it learned from and how long that took."""
    card = report.head.card
    if report.was_done:
        return [f"{card.target} head at {report.folder}: trained before on {report.shards} with just these settings"]
    covered = "" if card.coverage is None else f"; {card.coverage:.1%} of labelled test products have a known class"
    return [
        f"{card.target} head at {report.folder}, on {report.shards}: "
        f"{counted(len(card.labels), 'class', 'classes')} from {counted(card.num_train, 'product')}, "
        f"{counted(card.epochs, 'epoch')} in {card.seconds:.1f} s, {report.seconds:.1f} s with baselines{covered}"
    ]


def finetune_lines(report: FinetuneReport, *, config: FinetuneConfig) -> list[str]:
    """What fine-tuning did to the validation products.

    Args:
        config: today's settings; the report holds those of the run that trained.
    """
    took = "trained before" if report.was_done else f"in {report.seconds:.1f} s"
    lines = [
        f"checkpoint at {config.out} ({report.fingerprint}), from {report.model} ({report.original_fingerprint}): "
        f"{counted(report.num_train, 'product')} of {counted(report.num_classes, 'category', 'categories')} and "
        f"{report.num_validation:,} to validate, {report.num_pictures:,} of them with a picture, "
        f"{counted(len(report.curve.epochs), 'epoch')} {took}, "
        f"{report.interpolation:.0%} of the new weights kept"
    ]
    if report.before is not None and report.after is not None:
        before, after = report.before.nearest_path, report.after.nearest_path
        changes = [f"{feature} {before[feature]:.3f} -> {after[feature]:.3f}" for feature in before if feature in after]
        asked = counted(report.after.num_products, "validation product")
        lines.append(f"right by nearest category path on {asked}: {', '.join(changes)}")
        if report.before.head is not None and report.after.head is not None:
            lines.append(
                f"right by a linear probe of all features: {report.before.head:.3f} -> {report.after.head:.3f}"
            )
    if report.changed is not None:
        lines.append(
            f"kept, since but {report.changed:.1%} of the labelled products are new or changed ([finetune] max_changed "
            f"= {config.max_changed:g}); `prodemb finetune-category --overwrite`, with the same catalog or --pipeline, "
            "makes it of today's"
        )
    return lines


def score_lines(report: ScoreReport) -> list[str]:
    """What scoring wrote, and from which shards."""
    rate = report.num_products / max(1e-9, report.seconds)
    read = ", ".join(f"{target} from {folder}" for target, folder in report.shards.items())
    took = "scored before" if report.was_done else f"in {report.seconds:.1f} s ({rate:,.0f}/s)"
    lines = [f"{counted(report.num_products, 'product')} {took}: {report.out}; {read}"]
    counts = report.counts
    if counts.changes is not None:
        found = ", ".join(f"{count:,} {what}" for what, count in counts.changes.items())
        lines.append(f"against the earlier predictions: {found}; only what is other was written")
    lines += [
        f"no {target} head was given or found, so the {target} columns are null: name it with --head, or train it with "
        f"`prodemb train-{target}`"
        for target in report.absent
    ]
    lines += [
        f"no {target} for {counted(count, 'product')}: no vector that its head reads, or no node that is sure enough"
        if target == "category"
        else f"{target} UNKNOWN for {counted(count, 'product')}: none is likely enough ([score] min_brand_confidence)"
        for target, count in counts.unanswered.items()
        if count
    ]
    if report.zero_shot:
        lines.append(
            f"categories are zero-shot: no training, the nearest names of {report.zero_shot}; their confidence is a "
            "guess"
        )
    if counts.threshold is not None:
        lines.append(
            f"[score] category_precision: nodes of a probability of {counts.threshold:g} and more are answered, as the "
            f"validation products have it; {counted(counts.backed_off, 'product')} answered with one above the most "
            "probable category"
        )
    return lines


def shard_set_table(manifest: Manifest, *, folder: Path) -> Table:
    """A shard set's counts and origin."""
    schema = manifest.shard_schema
    num_bytes = sum(record.num_bytes for record in manifest.shards)
    table = Table(title=str(folder), title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    per_product = num_bytes / max(1, manifest.num_products)
    shards = counted(len(manifest.shards), "shard")
    skipped_rows = ", ".join(f"{counted(count, 'row')}: {reason}" for reason, count in manifest.skipped_rows.items())
    rows = {
        "products": f"{manifest.num_products:,} in {shards} of up to {manifest.shard_size:,}",
        "catalog": manifest.catalog,
        "model": f"{schema.model} (fingerprint {schema.fingerprint})",
        "vectors": f"{schema.dim} x float16, L2-normalised"
        + (f"; lexical {schema.lexical.dim:,} x float16" if schema.lexical else ""),
        "features": ", ".join(schema.features),
        "left out": skipped_rows or "no row",
        "size": f"{_size(num_bytes)}, {per_product:,.0f} bytes a product",
        "state": "complete (`prodemb verify` checks its bytes)"
        if manifest.complete
        else "unfinished: run `prodemb embed` again",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def absence_table(manifest: Manifest) -> Table:
    """How many vectors are present, and why the others are absent."""
    table = Table(show_header=True)
    table.add_column("feature")
    table.add_column("present", justify="right")
    table.add_column("absent", justify="right")
    table.add_column("reasons")
    null_counts = manifest.null_counts()
    for feature in manifest.shard_schema.features:
        reasons = null_counts.get(feature, {})
        absent = sum(reasons.values())
        shown = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.items())
        table.add_row(feature, f"{manifest.num_products - absent:,}", f"{absent:,}", shown)
    return table


def alias_lines(table: AliasTable, *, path: Path) -> list[str]:
    """What the canonicaliser decided, in numbers."""
    effective = [row.effective for row in table.rows]
    brands = set(effective) - {UNKNOWN, UNBRANDED}
    junk = sum(name in (UNKNOWN, UNBRANDED) for name in effective)
    review = sum(row.status == "review" for row in table.rows)
    return [
        f"{counted(len(table), 'supplied string')} -> {counted(len(brands), 'canonical brand')}, {junk:,} junk or "
        f"no-name, {review:,} to review; see and edit {path}"
    ]


def seconds_table(steps: Iterable[tuple[str, float, str]]) -> Table:
    """Seconds by step, and what each made."""
    table = Table(title="What was made", title_justify="left")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_column("where", overflow="fold")
    for step, seconds, where in steps:
        table.add_row(step, f"{seconds:.1f}", where)
    return table


def first_rows(rows: Sequence[dict[str, object]]) -> Table:
    """A few predictions as an example."""
    table = Table(title="First predictions", title_justify="left")
    for column in ("product_id", "category", "confidence", "brand", "confidence"):
        table.add_column(column, justify="right" if column == "confidence" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in _SHOWN))
    return table


_SHOWN = ("product_id", "category_path", "category_confidence", "brand", "brand_confidence")


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _size(num_bytes: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:,.0f} {unit}" if unit == "bytes" else f"{num_bytes:,.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.1f} TB"
