"""Auditing a catalog: planted errors come first, no predictor has seen the labels it contradicts, and the file."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from prodemb.audit.table import SCHEMA
from prodemb.audit.target import audit_target
from prodemb.category.fit import out_of_fold
from prodemb.core.errors import ConfigError
from prodemb.core.progress import no_progress
from prodemb.heads.train import NO_FOLD, load_labelled
from prodemb.job.audit import AuditReport, audit_shards
from prodemb.job.targets import CategoryTarget
from prodemb.shards.reader import open_shard_set
from tests.audit.conftest import NUM, UNLABELLED, WRONG_BRAND, WRONG_CATEGORY, WRONG_GOLD, pipeline_of
from tests.shard_sets import write_columns, write_shards


def audited(
    project: Path, out: Path, *, shards: Path | None = None, targets: tuple[str, ...] = ("brand", "category")
) -> AuditReport:
    return audit_shards(
        [open_shard_set(shards or project / "shards")],
        out=out,
        heads=[project / "heads" / target for target in targets],
        brand=pipeline_of(project, "brand"),
        category=pipeline_of(project, "category"),
        progress=no_progress,
    )


@pytest.fixture(scope="module")
def report(project: Path, tmp_path_factory: pytest.TempPathFactory) -> AuditReport:
    return audited(project, tmp_path_factory.mktemp("audit") / "audit.parquet")


def rows_of(table: pl.DataFrame, target: str, kind: str) -> set[int]:
    """The rows of the products that are contradicted."""
    own = table.filter((pl.col("target") == target) & (pl.col("kind") == kind))
    return {int(product[1:]) for product in own["product_id"]}


def test_what_was_planted_is_found_and_little_else(report: AuditReport) -> None:
    found = {key: rows_of(report.findings, *key) for key in (("category", "gold"), ("category", "supplied"))}
    found[("brand", "supplied")] = rows_of(report.findings, "brand", "supplied")
    planted = {
        ("category", "gold"): {*WRONG_GOLD.tolist()},
        ("category", "supplied"): {*WRONG_CATEGORY.tolist(), *range(60, 70)},
        ("brand", "supplied"): {*WRONG_BRAND.tolist(), *range(60, 70)},
    }
    for key, rows in planted.items():
        assert len(found[key] & rows) >= 0.8 * len(rows), key
        assert len(found[key] - rows) <= 4, key
    assert len(rows_of(report.findings, "brand", "gold")) <= 4


def test_a_finding_says_what_was_given_what_is_suggested_and_by_which_evidence(report: AuditReport) -> None:
    table = report.findings
    assert dict(table.schema) == SCHEMA
    assert table.equals(pl.read_parquet(report.out))
    assert table["rank"].to_list() == list(range(1, len(table) + 1))
    assert (table["confidence"] - table["given_confidence"]).is_sorted(descending=True)
    row = table.filter(pl.col("kind") == "gold", pl.col("target") == "category").row(0, named=True)
    assert row["partner"] == ("one" if int(row["product_id"][1:]) % 2 else "two")
    assert row["given"] == str(row["given_id"])
    assert row["suggestion"] != row["given_name"]
    assert row["suggestion_id"] in (2, 4, 6, 7)
    assert [near["label"] for near in row["nearest"]] == [row["suggestion"]] * 3
    assert row["product_id"] not in {near["product_id"] for near in row["nearest"]}
    brand = table.filter(pl.col("target") == "brand").row(0, named=True)
    assert (brand["given_id"], brand["suggestion_id"]) == (None, None)
    assert brand["source"] in ("title", "head")


def test_products_without_a_label_are_answered_by_the_heads_that_know_this_set(report: AuditReport) -> None:
    own = report.findings.filter(pl.col("product_id").is_in([f"p{row}" for row in UNLABELLED]))
    assert set(own["kind"]) == {"supplied"}
    assert all(near["product_id"] for row in own["nearest"] for near in row)


def test_what_was_audited_and_what_not_add_up_to_all_products(report: AuditReport) -> None:
    for (target, kind), reasons in report.skipped.items():
        own = report.rates.filter((pl.col("target") == target) & (pl.col("kind") == kind))
        assert own["audited"].sum() + sum(reasons.values()) == NUM
        assert set(own["partner"]) == {"one", "two"}
    by_value = report.values.group_by("target", "kind").agg(pl.col("findings").sum())
    assert by_value["findings"].sum() == report.rates["findings"].sum() == len(report.findings)
    assert report.skipped["category", "gold"] == {"no value": len(UNLABELLED)}
    assert (report.values["findings"] <= report.values["audited"]).all()


def test_neighbours_of_another_set_have_no_product_ids(project: Path, tmp_path: Path) -> None:
    """Ten unlabelled products of another set, whose words are those of the first."""
    shard_set = open_shard_set(project / "shards")
    frame, rows = shard_set.frame(), np.arange(60, 70)
    vectors = {feature: shard_set.vectors(feature)[rows] for feature in shard_set.schema.features}
    columns = {name: frame[f"raw_{name}"][rows.tolist()].to_list() for name in ("title", "brand", "cat1")}
    write_shards(tmp_path / "shards", vectors=vectors, columns={**columns, "brand": ["Unheard"] * 10}, sizes=[10])
    found = audited(project, tmp_path / "audit.parquet", shards=tmp_path / "shards")
    assert found.skipped["category", "gold"] == {"no value": 10}
    supplied = found.findings.filter(pl.col("target") == "category")
    assert len(supplied) >= 8
    assert not any(near["product_id"] for row in supplied["nearest"] for near in row)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audit.csv", "wanted a name that ends in .parquet"),
        ("other.parquet", "holds no findings of an audit"),
        ("shards/audit.parquet", "its folder is a shard set"),
    ],
)
def test_nothing_but_an_audit_is_replaced(project: Path, tmp_path: Path, name: str, message: str) -> None:
    write_columns(tmp_path / "shards", title=["a"])
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(ConfigError, match=message):
        audited(project, tmp_path / name)


def test_an_earlier_audit_is_replaced(project: Path, report: AuditReport, tmp_path: Path) -> None:
    out = Path(shutil.copy(report.out, tmp_path / "audit.parquet"))
    found = audited(project, out, targets=("brand",)).findings
    assert pl.read_parquet(out).equals(found)
    assert rows_of(found, "brand", "supplied") == rows_of(report.findings, "brand", "supplied")


def test_labels_that_the_model_was_fine_tuned_with_are_not_audited(project: Path) -> None:
    """They are in no fold, so nothing that has not seen them answers for them."""
    pipeline, shard_set = pipeline_of(project, "category"), open_shard_set(project / "shards")
    target = CategoryTarget(pipeline, shard_set=shard_set)
    data = load_labelled(shard_set, labels=target.labels(), config=pipeline.train, device=torch.device("cpu"))
    folds = np.where(data.folds == 0, np.int8(NO_FOLD), data.folds)
    judged = [*out_of_fold(replace(data, folds=folds), recipe=target.recipe(), progress=no_progress)]
    assert not {*np.flatnonzero(data.folds == 0)} & {*np.concatenate([inside for inside, _ in judged]).tolist()}
    gold = np.full(shard_set.num_products, -1)
    gold[data.rows] = 0
    kinds = audit_target(shard_set, target="category", parts=[], gold=gold, sources=(), why_outside="fine-tuned")
    assert [kind.skipped["fine-tuned"] for kind in kinds] == [NUM, len(data.rows)]
