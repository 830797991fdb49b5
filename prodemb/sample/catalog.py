"""The generated sample catalog: invented products of several partners, with pictures and gold labels."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.bounded import parquet_footer
from prodemb.core.errors import ConfigError
from prodemb.core.features import CATALOG_COLUMNS, PARTNER
from prodemb.core.files import replacing
from prodemb.core.folders import holding
from prodemb.sample.items import Item, make_item
from prodemb.sample.partners import Listing, list_item, pick_partner
from prodemb.sample.pictures import Look, render

CATALOG_NAME = "catalog.parquet"
IMAGE_FOLDER = "images"

_VERSION = "3"
"""Raised when the same seed begins to give other products."""

_ROW_GROUP = 4096
_RELISTED = 0.12
"""Share of products that another listing has too."""
_SAME_PICTURE = 0.5
"""Share of those that carry the very same picture."""
_LOST_PICTURE = 0.01
"""Share of pictures whose path leads nowhere."""
_CUT_PICTURE = 0.005
"""Share of pictures that end too early."""

_COLUMNS = (*CATALOG_COLUMNS, PARTNER)
_SCHEMA = pa.schema([(name, pa.string()) for name in _COLUMNS])


@dataclass(frozen=True, kw_only=True)
class Product:
    """One product of the sample: its catalog row and the bytes of its picture."""

    row: dict[str, str | None]
    """Values by standard column and `partner`; `image` is a path relative to the catalog's folder."""
    picture: bytes | None
    """JPEG, now and then cut short; None where there is no picture, or no file at its path."""


def product(index: int, *, seed: int) -> Product:
    """The product at `index` of the sample of `seed`; it depends on nothing else, so any part can be made alone."""
    rng = Random(f"{seed}/{index}")
    relisted = rng.random() < _RELISTED
    item_index = max(0, index - rng.randint(1, 50)) if relisted else index
    item = make_item(f"{seed}/item/{item_index}")
    partner = pick_partner(rng)
    listing = list_item(item, partner=partner, rng=rng)
    photo_index = item_index if relisted and rng.random() < _SAME_PICTURE else index
    picture = _photograph(item, photo=Random(f"{seed}/photo/{photo_index}"))
    if rng.random() < _CUT_PICTURE:
        picture = picture[: len(picture) // 3]
    has_image, has_file = rng.random() >= partner.no_picture, rng.random() >= _LOST_PICTURE
    product_id = f"s{seed}-{index:08d}"
    return Product(
        row=_row(item, listing, partner=partner.name, product_id=product_id, has_image=has_image),
        picture=picture if has_image and has_file else None,
    )


def write_sample(folder: Path, *, num_products: int, seed: int) -> Path:
    """Write `catalog.parquet` and `images/*.jpg` into `folder`, and return the catalog's path.

    What is already the same sample is left as it is. Memory does not grow with the number of products.

    Raises:
        ConfigError: fewer than one product was asked for.
        OutputError: the folder holds something else than a sample, or cannot be written to.
        BusyError: another run writes a sample there.
    """
    if num_products < 1:
        raise ConfigError(f"products: found {num_products}, wanted at least 1")
    catalog = folder / CATALOG_NAME
    about = {"prodemb.sample": f"version={_VERSION} products={num_products} seed={seed}"}
    if _is_written(catalog, about=about):
        return catalog
    with (
        holding(folder, kind="sample"),
        replacing(catalog) as temporary,
        pq.ParquetWriter(temporary, _SCHEMA.with_metadata(about)) as writer,
    ):
        (folder / IMAGE_FOLDER).mkdir(exist_ok=True)
        for start in range(0, num_products, _ROW_GROUP):
            indices = range(start, min(start + _ROW_GROUP, num_products))
            rows = [_write_picture(product(index, seed=seed), folder=folder) for index in indices]
            writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA.with_metadata(about)))
    return catalog


def _photograph(item: Item, *, photo: Random) -> bytes:
    logo = (item.brand.mark, item.brand.colour) if item.brand else None
    look = Look(category=item.kind.category, colour=item.colour.rgb, logo=logo)
    return render(look, shape=Random(f"{item.seed}/shape"), photo=photo)


def _row(item: Item, listing: Listing, *, partner: str, product_id: str, has_image: bool) -> dict[str, str | None]:
    values: dict[str, Any] = {
        "product_id": product_id,
        "title": listing.title,
        "description": listing.description,
        "brand": listing.brand,
        "cat1": listing.cat1,
        "cat2": listing.cat2,
        "cat3": listing.cat3,
        "image": f"{IMAGE_FOLDER}/{product_id}.jpg" if has_image else None,
        "google_category_id": str(item.kind.category),
        "brand_label": item.brand.name if item.brand else None,
        "partner": partner,
    }
    return {name: values[name] for name in _COLUMNS}


def _write_picture(made: Product, *, folder: Path) -> dict[str, str | None]:
    """Write a product's picture, where it has one, and return its row."""
    if made.picture is not None and made.row["image"] is not None:
        (folder / made.row["image"]).write_bytes(made.picture)
    return made.row


def _is_written(catalog: Path, *, about: dict[str, str]) -> bool:
    """Whether the file is there and says that it is the sample `about` speaks of."""
    try:
        metadata = parquet_footer(catalog).metadata or {}
    except (OSError, ValueError):
        return False
    return all(metadata.get(key.encode()) == value.encode() for key, value in about.items())
