"""`prodemb label`, from a catalog of several partners' folders without a category to predictions that honour labels."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from prodemb.cli import app
from prodemb.label.label_file import read_label_file
from tests.finetune.shop import CATEGORIES, NUM_PRODUCTS, WORDS
from tests.shard_sets import write_clustered_set


def prodemb(*words: str) -> str:
    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 0, f"{result.exception!r}\n{result.output}"
    return " ".join(result.output.split())


def write_feeds(folder: Path) -> None:
    """Two partners, of different columns, who know no category of Google's."""
    kinds = [WORDS[i % 4] for i in range(NUM_PRODUCTS)]
    titles = [f"red {word} {i}" for i, (word, _) in enumerate(kinds)]
    frame = pl.DataFrame({"product_id": [f"p{i}" for i in range(NUM_PRODUCTS)], "title": titles})
    (folder / "alder").mkdir(parents=True)
    (folder / "borea").mkdir()
    frame[:80].with_columns(cat1=pl.Series([group for _, group in kinds[:80]])).write_csv(folder / "alder/feed.csv")
    frame[80:].rename({"title": "name", "product_id": "sku"}).write_csv(folder / "borea/feed.csv", separator=";")


def test_folders_of_several_partners_are_labelled_and_trained_on_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_feeds(Path("feeds"))
    prodemb("init", "feeds/*/feed.csv")
    paths = "1 - sport\n2 - sport > shoe\n3 - home\n4 - home > mug\n5 - home > lamp\n6 - steel\n7 - steel > watch\n"
    Path("taxonomy.txt").write_text(paths)
    pipeline = Path("pipelines/category.toml")
    settings = 'taxonomy = "taxonomy.txt"\nepochs = 3\nbaselines = { run = false }\n'
    text = pipeline.read_text().replace("[train]\n", f"[train]\n{settings}")
    pipeline.write_text(f"{text}\n[voices]\nnew_partners = 0\n")
    prodemb("embed")
    (shards,) = {path.parent for path in Path().rglob("manifest.json")}
    for words in (
        ["inspect", "shards"],
        ["verify", "shards"],
        *([name, "shards", "out.csv"] for name in ("label", "score", "audit")),
    ):
        error = CliRunner().invoke(app, words).exception
        assert str(error) == (
            f"shards: no such folder; wanted shards; those of the project's own pipelines are in {shards}"
        )
    shown = prodemb("label", str(shards), "to_label.csv", "--products", "24")
    assert "24 products to label in to_label.csv, of 120 without a category" in shown
    assert "likely categories: by zero-shot" in shown

    rows = pl.read_csv("to_label.csv")
    assert {*rows["partner"]} == {"alder", "borea"}
    kind = {word: node for (word, _), node in zip(WORDS, CATEGORIES, strict=True)}
    node = rows["title"].str.extract(r"red (\w+)").replace_strict(kind)
    rows.with_columns(category=node).write_csv("to_label.csv")
    shown = prodemb("train-category", "--labels", "to_label.csv")
    assert "to_label.csv: labels of 24 products" in shown
    assert "4 classes from 24 labelled products" in shown

    prodemb("score", str(shards), "out.parquet", "--labels", "to_label.csv")
    answers = pl.read_parquet("out.parquet", columns=["product_id", "partner", "category_id", "category_source"])
    assert answers.filter(category_source="gold").height == 24
    assert answers.group_by("partner").len().sort("partner").rows() == [("alder", 80), ("borea", 40)]

    shown = prodemb("label", str(shards), "to_label.csv", "--products", "10")
    assert "10 products to label in to_label.csv, of 96 without a category" in shown
    assert "is least sure of first" in shown
    assert "24 rows of the earlier file that somebody has written into kept; 0 others replaced" in shown
    assert read_label_file(Path("to_label.csv")).rows["product_id"].n_unique() == 34


def test_where_every_product_has_a_category_there_is_nothing_to_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clustered_set(Path("shards"), num=60, num_classes=3)
    assert "every product carries a category already" in prodemb("label", "shards", "to_label.csv")
    assert read_label_file(Path("to_label.csv")).rows.is_empty()
