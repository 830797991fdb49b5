"""What is shown of an audit: error rates, the surest findings, and what was not audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from rich.table import Table

from prodemb.core.text import counted
from prodemb.taxonomy.taxonomy import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    # For annotations alone: at run time it would load torch.
    from prodemb.audit.findings import Kind, Reason
    from prodemb.heads.labels import Target
    from prodemb.job.audit import AuditReport

NUM_FINDINGS = 20
NUM_PARTNERS, NUM_VALUES = 20, 5
"""Rows of the tables; of values for each target and kind."""
_LONGEST_TITLE = 60

_WHY: dict[Reason, str] = {
    "few labels": "too few labels to learn from without its own",
    "fine-tuned": "CLIP was fine-tuned with their labels (a head on CLIP as published can audit them)",
    "no value": "none given",
    "no meaning": "stands for no one brand or category",
    "no answer": "no answer",
    "few alike": "too few other products with the same label",
}


def audit_items(report: AuditReport) -> Iterator[str | Table]:
    """Error rates by partner and by value, the surest findings, and the counts."""
    yield _rates(report.rates)
    yield from _values(report.values)
    yield from _surest(report.findings)
    for (target, kind), reasons in report.skipped.items():
        if reasons:
            why = ", ".join(f"{_WHY[reason]}: {count:,}" for reason, count in reasons.items())
            yield f"{_what(target, kind)} not audited: {why}"
    num = counted(len(report.findings), "finding")
    yield f"{counted(report.num_products, 'product')} audited in {report.seconds:.1f} s, {num}: {report.out}"


def _what(target: Target, kind: Kind) -> str:
    return f"{kind} {target}"


def _rates(rates: pl.DataFrame) -> Table:
    """By partner, those with the most products first."""
    table = Table(title="What is contradicted, by partner", title_justify="left")
    for column in ("partner", "what"):
        table.add_column(column, overflow="fold")
    for column in ("audited", "contradicted", "share"):
        table.add_column(column, justify="right")
    shown = rates.sort("audited", descending=True).group_by("target", "kind", maintain_order=True).head(NUM_PARTNERS)
    for target, kind, partner, audited, findings in shown.select(
        "target", "kind", "partner", "audited", "findings"
    ).iter_rows():
        share = f"{findings / audited:.1%}"
        table.add_row(partner or "-", _what(target, kind), f"{audited:,}", f"{findings:,}", share)
    return table


def _values(values: pl.DataFrame) -> Iterator[Table]:
    """The values with the most findings."""
    if values.is_empty():
        return
    table = Table(title="Values that are contradicted most often", title_justify="left")
    for column in ("what", "value"):
        table.add_column(column, overflow="fold")
    for column in ("audited", "contradicted", "share"):
        table.add_column(column, justify="right")
    for target, kind, name, audited, findings in (
        values.group_by("target", "kind", maintain_order=True)
        .head(NUM_VALUES)
        .select("target", "kind", "name", "audited", "findings")
        .iter_rows()
    ):
        table.add_row(_what(target, kind), name, f"{audited:,}", f"{findings:,}", f"{findings / audited:.1%}")
    yield table


def _surest(findings: pl.DataFrame) -> Iterator[Table]:
    """The first findings."""
    if findings.is_empty():
        return
    table = Table(title="Surest findings", title_justify="left")
    table.add_column("rank", justify="right")
    for column in ("title", "what", "given", "suggestion"):
        table.add_column(column, overflow="fold")
    table.add_column("confidence", justify="right")
    table.add_column("source")
    for row in findings.head(NUM_FINDINGS).iter_rows(named=True):
        table.add_row(
            f"{row['rank']:,}",
            (row["title"] or "-")[:_LONGEST_TITLE],
            _what(row["target"], row["kind"]),
            row["given_name"].rpartition(SEPARATOR)[2],
            row["suggestion"].rpartition(SEPARATOR)[2],
            f"{row['confidence']:.3f}",
            row["source"],
        )
    yield table
