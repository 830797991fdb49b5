"""Columns of feeds from many countries and programs are told by their names, their content, or both."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from prodemb.catalog.choose_id import choose_id
from prodemb.catalog.formats import open_source
from prodemb.catalog.gold import _are_certain
from prodemb.catalog.guess import TableGuess, guess_table
from prodemb.catalog.profile import Profile, profiles_of
from prodemb.taxonomy.taxonomy import sample_taxonomy

BRANDS = ["Acme", "Zenit", "Nord & Sund", "Kiko Lab"]
KINDS = [("Kitchen", "Mugs"), ("Kitchen", "Pans"), ("Toys", "Puzzles")]


def products(num_rows: int = 60) -> pl.DataFrame:
    """Products as a shop would have them, under the standard names."""
    rows = []
    for n in range(num_rows):
        brand, (above, kind) = BRANDS[n % 4], KINDS[n % 3]
        rows.append(
            {
                "product_id": f"SKU-{1000 + n}",
                "title": f"{brand} {kind[:-1]} model {n} in blue",
                "description": f"This is the {n}th of our fine {kind.lower()}. " * 6,
                "brand": brand if n % 5 else None,
                "cat1": above,
                "cat2": kind,
                "image": f"https://shop.example/p/{n}.jpg?w=800",
                "google_category_id": str(2169 + n % 3),
                "price": f"{n}.99",
                "link": f"https://shop.example/p/{n}",
            }
        )
    return pl.DataFrame(rows)


def found_in(frame: pl.DataFrame, path: Path) -> TableGuess:
    frame.write_parquet(path)
    return guess_table(profiles_of([open_source(path)]), taxonomies=[sample_taxonomy()])


def guessed(frame: pl.DataFrame, path: Path) -> dict[str, str]:
    found = found_in(frame, path)
    chosen, _ = choose_id([open_source(path)], found, max_lost_rate=0.02)
    columns = {each.standard: each.own for each in found.columns}
    return ({"product_id": chosen.own} if chosen else {}) | columns


HABITS = [
    "product_id title description brand cat1 cat2 image google_category_id",
    "id title description brand product_type product_type_2 image_link google_product_category",
    "Artikelnummer Bezeichnung Beschreibung Marke Kategorie Unterkategorie Bild-URL google_product_category",
    "Référence Libellé Descriptif Marque Catégorie Sous-catégorie photo g:google_product_category",
    "uniq_id product_name about_product manufacturer main_category sub_category images googleProductCategory",
    "Variant SKU Title Body_HTML Vendor Type Subcategory Image_Src Google_Category",
    "asin productDisplayName productDescription brandName masterCategory subCategory imageUrl google_category_id",
    "codigo nombre descripcion marca categoria subcategoria imagen google_product_category",
]


@pytest.mark.parametrize("habit", HABITS)
def test_columns_are_told_by_their_names(tmp_path: Path, habit: str) -> None:
    standard = ["product_id", "title", "description", "brand", "cat1", "cat2", "image", "google_category_id"]
    own = habit.replace("Variant SKU", "Variant_SKU").split()
    names = dict(zip(standard, own, strict=True))
    assert guessed(products().rename(names), tmp_path / "c.parquet") == names


def test_columns_without_telling_names_are_told_by_content(tmp_path: Path) -> None:
    frame = products()
    names = {name: f"column_{place}" for place, name in enumerate(frame.columns)}
    found = guessed(frame.rename(names), tmp_path / "c.parquet")
    assert found == {name: names[name] for name in ("product_id", "title", "description", "brand", "image")}


def test_content_can_rule_a_name_out(tmp_path: Path) -> None:
    frame = (
        products()
        .rename({"image": "url", "product_id": "code"})
        .with_columns(pl.col("price").alias("image"), pl.col("brand").alias("id"), pl.lit("12").alias("brand"))
    )
    found = guessed(frame, tmp_path / "c.parquet")
    assert (found["image"], found["product_id"]) == ("url", "code")
    assert found.get("brand") != "brand"


def test_parts_of_names_count_less(tmp_path: Path) -> None:
    frame = (
        products().rename({"title": "fr_titre_produit"}).with_columns(image_alt_text=pl.col("fr_titre_produit") + " x")
    )
    assert guessed(frame, tmp_path / "c.parquet")["title"] == "fr_titre_produit"


def test_pictures_are_told_by_their_bytes(tmp_path: Path) -> None:
    frame = products().drop("image").with_columns(blob=pl.lit(b"\xff\xd8\xff\xe0 a picture"), other=pl.lit(b"none"))
    assert guessed(frame, tmp_path / "c.parquet")["image"] == "blob"


def test_category_paths_are_seen(tmp_path: Path) -> None:
    frame = products().with_columns(product_category_tree=pl.col("cat1") + " >> " + pl.col("cat2")).drop("cat1", "cat2")
    found = found_in(frame, tmp_path / "c.parquet")
    assert found.category_separator == ">>"
    assert found.own("cat1") == "product_category_tree"


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"id": [1, 1, 2, 2], "sku": ["a", "b", "c", "d"]}, "sku"),
        ({"id": [None, 2, 3, 4], "sku": ["a", "b", "c", "d"]}, "sku"),
        ({"id": [None, 2, 3, 4], "sku": ["a", "a", "c", "d"]}, "id"),
        ({"id": [1, 1, 2, 2], "price": [1.5, 2.5, 3.5, 4.5]}, None),
        ({"year": [2001, 2002, 2003, 2004]}, None),
        ({"column_1": [0, 1, 2, 3], "ref": ["a", "b", "c", "d"]}, "ref"),
        ({"column_1": [0, 1, 2, 3]}, None),
    ],
)
def test_the_id_is_chosen_by_what_it_keeps(tmp_path: Path, columns: dict[str, list[Any]], chosen: str | None) -> None:
    frame = pl.DataFrame({"title": [f"A blue mug {n}" for n in ("I", "II", "III", "IV")], **columns})
    assert guessed(frame, tmp_path / "c.parquet").get("product_id") == chosen


def test_gold_is_what_the_taxonomy_knows(tmp_path: Path) -> None:
    frame = products().drop("google_category_id").with_columns(main_category=pl.lit("Furniture"))
    mixed = ["187", "Apparel &amp; Accessories &gt; Shoes", "Furniture"]
    for name in ("google_product_category", "Google Shopping / Google Product Category", "category_of_google"):
        named = frame.with_columns(pl.Series(mixed * 20).alias(name))
        assert guessed(named, tmp_path / "c.parquet")["google_category_id"] == name
    known = frame.drop("cat2").with_columns(category=pl.Series(["187", "5598", "2271"] * 20))
    assert guessed(known, tmp_path / "c.parquet")["google_category_id"] == "category"
    own = frame.drop("cat1", "cat2").with_columns(category=pl.Series(["Shoes > Low", "Shoes > High", "Coats"] * 20))
    found = guessed(own, tmp_path / "c.parquet")
    assert "google_category_id" not in found
    assert found["cat1"] == "category"


def test_an_empty_column_is_nothing() -> None:
    profile = Profile(name="brand", cells=(), values=(), present=np.zeros(9, np.bool_))
    assert guess_table([profile], taxonomies=[sample_taxonomy()]).columns == ()


def test_columns_that_are_filled_late_are_seen(tmp_path: Path) -> None:
    rows = "".join(f"{n},Blue mug {n},{'Acme' if n > 9_000 else ''}\n" for n in range(12_000))
    (tmp_path / "c.csv").write_text(f"id,title,brand\n{rows}")
    (_, _, brand) = profiles_of([open_source(tmp_path / "c.csv")])
    assert set(brand.values) == {"Acme"}


@pytest.mark.parametrize("number", ["9" * 5000, "²"])
def test_digits_that_are_no_number_are_a_value_like_any_other(tmp_path: Path, number: str) -> None:
    pl.DataFrame({"kind": [*map(str, range(200, 259)), number]}).write_parquet(tmp_path / "feed.parquet")
    (profile,) = profiles_of([open_source(tmp_path / "feed.parquet")])
    assert _are_certain(profile)
    assert not profile.is_counter


def test_of_thousands_of_columns_those_with_telling_names_are_looked_at(tmp_path: Path) -> None:
    names = ["sku", *(f"c{number}" for number in range(6_000)), "product title", "brand"]
    rows = (",".join([f"s{row}", *[f"v{row}"] * 6_000, f"Blue mug {row}", f"Acme {row % 3}"]) for row in range(20))
    (tmp_path / "feed.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    started = time.process_time()
    profiles = profiles_of([open_source(tmp_path / "feed.csv")])
    assert len(profiles) == 1_000
    found = guess_table(profiles, taxonomies=[sample_taxonomy()])
    assert time.process_time() - started < 15
    assert {(guess.standard, guess.own) for guess in found.columns} >= {("title", "product title"), ("brand", "brand")}
