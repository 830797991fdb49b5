"""The audit as a table: one row per finding, the surest first, and the Parquet file of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from prodemb import __version__
from prodemb.audit.findings import KindAudit
from prodemb.audit.judge import Evidence
from prodemb.audit.target import SUPPLIED_COLUMNS
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.bounded import parquet_footer, parse_json
from prodemb.core.features import PARTNER, raw_column
from prodemb.core.files import replacing
from prodemb.heads.labels import GOLD_COLUMNS, BrandLabel, CategoryLabel
from prodemb.shards.format import METADATA_KEY
from prodemb.shards.product_set import supplied_values
from prodemb.shards.reader import ShardSet

Names = Sequence[CategoryLabel | BrandLabel]
"""What the ids of a target stand for."""

_TITLE = raw_column("title")
_NEAREST = pl.List(pl.Struct({"product_id": pl.String, "label": pl.String, "cosine": pl.Float32}))
SCHEMA: dict[str, pl.DataType] = {
    "rank": pl.Int64(),
    "product_id": pl.String(),
    "partner": pl.String(),
    "title": pl.String(),
    "target": pl.String(),
    "kind": pl.String(),
    "given": pl.String(),
    "given_id": pl.Int64(),
    "given_name": pl.String(),
    "given_confidence": pl.Float32(),
    "suggestion_id": pl.Int64(),
    "suggestion": pl.String(),
    "confidence": pl.Float32(),
    "source": pl.String(),
    "nearest": _NEAREST,
}
"""The columns of the file."""
_COUNTS: dict[str, type[pl.DataType]] = {
    "target": pl.String,
    "kind": pl.String,
    "name": pl.String,
    "audited": pl.Int64,
    "findings": pl.Int64,
}
_MARK = "prodemb_audit"
"""A key in the metadata of the file; its value is the version that wrote it."""


def findings_table(audits: Sequence[tuple[KindAudit, ShardSet, Names]]) -> pl.DataFrame:
    """All findings, ranked by how much likelier the suggestion is than what was given (the normalised margin).

    Args:
        audits: each with its shard set, and what its ids stand for.
    """
    frames = [_frame(audit, shard_set=shard_set, names=names) for audit, shard_set, names in audits]
    margin = pl.col("given_confidence") - pl.col("confidence")
    ranked = pl.concat([pl.DataFrame(schema=SCHEMA), *frames]).sort(
        margin, -pl.col("confidence"), "product_id", "target", "kind"
    )
    return ranked.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))


def _frame(audit: KindAudit, *, shard_set: ShardSet, names: Names) -> pl.DataFrame:
    findings = audit.findings.take(np.argsort(audit.findings.rows))
    columns = SUPPLIED_COLUMNS[audit.target] if audit.kind == "supplied" else (GOLD_COLUMNS[audit.target],)
    texts = supplied_values(shard_set, ["product_id", PARTNER, _TITLE, *columns], rows=findings.rows)
    given, suggested = (described(ids, names=names) for ids in (findings.given, findings.suggestions))
    return pl.DataFrame(
        {
            "rank": np.zeros(len(findings), np.int64),
            "product_id": texts["product_id"],
            "partner": texts[PARTNER],
            "title": texts[_TITLE],
            "target": [audit.target] * len(findings),
            "kind": [audit.kind] * len(findings),
            "given": texts.select(pl.concat_str(columns, separator=" > ", ignore_nulls=True)).to_series(),
            "given_id": given["id"],
            "given_name": given["name"],
            "given_confidence": findings.given_confidences,
            "suggestion_id": suggested["id"],
            "suggestion": suggested["name"],
            "confidence": findings.confidences,
            "source": [audit.sources[number] for number in findings.sources.tolist()],
            "nearest": _nearest(findings.evidence, shard_set=shard_set, names=names),
        },
        schema=SCHEMA,
    )


def described(ids: Indices, *, names: Names) -> pl.DataFrame:
    """The columns `id`, of the taxonomy and null for brands, and `name`, a path or a brand, of n ids that are there."""
    labels = [names[number] for number in ids.tolist()]
    return pl.DataFrame(
        {
            "id": [label.id if isinstance(label, CategoryLabel) else None for label in labels],
            "name": [label.path if isinstance(label, CategoryLabel) else label.name for label in labels],
        },
        schema={"id": pl.Int64, "name": pl.String},
    )


def _nearest(evidence: Evidence, *, shard_set: ShardSet, names: Names) -> list[list[dict[str, Any]]]:
    """The nearest labelled products of each finding, as the file has them."""
    rows = np.unique(evidence.rows[evidence.rows != NO_ANSWER])
    product_ids = supplied_values(shard_set, ["product_id"], rows=rows).to_series().to_list()
    id_of = dict(zip(rows.tolist(), product_ids, strict=True))
    numbers = np.unique(evidence.labels[evidence.labels != NO_ANSWER])
    name_of = dict(zip(numbers.tolist(), described(numbers, names=names)["name"], strict=True))
    return [
        [
            {"product_id": id_of.get(row), "label": name_of[label], "cosine": cosine}
            for row, label, cosine in zip(*found, strict=True)
            if label != NO_ANSWER
        ]
        for found in zip(evidence.rows.tolist(), evidence.labels.tolist(), evidence.cosines.tolist(), strict=True)
    ]


def rates_table(audits: Sequence[tuple[KindAudit, ShardSet, Names]]) -> pl.DataFrame:
    """How much of what each partner sent is contradicted: `target`, `kind`, `partner`, `audited` and `findings`."""
    frames = []
    for audit, shard_set, _ in audits:
        partners = shard_set.coded(PARTNER)
        names = pl.Series([*partners.values, None], dtype=pl.String)
        audited = partners.codes[audit.audited != NO_ANSWER]
        frames.append(_counts(audit, names=names, audited=audited, found=partners.codes[audit.findings.rows]))
    return pl.concat([pl.DataFrame(schema=_COUNTS), *frames]).rename({"name": "partner"})


def values_table(audits: Sequence[tuple[KindAudit, ShardSet, Names]]) -> pl.DataFrame:
    """The same by what the values stand for, most findings first: `name` in place of `partner`."""
    frames = []
    for audit, _, names in audits:
        numbers = np.unique(audit.findings.given)
        own = audit.audited[np.isin(audit.audited, numbers)]
        frames.append(
            _counts(
                audit,
                names=described(numbers, names=names)["name"],
                audited=np.searchsorted(numbers, own),
                found=np.searchsorted(numbers, audit.findings.given),
            )
        )
    return pl.concat([pl.DataFrame(schema=_COUNTS), *frames]).sort("findings", "audited", "name", descending=True)


def _counts(audit: KindAudit, *, names: pl.Series, audited: Indices, found: Indices) -> pl.DataFrame:
    """Products that were audited and contradicted by name, given as indices of these; -1 is the last."""
    counts: dict[str, npt.NDArray[np.int64] | list[int]] = {
        "audited": np.bincount(audited % len(names), minlength=len(names)) if len(names) else [],
        "findings": np.bincount(found % len(names), minlength=len(names)) if len(names) else [],
    }
    frame = pl.DataFrame({"name": names} | counts, schema_overrides={"audited": pl.Int64, "findings": pl.Int64})
    kinds = frame.with_columns(target=pl.lit(audit.target), kind=pl.lit(audit.kind))
    return kinds.filter(pl.col("audited") > 0).select([*_COUNTS])


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write the findings; the file is complete or not there.

    Raises:
        BusyError, OutputError: another run writes it, or it cannot be written.
    """
    metadata = {METADATA_KEY: json.dumps({_MARK: __version__}).encode()}
    with replacing(path) as temporary:
        arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
        pq.write_table(arrow.replace_schema_metadata(metadata), temporary, compression="zstd")


def is_audit(path: Path) -> bool:
    """Whether a file holds findings of an audit."""
    try:
        metadata = parse_json((parquet_footer(path).metadata or {}).get(METADATA_KEY, b"{}"))
    except (OSError, ValueError):
        return False
    return isinstance(metadata, dict) and _MARK in metadata
