"""A small project of hostile products with everything that a report can show."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from prodemb.aliases.alias_file import write_aliases
from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.audit.table import SCHEMA, write_table
from prodemb.confidence.answers import write_answers
from prodemb.confidence.promise import Promise
from prodemb.confidence.reliability import Calibration, Reliability, ReliabilityBin
from prodemb.core.features import FEATURES
from prodemb.heads.evaluation import BaselineResult, BrandEvaluation, CategoryEvaluation, Condition, Promised
from prodemb.heads.metrics import Metrics
from prodemb.job.pipeline import Pipeline
from prodemb.shards.reader import open_shard_set
from prodemb.taxonomy.metrics import TreeMetrics
from tests.shard_sets import random_vectors, write_shards
from tests.small_heads import answers_at, make_head, save_predictor, score_with

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</title></style></script><svg onload=alert(1)>",
    "\x1b[31mred\x00\u202e",
    "javascript:alert(1)",
    "<!--",
    "https://ann:secret@host.example/x",
    "&lt;b&gt;",
)
NUM = 60
METRICS = Metrics(top1=0.8, top5=0.9, macro_f1=0.7, ece=0.05, num_products=20)
TREE = TreeMetrics(top1_by_level=(0.9, 0.8), precision=0.9, recall=0.9, f1=0.9, lca_distance=0.2)
PROMISE = Promise(precision=0.9, certainty=0.9, num_labels=400, threshold=0.5, num_answered=300, num_correct=285)


def hostile(number: int) -> str:
    """A text that wants to be markup."""
    return HOSTILE[number % len(HOSTILE)]


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> list[Pipeline]:
    """The pipelines of the project, whose files lie in one folder."""
    folder = tmp_path_factory.mktemp("report")
    _write_catalog(folder)
    for target in ("brand", "category"):
        kind = BrandEvaluation if target == "brand" else CategoryEvaluation
        evaluation = kind(
            methods=(
                BaselineResult(name="TF-IDF + linear SVM", metrics=METRICS.model_copy(update={"top1": 0.7}), seconds=1),
                BaselineResult(name="kNN", metrics=None, seconds=0, note="left out"),
                BaselineResult(name="head alone", metrics=METRICS.model_copy(update={"tree": TREE}), seconds=1),
                BaselineResult(name="prodemb", metrics=METRICS.model_copy(update={"tree": TREE}), seconds=1),
            ),
            conditions=(
                Condition(
                    name="all features",
                    num_products=20,
                    top1={"TF-IDF + linear SVM": 0.7, "prodemb": 0.8},
                    calibration=Calibration(
                        num_products=20, accuracy=0.8, confidence=0.75, error=0.05, by_chance=0.125
                    ),
                ),
                Condition(group="examples", name="6 to 19", num_products=9, top1={"prodemb": 0.75}),
                Condition(name=f"new partner: {hostile(1)}", num_products=9, top1={"prodemb": 0.75}),
            ),
            reliability=Reliability(bins=(ReliabilityBin(confidence=0.5, accuracy=0.4, count=9),) * 2),
            promised=(
                Promised(promise=PROMISE, coverage=0.8, kept=0.95),
                Promised(promise=PROMISE.model_copy(update={"threshold": None, "precision": 0.99})),
            ),
        )
        head = make_head(target, evaluation=evaluation, class_counts=(5,) * 9, epochs=3, seconds=1.5)
        (folder / target).mkdir()
        answers = write_answers(folder / target, answers_at(0.6))
        save_predictor(folder / target, head, answers_sha256=answers)
    heads = [make_head("category"), make_head("brand")]
    score_with([open_shard_set(folder / "shards")], folder / "out.parquet", *heads, min_brand_confidence=0.05)
    rows = [
        AliasRow("Sonaro", "Sonaro", rule="typo", score=0.7, products=4, status="review", proposed=hostile(0)),
        AliasRow(hostile(0), hostile(0), products=6),
        AliasRow(hostile(1), hostile(1), rule=hostile(2), products=6, status="review", proposed="Sonaro"),
    ]
    write_aliases(AliasTable(rows), folder / "aliases.csv")
    finding = {"rank": 1, "product_id": hostile(4), "title": hostile(1), "target": "brand", "kind": "gold"}
    finding |= {"given": hostile(0), "suggestion": hostile(2), "confidence": 0.9}
    write_table(folder / "audit.parquet", pl.DataFrame([finding], schema=SCHEMA))
    values = {
        "catalog": {"path": str(folder / "catalog.csv")},
        "embed": {"out": str(folder / "shards"), "device": "cpu"},
        "brands": {"aliases": str(folder / "aliases.csv")},
        "score": {"out": str(folder / "out.parquet"), "min_brand_confidence": 0.05},
    }
    return [
        Pipeline.parse(values | {"target": target, "train": {"out": str(folder / target)}}, source="test")
        for target in ("brand", "category")
    ]


def _write_catalog(folder: Path) -> None:
    """A catalog whose pictures have hostile names, and shards of the same products."""
    random = np.random.default_rng(0)
    pictures = []
    for number in range(NUM):
        name = f"{number} {hostile(number)}.png".replace("/", "").replace("\x00", "").replace("\x1b", "")
        if number % 3 == 0:
            Image.fromarray(random.integers(0, 255, (40, 60, 3), np.uint8)).save(folder / name)
        pictures.append("https://host.example/a.jpg" if number % 3 == 1 else name)
    columns: dict[str, list[str | None]] = {
        "product_id": [f"p{number}" for number in range(NUM)],
        "title": [f"{hostile(number)} {number}" for number in range(NUM)],
        "brand": ["Sonaro" if number % 2 else hostile(number) for number in range(NUM)],
        "cat1": [hostile(number + 1) for number in range(NUM)],
        "partner": [hostile(number % 3) for number in range(NUM)],
        "brand_label": [hostile(number) if number % 4 == 0 else None for number in range(NUM)],
        "google_category_id": [str(100 + number % 9) if number % 4 == 1 else None for number in range(NUM)],
    }
    pl.DataFrame(columns | {"image": pictures}).write_csv(folder / "catalog.csv")
    write_shards(
        folder / "shards",
        vectors=random_vectors(NUM, features=FEATURES),
        columns=columns,
        sizes=[40, NUM - 40],
        fingerprint="clip",
        model=hostile(4),
    )
