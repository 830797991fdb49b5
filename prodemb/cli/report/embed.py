"""What is shown of embedding: counts, times, changes since the last run, and missing vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodemb.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prodemb.embed.embed import EmbedReport
    from prodemb.shards.format import Manifest
    from prodemb.storage.address import Place


def embed_lines(report: EmbedReport, *, folder: Place) -> list[str]:
    """What stage one made, and where the time went.

    Args:
        folder: the shard set's.
    """
    manifest = report.manifest
    found = f"{counted(manifest.num_products, 'product')} in {counted(len(manifest.shards), 'shard')} at {folder}"
    if not report.num_new:
        return [f"{found}; already up to date", audit_line(manifest), *missing_lines(manifest)]
    what = "embedded" if manifest.changes is None else "in new or updated shards"
    rate = report.num_new / report.seconds
    return [
        f"{found}; {report.num_new:,} {what} at {rate:,.0f} products/s",
        time_line(report),
        *change_lines(manifest),
        audit_line(manifest),
        *missing_lines(manifest),
    ]


def time_line(report: EmbedReport) -> str:
    """Seconds by part of the work, and the part that limits the speed."""
    timings = report.timings
    workers = "" if report.num_workers == 1 else f", {report.num_workers} workers"
    bottleneck = "" if report.bottleneck is None else f"; bottleneck: {report.bottleneck}"
    encoder = ""
    if timings.num_joined:
        encoder = f"text encoder {timings.text_encoder:.1f} s ({counted(timings.num_joined, 'distinct text')}), "
    return (
        f"{report.seconds:.1f} s on {report.device}{workers}; summed over threads: "
        f"text tower {timings.text_tower:.1f} s ({counted(timings.num_texts, 'distinct text')}), "
        f"image tower {timings.image_tower:.1f} s ({counted(timings.num_images, 'distinct picture')}), "
        f"{encoder}"
        f"decoding {timings.decoding:.1f} s, lexical vectors {timings.hashing:.1f} s, "
        f"reading {timings.reading:.1f} s, writing {timings.writing:.1f} s{bottleneck}"
    )


def change_lines(manifest: Manifest) -> list[str]:
    """What an update found, compared with the shard set before it; nothing for a new set."""
    found = manifest.changes
    if found is None:
        return []
    features = ", ".join(f"{feature} {count:,}" for feature, count in found.changed_features.items())
    return [
        f"since the last run: {counted(found.added, 'product')} added, {found.changed:,} changed"
        f"{f' ({features})' if features else ''}, {found.removed:,} removed, {found.unchanged:,} unchanged"
        f"{f', {found.unknown:,} possibly from damaged shards' if found.unknown else ''}",
        f"vectors: {found.vectors_encoded:,} encoded, {found.vectors_reused:,} reused",
    ]


def audit_line(manifest: Manifest) -> str:
    """Rows in and rows out: each is in one shard, or was skipped for a reason."""
    skipped = sum(manifest.skipped_rows.values())
    return (
        f"audit: {counted(manifest.num_rows, 'row')} in the catalog = "
        f"{counted(manifest.num_products, 'product')} in shards + {skipped:,} skipped"
    )


def missing_lines(manifest: Manifest) -> list[str]:
    """Skipped rows, and missing vectors by feature, with the reasons."""
    rows = _reasons(manifest.skipped_rows)
    features = "; ".join(
        f"{feature} {_reasons(reasons)}" for feature, reasons in manifest.null_counts().items() if reasons
    )
    return [f"skipped rows: {rows}"] * bool(rows) + [f"missing vectors: {features}"] * bool(features)


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
