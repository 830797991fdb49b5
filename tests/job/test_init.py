"""From somebody's own file to pipelines that are ready to run, and nothing lost that stood there before."""

import dataclasses
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.cli.reading import overview_lines
from prodemb.core.errors import CatalogError
from prodemb.job.init import Guess, guess, write_pipelines
from prodemb.job.pipeline import read_pipeline

PRODUCTS = pl.DataFrame(
    {
        "Artikelnummer": [f"A{n}" for n in range(40)],
        "Bezeichnung": [f"Acme Tasse Nr. {n} blau" if n % 2 else f"Zenit Pfanne Nr. {n}" for n in range(40)],
        "Marke": ["Zenit", "Acme"] * 20,
        "Kategorie": ["Küche > Pfannen", "Küche > Tassen"] * 20,
        "Bild": [f"{n}.jpg" for n in range(40)],
        "google_product_category": ["2169", "6070"] * 20,
        "Preis": [f"{n},99" for n in range(40)],
    }
)


def write(folder: Path, frame: pl.DataFrame = PRODUCTS) -> Path:
    (folder / "fotos").mkdir(exist_ok=True)
    (folder / "fotos" / "7.jpg").touch()
    frame.write_csv(folder / "Mein Katalog.csv")
    return folder / "Mein Katalog.csv"


def lines_of(found: Guess) -> list[str]:
    """What a person is shown."""
    return [*overview_lines(found.overview), *found.notes]


def tables(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_the_pipelines_are_ready_to_run(tmp_path: Path) -> None:
    catalog = write(tmp_path)
    written = write_pipelines(guess(catalog), tmp_path / "pipelines")
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
        "embed": {"model": "bundled", "out": "runs/Mein-Katalog/shards/clip"},
        "brands": {"aliases": "runs/Mein-Katalog/aliases.csv"},
        "train": {"out": "runs/Mein-Katalog/heads/brand"},
        "score": {"out": "runs/Mein-Katalog/out.parquet"},
    }
    assert tables(category)["finetune"] == {
        "out": "runs/Mein-Katalog/checkpoints/category",
        "shards": "runs/Mein-Katalog/shards/category",
    }
    for path in written.files:
        pipeline = read_pipeline(path)
        (batch,) = open_catalog(pipeline.catalog).batches(100)
        assert batch.slice(1, 1).select(["product_id", "brand", "cat1", "cat2", "google_category_id"]).to_pylist() == [
            {"product_id": "A1", "brand": "Acme", "cat1": "Küche", "cat2": "Tassen", "google_category_id": "6070"}
        ]


def test_what_was_guessed_is_said(tmp_path: Path) -> None:
    found = guess(write(tmp_path))
    first = found.overview.columns[0]
    assert (first.own, first.standard, first.reason) == ("Artikelnummer", "product_id", "by its name")
    assert first.samples == ("A0", "A1")
    lines = lines_of(found)
    assert "not used: Preis" in lines
    assert "40 rows -> 40 products: 40 with a title, 40 with a picture, 40 with a gold label" in lines
    assert lines[0] == "WARNING: 39 of 40 pictures looked for are not there"


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
    assert next(written.lines()) == f"kept {mine} as {kept}; to go back: mv {kept} {mine}"


def test_what_stands_there_just_so_is_left(tmp_path: Path) -> None:
    found = guess(write(tmp_path))
    before = write_pipelines(found, tmp_path / "pipelines")
    assert write_pipelines(found, tmp_path / "pipelines") == before
    assert sorted(path.name for path in (tmp_path / "pipelines").iterdir()) == ["brand.toml", "category.toml"]


def test_a_file_stands_where_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    found = guess(write(tmp_path))
    mine = tmp_path / "brand.toml"
    mine.write_text("mine")
    (tmp_path / "brand.toml.tmp").mkdir()
    with pytest.raises(OSError, match=r"brand\.toml"):
        write_pipelines(found, tmp_path)
    assert mine.read_text() == "mine"


def test_the_sample_pipelines_of_the_repository_come_back(tmp_path: Path) -> None:
    pipelines = tmp_path / "pipe lines"
    shutil.copytree(Path(__file__).parents[2] / "pipelines", pipelines)
    before = {path.name: path.read_bytes() for path in pipelines.iterdir()}
    written = write_pipelines(guess(write(tmp_path)), pipelines)
    back = next(written.lines()).partition("to go back: ")[2]
    subprocess.run(back, shell=True, check=True, timeout=60)
    assert {path.name: path.read_bytes() for path in pipelines.iterdir()} == before


def test_repeated_ids_are_said_and_left_out(tmp_path: Path) -> None:
    many = pl.concat([PRODUCTS.with_columns(Artikelnummer=pl.col("Artikelnummer") + f"-{n}") for n in range(5)])
    repeated = pl.concat([many, PRODUCTS.head(3).with_columns(Artikelnummer=pl.lit("A0-0"))])
    found = guess(write(tmp_path, repeated))
    (lost,) = (each for each in found.overview.left_out if each.is_lost)
    assert (lost.count, lost.example) == (2, "'A0-0' in Mein Katalog.csv row 2 and Mein Katalog.csv row 203")
    (brand, _) = write_pipelines(found, tmp_path).files
    assert open_catalog(CatalogConfig.parse(tables(brand)["catalog"], source="test")).check_ids() == 200


def test_ids_are_made_where_no_column_holds_any(tmp_path: Path) -> None:
    repeated = pl.concat([PRODUCTS, PRODUCTS.with_columns(Bezeichnung=pl.col("Bezeichnung") + " II")])
    found = guess(write(tmp_path, repeated))
    assert any("ids are made, such as Mein Katalog.csv#2: 'Artikelnummer'" in line for line in lines_of(found))
    (brand, _) = write_pipelines(found, tmp_path).files
    assert tables(brand)["catalog"]["columns"]["product_id"] == ""
    assert open_catalog(read_pipeline(brand).catalog).check_ids() == 80


@pytest.mark.parametrize("name", ["shop.csv", "partners"])
def test_the_pipeline_reads_what_was_guessed(tmp_path: Path, name: str) -> None:
    (tmp_path / "shop.csv").write_text(
        "Item Type,ID,Name,Categories,Parent,lang\n"
        "Product,1,Blue mug,Home/Mugs;Sale,,en\nSKU,90,[S]Size=M,,,en\nProduct,1,Blaue Tasse,Haus/Tassen,,de\n"
        "Product,2,Red pan,Home/Pans;Sale,,en\nProduct,3,Red pan small,Home/Pans,2,en\nProduct,4,Pot,Sale,,en\n"
    )
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners" / "a.csv").write_text("id,title,type\n1,Blue mug,Home > Mugs\n2,Red pan,Home > Pans\n")
    (tmp_path / "partners" / "b.csv").write_text("Artikelnummer;Bezeichnung\n1;Large pot\n2;Small pot\n")
    found = guess(tmp_path / name)
    (brand, _) = write_pipelines(found, tmp_path).files
    guessed = open_catalog(CatalogConfig(path=str(tmp_path / name), bad_ids="drop"))
    written = open_catalog(read_pipeline(brand).catalog)
    assert not written.plan.guesses
    columns = ["product_id", "title", "cat1", "cat2", "partner"]
    assert [*written.batches(10, columns=columns)] == [*guessed.batches(10, columns=columns)]
    assert written.check_ids() == {"shop.csv": 3, "partners": 4}[name]


def test_a_standard_name_on_something_else_is_left_out(tmp_path: Path) -> None:
    found = guess(write(tmp_path, PRODUCTS.with_columns(description=pl.lit("12"))))
    (brand, _) = write_pipelines(found, tmp_path).files
    assert tables(brand)["catalog"]["columns"]["description"] == ""
    assert "description" not in open_catalog(read_pipeline(brand).catalog).columns


def test_without_gold_labels_the_user_is_told(tmp_path: Path) -> None:
    lines = guess(write(tmp_path, PRODUCTS.drop("google_product_category", "Marke"))).notes
    assert any("categories are answered zero-shot" in line for line in lines)
    assert any("nothing to train brands on" in line for line in lines)


def test_categories_that_only_the_whole_taxonomy_has_are_told(tmp_path: Path) -> None:
    lacking = PRODUCTS.with_columns(google_product_category=pl.Series(["187", "1985"] * 20))
    lines = guess(write(tmp_path, lacking)).notes
    assert any(
        re.match(r"20 of the first 40 values .* `prodemb taxonomy FILE` fetches the whole", line) for line in lines
    )
    known = PRODUCTS.with_columns(google_product_category=pl.lit("187"))
    assert not any("cannot be learned" in line for line in guess(write(tmp_path, known)).notes)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (PRODUCTS.select("Artikelnummer", "Preis"), "no column holds text"),
        (PRODUCTS.clear(), "found no product"),
    ],
)
def test_what_cannot_be_a_catalog_is_named(tmp_path: Path, frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        guess(write(tmp_path, frame))


def test_names_that_are_hard_on_toml_survive(tmp_path: Path) -> None:
    odd = 'Bezeichnung "lang" \\ #1\x7f =é'
    found = guess(write(tmp_path, PRODUCTS.rename({"Bezeichnung": odd})))
    (brand, _) = write_pipelines(found, tmp_path).files
    assert tables(brand)["catalog"]["columns"]["title"] == odd


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("feeds/part-*.parquet", "feeds"),
        ("a/My Feed.v2.csv.gz", "My-Feed.v2"),
        ("2025.11.01_feed.csv", "2025.11.01_feed"),
        ("feeds/", "feeds"),
    ],
)
def test_the_results_folder_is_called_after_the_catalog(tmp_path: Path, path: str, name: str) -> None:
    assert dataclasses.replace(guess(write(tmp_path)), path=path).name == name
