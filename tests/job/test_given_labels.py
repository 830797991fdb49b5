"""`[train] labels`: what a file of labels gives to a shard set, what is told of the rest, and who honours it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.core.errors import CatalogError
from prodemb.core.progress import no_progress
from prodemb.job.given_labels import given_labels, open_labelled, with_given_labels
from prodemb.job.pipeline import Pipeline
from prodemb.job.score import score_shards
from prodemb.job.targets import CategoryTarget
from prodemb.job.train import train
from prodemb.job.zero_shot import has_category_labels
from prodemb.shards.reader import open_shard_set
from tests.shard_sets import write_clustered_set, write_columns

TAXONOMY = "1 - Things\n2 - Things > Mugs\n3 - Things > Shoes\n4 - Lamps\n5 - Arts\n"


def pipeline(folder: Path, *, target: str = "category", **train: Any) -> Pipeline:
    (folder / "taxonomy.txt").write_text(TAXONOMY)
    tables: dict[str, Any] = {
        "target": target,
        "embed": {"device": "cpu"},
        "brands": {"aliases": str(folder / "aliases.csv")},
        "train": {
            "epochs": 1,
            "out": str(folder / f"head-{target}"),
            "taxonomy": str(folder / "taxonomy.txt"),
            "baselines": {"run": False},
        }
        | train,
    }
    return Pipeline.parse(tables, source="test")


def write_labels(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_what_does_not_count_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shards = write_columns(tmp_path / "shards", google_category_id=["2", "3", None, None])
    labels = "product_id,category,brand\np0,2,\np1,4,\np2,Lamps,\np3,2,\np3,3,\ngone,2,\n,2,\n,,Acme\n"
    found, read = open_labelled(
        shards.folder, pipeline=pipeline(tmp_path, labels=write_labels(tmp_path / "l.csv", labels))
    )
    assert read is not None
    assert (read.num_labels, read.num_changed) == (3, 1)
    assert found.frame(["google_category_id"]).to_series().to_list() == ["2", "4", "Lamps", None]
    assert [record.message.partition("l.csv: ")[2] for record in caplog.records] == [
        "2 labels without a product_id are left out",
        "1 product with more than one category, which count as not labelled here: 'p3'",
        f"1 product with a category that are not in {shards.folder}: 'gone'",
    ]


def test_labels_that_mean_one_thing_do_not_contradict_and_those_that_mean_nothing_do_not_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shards = write_columns(tmp_path / "shards", google_category_id=["2", "3", None, None])
    labels = "product_id,category,brand\np0,things>mugs,Acme\np0,2 - Old name,ACME\np1,Lamps,\np2,Mugz,\np3,4,\n"
    own = pipeline(tmp_path, labels=write_labels(tmp_path / "l.csv", labels))
    found, read = open_labelled(shards.folder, pipeline=own)
    assert read is not None
    assert (read.num_labels, read.num_changed) == (3, 1)
    assert found.frame(["google_category_id"]).to_series().to_list() == ["things>mugs", "Lamps", "Mugz", "4"]
    brands = pipeline(tmp_path, target="brand", labels=str(tmp_path / "l.csv"))
    given = given_labels([brands])
    assert given is not None
    assert given.frame.rows() == [("p0", None, "Acme")]
    assert not caplog.records


def test_each_target_has_its_own_file_or_both_one(tmp_path: Path) -> None:
    one = write_labels(tmp_path / "one.csv", "product_id,category,brand\na,2,Acme\nb,,Lumo\n")
    other = write_labels(tmp_path / "other.csv", "product_id,brand\nc,Zed\n")
    brand, category = pipeline(tmp_path, target="brand", labels=other), pipeline(tmp_path, labels=one)
    apart = given_labels([brand, category])
    assert apart is not None
    assert sorted(apart.frame.rows()) == [("a", "2", None), ("c", None, "Zed")]
    both = given_labels([brand.replaced({"train": {"labels": one}}, source="test"), category])
    assert both is not None
    assert sorted(both.frame.rows()) == [("a", "2", "Acme"), ("b", None, "Lumo")]
    assert given_labels([pipeline(tmp_path)]) is None


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such label file"):
        given_labels([pipeline(tmp_path, labels=str(tmp_path / "gone.csv"))])


def test_a_head_learns_them_and_answers_with_them(tmp_path: Path) -> None:
    shards = write_clustered_set(tmp_path / "shards", num=120, num_classes=3)
    blank = write_columns(tmp_path / "blank", title=["a", "b"])
    assert not has_category_labels(blank.folder, progress=no_progress)
    file = tmp_path / "labels.csv"
    # Every product of the shards' category 4 is in truth one of 5, which the shards do not know.
    four = shards.frame(["product_id", "google_category_id"]).filter(google_category_id="4")["product_id"]
    pl.DataFrame({"product_id": four, "category": ["Arts"] * len(four)}).write_csv(file)
    own = pipeline(tmp_path, labels=str(file))
    assert has_category_labels(shards.folder, progress=no_progress, labels=given_labels([own]))

    def trained() -> tuple[bool, list[int]]:
        report = train(own, shards=shards.folder, folder=own.head_folder, progress=no_progress)
        assert report.labels is not None
        assert report.labels.num_changed == report.labels.num_labels == len(four)
        return report.was_done, [each.id for each in report.head.card.classes]  # type: ignore[union-attr]

    assert trained() == (False, [2, 3, 5])
    file.rename(tmp_path / "moved.csv")
    own = pipeline(tmp_path, labels=str(tmp_path / "moved.csv"))
    assert trained() == (True, [2, 3, 5])
    # What a person said is the answer, for these products alone.
    out = tmp_path / "out.parquet"
    labelled = with_given_labels([open_shard_set(shards.folder)], pipelines=[own])
    brand = pipeline(tmp_path, target="brand")
    score_shards(labelled, out=out, heads=[own.head_folder], pipeline=brand, progress=no_progress)
    answers = pl.read_parquet(out, columns=["product_id", "category_id", "category_source"])
    mine = answers.filter(pl.col("product_id").is_in(four.implode()))
    assert mine["category_source"].unique().to_list() == ["gold"]
    assert mine["category_id"].unique().to_list() == [5]


def test_labels_that_are_no_category_are_told_with_their_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shards = write_columns(tmp_path / "shards", google_category_id=["2", "3", None])
    own = pipeline(tmp_path, labels=write_labels(tmp_path / "l.csv", "product_id,category\np2,Mugz\n"))
    found, _ = open_labelled(shards.folder, pipeline=own)
    CategoryTarget(own, shard_set=found).labels()
    assert (
        f"{shards.folder} with {tmp_path / 'l.csv'}: 1 product with a google_category_id that is not in" in caplog.text
    )


def test_brands_are_learned_from_them_and_again_when_they_change(tmp_path: Path) -> None:
    shards = write_clustered_set(tmp_path / "shards", num=120, num_classes=3)
    ids = shards.frame(["product_id", "brand_label"]).filter(brand_label="Brand 1")["product_id"]
    file = tmp_path / "labels.parquet"
    pl.DataFrame({"product_id": ids, "brand": ["Norvik"] * len(ids)}).write_parquet(file)
    own = pipeline(tmp_path, target="brand", labels=str(file))
    report = train(own, shards=shards.folder, folder=own.head_folder, progress=no_progress)
    names = {each.name for each in report.head.card.classes}  # type: ignore[union-attr]
    assert {"Norvik", "Brand 0", "Brand 2"} <= names
    assert report.labels is not None
    assert report.labels.num_labels == len(ids)
    pl.DataFrame({"product_id": ids, "brand": ["Acme"] * len(ids)}).write_parquet(file)
    assert not train(own, shards=shards.folder, folder=own.head_folder, progress=no_progress).was_done
