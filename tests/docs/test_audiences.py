"""The audience of docs/predicting.md, the same in each language: brand, branch and both confidences decide."""

import importlib.util
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.docs.pages import DOCS, Block

(PAGE,) = (page for page in DOCS if page.path.stem == "predicting")
QUERIES = [block for block in PAGE.blocks if "campaign.parquet" in block.text]


def ancestors(*nodes: tuple[int, float]) -> list[dict[str, int | float | str]]:
    return [{"id": node, "path": "", "probability": probability} for node, probability in nodes]


PRODUCTS = [
    ("sure", "Calderra", 0.99, ancestors((536, 0.99), (985, 0.95))),
    ("sure of the branch", "Calderra", 0.9, ancestors((536, 0.95), (985, 0.3))),
    ("unsure of the branch", "Calderra", 0.99, ancestors((536, 0.5), (985, 0.3))),
    (
        "unsure of the brand",
        "Calderra",
        0.6,
        ancestors(
            (536, 0.99),
        ),
    ),
    (
        "another brand",
        "Lumo",
        0.99,
        ancestors(
            (536, 0.99),
        ),
    ),
    (
        "another branch",
        "Calderra",
        0.99,
        ancestors(
            (166, 0.99),
        ),
    ),
    ("no category", "Calderra", 0.99, None),
    ("nothing", "UNKNOWN", None, None),
]


def test_there_is_a_query_for_each_language() -> None:
    assert ["polars" in block.text or "pandas" in block.text or block.language for block in QUERIES] == [
        True,
        True,
        "sql",
    ]


@pytest.mark.parametrize("block", QUERIES, ids=["polars", "pandas", "duckdb"])
def test_an_audience_is_of_the_brand_and_the_branch(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "import pandas" in block.text and not importlib.util.find_spec("pandas"):
        pytest.skip("no pandas here")
    monkeypatch.chdir(tmp_path)
    columns = ["product_id", "brand", "brand_confidence", "category_ancestors"]
    frame = pl.DataFrame(PRODUCTS, schema=columns, orient="row")
    frame.with_columns(partner=pl.lit("alder"), category_id=pl.lit(985)).write_parquet("out.parquet")
    if block.language == "sql":
        duckdb.sql(block.text)
    else:
        exec(block.text, {})
    found = pl.read_parquet("campaign.parquet")
    assert found.columns == ["product_id", "partner", "category_id", "brand"]
    assert found["product_id"].to_list() == ["sure", "sure of the branch"]
