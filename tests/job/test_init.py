"""From somebody's own file to pipelines that are ready to run, and nothing lost that stood there before."""

import dataclasses
import errno
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.cli.report.init import guess_lines, written_lines
from prodemb.core.errors import CatalogError, OutputError
from prodemb.job.init import guess, write_pipelines
from prodemb.job.pipeline import read_pipeline
from tests.job.own_catalog import PRODUCTS, write


def tables(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_the_pipelines_are_ready_to_run(tmp_path: Path) -> None:
    catalog = write(tmp_path)
    found = guess(catalog)
    runs = found.runs
    assert re.fullmatch(r"runs/Mein-Katalog-[0-9a-f]{6}", runs)
    written = write_pipelines(found, tmp_path / "pipelines")
    brand, category = written.files
    assert [brand.name, category.name] == ["brand.toml", "category.toml"]
    assert brand.read_text().splitlines()[0] == f"# prodemb run {brand}"
    assert tables(brand) == {
        "target": "brand",
        "catalog": {
            "path": str(catalog),
            "image_root": str(tmp_path / "fotos"),
            "category_separator": ">",
            "columns": {
                "product_id": "Artikelnummer",
                "title": "Bezeichnung",
                "brand": "Marke",
                "cat1": "Kategorie",
                "image": "Bild",
                "google_category_id": "google_product_category",
            },
        },
        "embed": {"model": "bundled", "out": f"{runs}/shards/clip"},
        "brands": {"aliases": f"{runs}/aliases.csv"},
        "train": {"out": f"{runs}/heads/brand"},
        "score": {"out": f"{runs}/out.parquet"},
    }
    assert tables(category)["finetune"] == {
        "out": f"{runs}/checkpoints/category",
        "shards": f"{runs}/shards/category",
    }
    for path in written.files:
        pipeline = read_pipeline(path)
        (batch,) = open_catalog(pipeline.catalog).batches(100)
        assert batch.slice(1, 1).select(["product_id", "brand", "cat1", "cat2", "google_category_id"]).to_pylist() == [
            {"product_id": "A1", "brand": "Acme", "cat1": "Küche", "cat2": "Tassen", "google_category_id": "6070"}
        ]


def test_files_that_stand_there_are_kept(tmp_path: Path) -> None:
    found = guess(write(tmp_path))
    mine = tmp_path / "brand.toml"
    mine.write_text("mine")
    (tmp_path / "brand.1.toml").write_text("older")
    written = write_pipelines(found, tmp_path)
    assert written.kept == ((mine, tmp_path / "brand.2.toml"),)
    assert (tmp_path / "brand.2.toml").read_text() == "mine"
    assert (tmp_path / "brand.1.toml").read_text() == "older"
    kept = tmp_path / "brand.2.toml"
    assert next(written_lines(written)) == f"kept the earlier {mine} as {kept}; to undo: mv {kept} {mine}"


def test_what_stands_there_just_so_is_left(tmp_path: Path) -> None:
    found = guess(write(tmp_path))
    before = write_pipelines(found, tmp_path / "pipelines")
    assert write_pipelines(found, tmp_path / "pipelines") == before
    assert sorted(path.name for path in (tmp_path / "pipelines").iterdir()) == ["brand.toml", "category.toml"]


def test_a_file_stands_where_the_new_one_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = guess(write(tmp_path))
    mine = tmp_path / "brand.toml"
    mine.write_text("mine")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"brand\.toml"):
        write_pipelines(found, tmp_path)
    assert mine.read_text() == "mine"


def test_the_sample_pipelines_of_the_repository_come_back(tmp_path: Path) -> None:
    pipelines = tmp_path / "pipe lines"
    shutil.copytree(Path(__file__).parents[2] / "pipelines", pipelines)
    before = {path.name: path.read_bytes() for path in pipelines.iterdir()}
    written = write_pipelines(guess(write(tmp_path)), pipelines)
    back = next(written_lines(written)).partition("to undo: ")[2]
    subprocess.run(back, shell=True, check=True, timeout=60)
    assert {path.name: path.read_bytes() for path in pipelines.iterdir()} == before


def test_repeated_ids_are_said_and_left_out(tmp_path: Path) -> None:
    repeated = pl.concat([PRODUCTS, PRODUCTS.head(3)])
    found = guess(write(tmp_path, repeated))
    assert any("3 rows repeat a product_id" in line and "'Artikelnummer'" in line for line in guess_lines(found))
    (brand, _) = write_pipelines(found, tmp_path).files
    assert open_catalog(CatalogConfig.parse(tables(brand)["catalog"], source="test")).check_ids() == 40


def test_a_standard_name_on_something_else_is_left_out(tmp_path: Path) -> None:
    found = guess(write(tmp_path, PRODUCTS.with_columns(description=pl.lit("12"))))
    (brand, _) = write_pipelines(found, tmp_path).files
    assert tables(brand)["catalog"]["columns"]["description"] == ""
    assert "description" not in open_catalog(read_pipeline(brand).catalog).columns


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (PRODUCTS.select("Bezeichnung", "Marke").head(1).select(pl.all().repeat_by(5).explode()), "be the product_id"),
        (PRODUCTS.select("Artikelnummer", "Preis"), "no column holds text"),
    ],
)
def test_what_cannot_be_a_catalog_is_named(tmp_path: Path, frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        guess(write(tmp_path, frame))


def test_names_that_are_hard_on_toml_survive(tmp_path: Path) -> None:
    odd = 'Bezeichnung "lang" \\ #1\x7f\t=é'
    found = guess(write(tmp_path, PRODUCTS.rename({"Bezeichnung": odd})))
    (brand, _) = write_pipelines(found, tmp_path).files
    assert tables(brand)["catalog"]["columns"]["title"] == odd


def test_the_results_folder_is_called_after_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = guess(write(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "feeds").mkdir()
    for path, name in (
        ("2025.11.01_feed.csv", "2025.11.01_feed"),
        ("./my_feed.csv.gz", "my_feed"),
        ("feeds/", "feeds"),
    ):
        assert dataclasses.replace(found, path=path).runs == f"runs/{name}"
    for path, name in (
        ("feeds/part-*.parquet", "feeds"),
        ("a/My Feed.v2.csv", "My-Feed.v2"),
        ("shops/acme/products.csv", "acme"),
        ("größe.csv", "gr-e"),
        ("製品.csv", "catalog"),
    ):
        assert re.fullmatch(rf"runs/{name}-[0-9a-f]{{6}}", dataclasses.replace(found, path=path).runs)


def test_other_catalogs_get_other_results_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = guess(write(tmp_path))
    monkeypatch.chdir(tmp_path)
    here = [
        "2025.11.01_feed.csv",
        "2025.11.02_feed.csv",
        "shoes.csv",
        "shoes.parquet",
        "製品.csv",
        "商品.csv",
        "a-b.csv",
    ]
    elsewhere = ["a b.csv", "x/shoes.csv", "y/shoes.csv", "x/catalog.csv", "x/products.csv", "x", "y", "x/part-*.csv"]
    for path in ("x", "y"):
        (tmp_path / path).mkdir()
    for path in here:
        (tmp_path / path).touch()
    runs = {path: dataclasses.replace(found, path=path).runs for path in (*here, *elsewhere, ".", "..")}
    assert len(set(runs.values())) == len(runs)
    for path in runs:
        assert dataclasses.replace(found, path=str(tmp_path / path)).runs == runs[path]
