"""What is shown of an audit: error rates, the surest findings, what was not audited, and what partners cannot do."""

from pathlib import Path

import polars as pl
import pytest

from prodemb.audit.table import SCHEMA
from prodemb.cli.display import show
from prodemb.cli.report.audit import audit_items
from prodemb.job.audit import AuditReport

FINDING = {
    "rank": 1,
    "product_id": "p1",
    "partner": "shop",
    "title": "Runner [bold]\x1b[31m" + "x" * 99,
    "target": "category",
    "kind": "supplied",
    "given": "Hats",
    "given_id": 173,
    "given_name": "Apparel > Hats",
    "given_confidence": 0.01,
    "suggestion_id": 187,
    "suggestion": "Apparel > Shoes",
    "confidence": 0.98,
    "source": "words",
    "nearest": [{"product_id": None, "label": "Apparel > Shoes", "cosine": 0.9}],
}


def shown(report: AuditReport, capsys: pytest.CaptureFixture[str]) -> str:
    show(audit_items(report))
    return capsys.readouterr().out


def report_of(findings: list[dict[str, object]]) -> AuditReport:
    counts = {"target": ["category"], "kind": ["supplied"], "audited": [40], "findings": [1]}
    return AuditReport(
        out=Path("audit.parquet"),
        num_products=50,
        seconds=1.0,
        findings=pl.DataFrame(findings, schema=SCHEMA),
        rates=pl.DataFrame({**counts, "partner": ["shop"]}),
        values=pl.DataFrame({**counts, "name": ["Apparel > Hats"]}) if findings else pl.DataFrame(),
        skipped={("category", "supplied"): {"no value": 9, "no meaning": 1}, ("category", "gold"): {}},
    )


def test_rates_findings_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(report_of([FINDING]), capsys)
    assert "2.5%" in text
    assert "[bold]" in text
    assert "x" * 80 not in text
    assert "\x1b[31m" not in text
    assert "Shoes" in text
    assert "supplied category not audited: none given: 9, stands for no one brand or category: 1" in text
    assert "gold category not audited" not in text
    assert "50 products audited in 1.0 s, 1 finding: audit.parquet" in " ".join(text.split())


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(report_of([]), capsys)
    assert "Surest" not in text
    assert "0 findings" in text
