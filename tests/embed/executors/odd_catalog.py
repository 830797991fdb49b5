"""A catalog at which something happens to the worker that reads it."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog


class OddCatalog(Catalog):
    """A catalog at whose row 48 something happens to the process that reads it, if it is not the first."""

    def __init__(self, path: Path, *, happens: Callable[[Path], None], home: int) -> None:
        plain = open_catalog(CatalogConfig(path=str(path)))
        super().__init__(plain.config, plan=plain.plan)
        self.happens, self.home = happens, home

    def batches(
        self, num_rows: int, *, columns: Iterable[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[pa.Table]:
        for rows in super().batches(num_rows, columns=columns, start=start, stop=stop):
            start += rows.num_rows
            if start > 48 and os.getpid() != self.home:
                self.happens(self.image_root)
            yield rows
