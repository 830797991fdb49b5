"""Products as Python has them (a frame, or dicts) as catalog rows: the standard columns as texts, and pictures."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
from PIL import Image, ImageOps

from prodemb.catalog.categories import LEVELS, CategoryRule, split_categories
from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.pictures import picture_of
from prodemb.catalog.plain_text import plain_texts
from prodemb.catalog.values import as_texts, text_of, texts
from prodemb.core.bounded import read_bytes
from prodemb.core.errors import CatalogError, ConfigError
from prodemb.core.features import CATALOG_COLUMNS, FEATURES, PARTNER, PRODUCT_COLUMNS

_COLUMNS = (*CATALOG_COLUMNS, PARTNER)
LARGEST = 2_048
"""Pixels of a side to which a PIL picture is made smaller before it becomes a file's bytes."""


class PandasFrame(Protocol):
    """What a pandas frame is known by."""

    columns: Any
    iloc: Any


Products = pl.DataFrame | PandasFrame | Iterable[Mapping[str, Any]]
"""Products with the standard column names; others are ignored."""


_READABLE = (str, bytes, int, float, Decimal, date, list, tuple, dict, type(None))
"""Values that are read as texts, those of a list or dict as a catalog's are."""


@dataclass(frozen=True, kw_only=True)
class CatalogRows:
    """n products as a catalog's reader gives them."""

    rows: pa.Table
    """`prodemb.core.features.PRODUCT_COLUMNS` without the picture, large_string; no product is held out."""
    pictures: Sequence[str | bytes | None]
    """(n,) paths and addresses, or the bytes of files."""
    errors: Mapping[int, str]
    """By row: why a picture that was given cannot be had."""

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def slice(self, start: int, num: int) -> "CatalogRows":
        """At most `num` of them."""
        stop = start + num
        return CatalogRows(
            rows=self.rows.slice(start, num),
            pictures=self.pictures[start:stop],
            errors={row - start: reason for row, reason in self.errors.items() if start <= row < stop},
        )


def as_rows(
    products: Products,
    *,
    columns: Mapping[str, str],
    category_separator: str | None,
    images: ImagesConfig,
) -> CatalogRows:
    """Clean the values of n products as those of a catalog are.

    Pictures are texts (paths and addresses, which `[images]` must let in), `pathlib.Path` (read wherever it lies),
    bytes of a file, or PIL's. Products without an id get their number.

    Args:
        columns: standard column name -> the products' own, for columns with other names.
        category_separator: what separates the levels where cat1 holds a whole path.

    Raises:
        CatalogError: the products have none of the features, or are no products.
        ConfigError: `columns` names no standard column, or one that the products lack.
    """
    own = _columns(products)
    for standard, name in columns.items():
        if standard not in _COLUMNS or name not in own:
            wanted = f"one of {', '.join(_COLUMNS)}" if standard not in _COLUMNS else "a column they have"
            raise ConfigError(f"columns: found {standard!r}: {name!r}; wanted {wanted}")
    values = {name: own[columns.get(name, name)] for name in _COLUMNS if columns.get(name, name) in own}
    num = len(next(iter(own.values()), ()))
    if num and not values.keys() & {*FEATURES}:
        raise CatalogError(
            f"products: found the columns {', '.join(map(repr, list(own)[:9]))}; wanted at least one of "
            f"{', '.join(FEATURES)}: name your own in columns"
        )
    cleaned = {name: _texts(column, name=name) for name, column in values.items() if name != "image"}
    if category_separator is not None and "cat1" in cleaned:
        levels = [name for name in LEVELS if name == "cat1" or name not in cleaned]
        rule = CategoryRule(levels=category_separator)
        cleaned |= dict(zip(levels, split_categories(cleaned["cat1"], rule=rule, num_levels=len(levels)), strict=True))
    ids = cleaned.get("product_id", pa.nulls(num, pa.large_string())).to_pylist()
    own_ids = [each or str(number) for number, each in enumerate(ids)]
    cleaned["product_id"] = pa.array(own_ids, pa.large_string())
    names = [name for name in PRODUCT_COLUMNS if name != "image"]
    rows = pa.table({name: cleaned.get(name, pa.nulls(num, pa.large_string())) for name in names})
    pictures, errors = _pictures(values.get("image", [None] * num), max_bytes=images.max_bytes)
    return CatalogRows(rows=rows, pictures=pictures, errors=errors)


def _columns(products: Products) -> dict[str, Any]:
    """The columns by name: polars series, or lists of Python values."""
    if isinstance(products, pl.DataFrame):
        return dict(zip(products.columns, products.get_columns(), strict=True))
    if (
        isinstance(products, pl.LazyFrame)
        or not isinstance(products, Iterable)
        or isinstance(products, Mapping | str | bytes)
    ):
        raise CatalogError(f"products: found {type(products).__name__}, wanted a frame or a list of dicts")
    if hasattr(products, "iloc"):
        frame: Any = products
        return {str(name): _without_nan(frame[name].astype(object).to_list()) for name in frame.columns}
    rows: list[Any] = list(products)
    if odd := [row for row in rows if not isinstance(row, Mapping)]:
        raise CatalogError(f"products: found {type(odd[0]).__name__} among them, wanted dicts")
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _without_nan(values: list[Any]) -> list[Any]:
    """pandas' values with None for what is missing: NaN, NaT and NA are not equal to themselves."""
    return [None if not isinstance(value, list | dict) and (value != value) is not False else value for value in values]


def _texts(column: Any, *, name: str) -> pa.Array:
    if isinstance(column, pl.Series) and column.dtype != pl.Object:
        return as_texts(column.to_arrow(compat_level=pl.CompatLevel.oldest()))
    values = list(column)
    for value in values:
        if not isinstance(value, _READABLE):
            raise CatalogError(f"products: {name}: found {type(value).__name__}, wanted a text")
    return plain_texts(texts(values, of=text_of))


def _pictures(column: Any, *, max_bytes: int) -> tuple[list[str | bytes | None], dict[int, str]]:
    found: list[str | bytes | None] = []
    errors: dict[int, str] = {}
    for row, value in enumerate(column):
        match value:
            case Path():
                try:
                    found.append(read_bytes(value, max_bytes=max_bytes))
                except OSError as error:
                    errors[row] = (error.strerror or "not readable").lower()
                    found.append(None)
                except ValueError:
                    errors[row] = "too large"
                    found.append(None)
            case Image.Image():
                found.append(_file_of(value))
            case bytearray() | memoryview():
                found.append(bytes(value) or None)
            case None | str() | bytes() | list() | dict():
                found.append(picture_of(value))
            case _:
                raise CatalogError(
                    f"products: image: found {type(value).__name__}, wanted a path, an address, bytes or a PIL picture"
                )
    return found, errors


def _file_of(picture: Image.Image) -> bytes:
    """A PIL picture as a PNG file's bytes, upright."""
    picture = ImageOps.exif_transpose(picture)
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    picture.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
