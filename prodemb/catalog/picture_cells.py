"""What a catalog holds as the pictures of some products."""

from collections.abc import Iterable

from prodemb.catalog.reader import Catalog

_ROWS = 4096


def picture_cells(product_ids: Iterable[str], *, catalog: Catalog) -> dict[str, str | bytes]:
    """Paths, addresses or bytes by product id; nothing is read of them, and products without one are left out.

    Raises:
        CatalogError: the catalog is damaged, or vanished.
    """
    wanted = {*product_ids}
    found: dict[str, str | bytes] = {}
    if catalog.image_kind is None:
        return found
    for table in catalog.batches(_ROWS, columns=["product_id", "image"]):
        ids = table["product_id"].to_pylist()
        for row, product_id in enumerate(ids):
            if product_id in wanted and (cell := table["image"][row].as_py()) is not None:
                found.setdefault(product_id, cell)
        if len(found) == len(wanted):
            break
    return found
