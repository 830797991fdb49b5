"""Columns of feeds from many countries and programs are told by their names, their content, or both."""

from pathlib import Path

import polars as pl
import pytest

from prodemb.catalog.guess import ColumnGuess, guess_columns
from prodemb.catalog.profile import Profile, picture_root, profiles_of
from prodemb.catalog.sources import open_file
from prodemb.core.errors import CatalogError

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


def guessed(frame: pl.DataFrame, path: Path) -> dict[str, str]:
    frame.write_parquet(path)
    return {each.standard: each.own for each in guess_columns(profiles_of(open_file(path)))}


HABITS = [
    "product_id title description brand cat1 cat2 image google_category_id",
    "id title description brand product_type custom_label_0 image_link google_product_category",
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
    frame.write_parquet(tmp_path / "c.parquet")
    profiles = profiles_of(open_file(tmp_path / "c.parquet"))
    assert next(each for each in profiles if each.name == "product_category_tree").separator == ">>"
    assert ColumnGuess("cat1", "product_category_tree", "by its name, paths with '>>' between their levels") in (
        guess_columns(profiles)
    )


def test_an_empty_column_is_nothing() -> None:
    profile = Profile(name="brand", values=(), num_rows=9, holds_pictures=False)
    assert guess_columns([profile]) == []


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    products(0 + 1).clear().write_parquet(tmp_path / "c.parquet")
    with pytest.raises(CatalogError, match=r"c\.parquet: found no product"):
        profiles_of(open_file(tmp_path / "c.parquet"))


def test_where_pictures_lie(tmp_path: Path) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    (tmp_path / "photos" / "deep" / "a.jpg").touch()
    assert picture_root(["x.jpg", "photos/deep/a.jpg"], folder=tmp_path) == tmp_path
    assert picture_root(["deep\\a.jpg"], folder=tmp_path) == tmp_path / "photos"
    assert picture_root(["photos/deep/a.jpg"], folder=tmp_path / "photos") == tmp_path
    absolute = str(tmp_path / "photos" / "deep" / "a.jpg")
    assert picture_root([absolute, str(tmp_path / "photos" / "b.jpg")], folder=Path("/")) == tmp_path / "photos"
    assert picture_root(["absent.jpg", "nul\0"], folder=tmp_path) is None
    assert picture_root(["https://x.y/a.jpg"], folder=tmp_path) is None
