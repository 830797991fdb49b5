"""Small pictures of some products, from the catalog's own files or bytes; nothing is fetched."""

import base64
import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from prodemb.catalog.images import ImageLoader, failure_reason
from prodemb.catalog.picture_cells import picture_cells
from prodemb.catalog.reader import Catalog
from prodemb.catalog.urls import is_address
from prodemb.report.summary import Card
from prodemb.towers.unpack import unpacked

EDGE = 112
"""Pixels of the longer side."""
QUALITY = 70
MAX_BYTES = 5_000_000
"""Characters of all pictures of a report together."""
TOO_MANY = "left out for the size of the report"
"""Why a picture is missing that did not fit."""
_DATA_ADDRESS = "data:"


def with_pictures(cards: Sequence[Card], *, catalog: Catalog, loader: ImageLoader) -> tuple[Card, ...]:
    """The cards with their pictures, as many as fit into `MAX_BYTES`; the others say why they have none.

    Raises:
        CatalogError: the catalog is damaged, or vanished.
    """
    cells = picture_cells({card.product_id for card in cards}, catalog=catalog)
    left = MAX_BYTES
    shown: list[Card] = []
    for card in cards:
        picture, reason = None, "no value"
        if (cell := cells.get(card.product_id)) is not None:
            picture, reason = _picture(cell, loader=loader)
        if picture is not None and len(picture) > left:
            picture, reason = None, TOO_MANY
        left -= len(picture or "")
        shown.append(replace(card, picture=picture, no_picture=None if picture else reason))
    return tuple(shown)


def _picture(cell: str | bytes, *, loader: ImageLoader) -> tuple[str | None, str]:
    """A picture as a data address, or why there is none."""
    if isinstance(cell, str) and is_address(cell.strip()) and cell.strip()[:5].lower() != _DATA_ADDRESS:
        return None, "an address, which a report does not fetch"
    try:
        return _data_address(loader.load(cell)), ""
    except Exception as error:
        return None, failure_reason(error)


def _data_address(data: bytes) -> str:
    """A small JPEG of the picture in a file's bytes, as a data address."""
    with unpacked(data, wanted=EDGE) as (pixels, _):
        image = Image.fromarray(np.ascontiguousarray(pixels))
        image.thumbnail((EDGE, EDGE))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
