"""What is shown of a shard set: where it comes from, its size, which vectors are missing, and what was exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from prodemb.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prodemb.shards.export import ExportReport
    from prodemb.shards.format import Manifest
    from prodemb.storage.address import Place


def shard_set_table(manifest: Manifest, *, folder: Place) -> Table:
    """A shard set's counts and origin."""
    schema = manifest.shard_schema
    num_bytes = sum(record.num_bytes for record in manifest.shards)
    table = Table(title=str(folder), title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    per_product = num_bytes / max(1, manifest.num_products)
    shards = counted(len(manifest.shards), "shard")
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in manifest.skipped_rows.items())
    rows = {
        "products": f"{manifest.num_products:,} in {shards} of up to {manifest.shard_size:,}",
        "catalog": manifest.catalog,
        "model": f"{schema.model} (fingerprint {schema.fingerprint})",
        "vectors": f"{schema.dim} x float16, L2-normalised"
        + (f"; lexical {schema.lexical.dim:,} x float16" if schema.lexical else "")
        + (f"; text {schema.text.dim:,} x float16" if schema.text else ""),
        **({"text model": f"{schema.text.model} (fingerprint {schema.text.fingerprint})"} if schema.text else {}),
        "features": ", ".join(schema.features),
        "skipped rows": skipped or "none",
        "size": f"{size_text(num_bytes)}, {per_product:,.0f} bytes per product",
        "state": "complete (`prodemb verify` checks every byte)"
        if manifest.complete
        else "unfinished: run the same `prodemb embed` again to continue",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def vector_table(manifest: Manifest) -> Table:
    """How many vectors each feature has, and why the others are missing."""
    table = Table(title="Vectors by feature", title_justify="left")
    table.add_column("feature")
    table.add_column("present", justify="right")
    table.add_column("missing", justify="right")
    table.add_column("reasons")
    null_counts = manifest.null_counts()
    for feature in manifest.shard_schema.features:
        reasons = null_counts.get(feature, {})
        missing = sum(reasons.values())
        shown = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.items())
        table.add_row(feature, f"{manifest.num_products - missing:,}", f"{missing:,}", shown)
    return table


def export_lines(report: ExportReport) -> Iterator[str]:
    """What an export wrote."""
    yield f"{counted(report.num_products, 'product')} exported: {report.folder}"
    for name, num_bytes in report.files:
        yield f"  {name}, {size_text(num_bytes)}"


def size_text(num_bytes: float) -> str:
    """A number of bytes in the largest unit that fits it."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:,.0f} {unit}" if unit == "bytes" else f"{num_bytes:,.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.1f} TB"
