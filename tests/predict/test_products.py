"""Products as Python has them: frames and dicts come to the same rows, and mistakes say what was found."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from prodemb.catalog.images import ImagesConfig
from prodemb.core.errors import CatalogError, ConfigError
from prodemb.core.features import PRODUCT_COLUMNS
from prodemb.predict.products import LARGEST, CatalogRows, Products, as_rows
from tests.conftest import jpeg


def rows_of(products: Products, *, separator: str | None = None, **columns: str) -> CatalogRows:
    return as_rows(products, columns=columns, category_separator=separator, images=ImagesConfig())


DICTS: list[dict[str, Any]] = [
    {"title": " Red &amp; blue mug ", "brand": "N/A", "cat1": 7, "image": "a.jpg", "price": 3},
    {"product_id": "b", "title": None, "cat1": "Home", "image": None},
]


def test_dicts_and_a_polars_frame_come_to_the_same_rows() -> None:
    rows = rows_of(DICTS)
    assert rows.rows.column_names == [name for name in PRODUCT_COLUMNS if name != "image"]
    first, second = rows.rows.to_pylist()
    assert (first["product_id"], first["title"], first["brand"], first["cat1"]) == ("0", "Red & blue mug", None, "7")
    assert (second["product_id"], second["title"], second["cat1"]) == ("b", None, "Home")
    assert rows.pictures == ["a.jpg", None]
    frame = rows_of(pl.DataFrame(DICTS, strict=False))
    assert frame.rows.equals(rows.rows)
    assert frame.pictures == rows.pictures


def test_a_pandas_frame_comes_to_the_same_rows_with_its_missing_values() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"title": ["mug", None, "lamp"], "brand": [float("nan"), pandas.NA, "Lumo"], "cat1": [1, 2, 3]}
    )
    rows = rows_of(frame).rows
    assert rows["title"].to_pylist() == ["mug", None, "lamp"]
    assert rows["brand"].to_pylist() == [None, None, "Lumo"]
    assert rows["cat1"].to_pylist() == ["1", "2", "3"]


def test_own_names_and_paths_of_categories() -> None:
    rows = rows_of(
        [{"name": "mug", "path": "Home > Kitchen > Mugs > Big"}], separator=">", title="name", cat1="path"
    ).rows
    assert rows.select(["title", "cat1", "cat2", "cat3"]).to_pylist() == [
        {"title": "mug", "cat1": "Home", "cat2": "Kitchen", "cat3": "Mugs"}
    ]


def test_pictures_are_paths_bytes_or_pil_s(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    big = Image.new("RGBA", (LARGEST + 400, 10), (255, 0, 0, 128))
    given: list[Any] = [
        tmp_path / "a.jpg",
        jpeg(2),
        bytearray(jpeg(3)),
        big,
        "http://a.b/c.jpg",
        tmp_path / "none.jpg",
        tmp_path,
    ]
    rows = rows_of([{"image": picture} for picture in given])
    assert rows.pictures[:3] == [jpeg(1), jpeg(2), jpeg(3)]
    assert isinstance(rows.pictures[3], bytes)
    opened = Image.open(io.BytesIO(rows.pictures[3]))
    assert (opened.format, opened.mode, opened.width) == ("PNG", "RGBA", LARGEST)
    assert rows.pictures[4:] == ["http://a.b/c.jpg", None, None]
    assert rows.errors == {5: "no such file or directory", 6: rows.errors[6]}
    assert rows.slice(5, 2).errors.keys() == {0, 1}


@pytest.mark.parametrize(
    ("products", "message"),
    [
        ([{"titel": "mug"}], r"found the columns 'titel'; wanted at least one of title"),
        ({"title": ["mug"]}, r"found dict, wanted a frame or a list of dicts"),
        (["mug"], r"found str among them, wanted dicts"),
        ([{"title": "mug", "image": 3}], r"image: found int, wanted a path"),
        ([{"title": object()}], r"title: found object, wanted a text"),
    ],
)
def test_what_is_no_product_is_named(products: Any, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        rows_of(products)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="found 'title': 'name'; wanted a column they have"):
        rows_of([{"brand": "x"}], title="name")
    with pytest.raises(ConfigError, match="found 'titel': 'brand'; wanted one of product_id"):
        rows_of([{"brand": "x"}], titel="brand")


def test_no_products_are_no_rows() -> None:
    assert len(rows_of([])) == 0
    assert len(rows_of(pl.DataFrame({"title": []}))) == 0


VALUES = (
    st.none() | st.text() | st.binary() | st.integers() | st.floats() | st.booleans() | st.lists(st.text(), max_size=2)
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["title", "brand", "cat1", "description"]), VALUES, min_size=1), min_size=1
    )
)
def test_whatever_values_there_are_become_texts(products: list[dict[str, Any]]) -> None:
    assert len(rows_of(products)) == len(products)
