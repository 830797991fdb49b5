"""The rows of shards in windows, their pictures on the way: what is read ahead of the towers."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.catalog.reader import Catalog
from prodemb.core.errors import CatalogError
from prodemb.core.features import PRODUCT_COLUMNS
from prodemb.core.text import counted
from prodemb.embed.pictures import PictureBatch, PictureFetcher
from prodemb.embed.plan import ShardTask
from prodemb.embed.reuse import Reuse
from prodemb.shards.format import HASH_BYTES, NO_VALUE
from prodemb.shards.hashes import content_hash, image_sources
from prodemb.towers.image import ImagePreprocessor


@dataclass(frozen=True)
class Picture:
    """A picture and the hash of the bytes it came from."""

    content_hash: bytes
    pixels: npt.NDArray[np.uint8] | None
    """(3, height, width); None where an earlier set has its vector."""


@dataclass(frozen=True)
class WindowPictures:
    """Where the pictures of n rows come from, and the pictures."""

    sources: npt.NDArray[np.uint8]
    """`image_sources` of the rows, (n, 16)."""
    known: Sequence[Picture | str | None]
    """(n,) what is known without fetching: the picture, or the reason why there is none."""
    fetched: PictureBatch[Picture]
    """The others, in order."""

    def __iter__(self) -> Iterator[Picture | str]:
        """The picture of each row, or the reason why there is none; waits for those that are being fetched."""
        fetched = iter(self.fetched)
        for picture in self.known:
            yield next(fetched) if picture is None else picture


@dataclass(frozen=True)
class Window:
    """Some neighbouring rows of one shard."""

    task: ShardTask
    rows: pa.Table
    """Without their pictures."""
    pictures: WindowPictures | None
    """None where pictures are no feature."""


class WindowReader:
    """Reads the windows of shards, and starts on their pictures."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        window: int,
        num_products: int,
        fetcher: PictureFetcher | None,
        preprocessor: ImagePreprocessor,
        reuse: Reuse | None,
    ) -> None:
        """
        Args:
            window: rows in a window; divides the size of a shard.
            num_products: how many the catalog had when the run began.
            fetcher: None leaves pictures out.
            reuse: the earlier set from which shards may take vectors.
        """
        self.seconds = 0.0
        """Spent on reading rows."""
        self._catalog, self._window, self._num_products = catalog, window, num_products
        self._fetcher, self._preprocessor, self._reuse = fetcher, preprocessor, reuse
        self._rows: Iterator[pa.Table] = iter(())
        self._next_row = -1

    def windows(self, tasks: Iterable[ShardTask]) -> Iterator[Window]:
        """The windows of the shards, one shard after another; neighbouring shards are read in one pass.

        Raises:
            CatalogError: the catalog cannot be read, or has changed since the run began.
        """
        for task in tasks:
            for rows in self._shard_rows(task):
                pictures = None if self._fetcher is None else self._start_pictures(rows, task, self._fetcher)
                yield Window(task, rows.drop_columns(["image"]), pictures)

    def _shard_rows(self, task: ShardTask) -> Iterator[pa.Table]:
        if task.start != self._next_row:
            self._rows = self._catalog.batches(self._window, columns=PRODUCT_COLUMNS, start=task.start)
        self._next_row = task.stop
        num_left = task.stop - task.start
        while num_left > 0 and (rows := self._next_rows()) is not None:
            num_left -= rows.num_rows
            yield rows
        if num_left < 0 or (task.stop == self._num_products and self._next_rows() is not None):
            raise CatalogError(f"{self._catalog.name}: grew while it was read; run again")
        if num_left > 0:
            raise CatalogError(
                f"{self._catalog.name}: changed while it was read: found {counted(task.stop - num_left, 'product')}, "
                f"{self._num_products:,} when the run began; run again"
            )

    def _next_rows(self) -> pa.Table | None:
        started = time.perf_counter()
        rows = next(self._rows, None)
        self.seconds += time.perf_counter() - started
        return rows

    def _start_pictures(self, rows: pa.Table, task: ShardTask, fetcher: PictureFetcher) -> WindowPictures:
        """Look up what is known of the pictures, and start to fetch the others."""
        cells = rows["image"].to_pylist()
        sources = image_sources(cells, loader=fetcher.loader)
        reuse = self._reuse if task.reuses else None
        known: list[Picture | str | None] = [None] * len(cells)
        if reuse is not None:
            known = [
                None if found is None else found.error or Picture(content_hash=found.content_hash, pixels=None)
                for found in reuse.pictures(sources)
            ]
        known = [NO_VALUE if cell is None else found for cell, found in zip(cells, known, strict=True)]
        unknown = [cell for cell, found in zip(cells, known, strict=True) if found is None]
        decode = partial(decode_picture, preprocessor=self._preprocessor, reuse=reuse)
        return WindowPictures(sources, known, fetcher.fetch(unknown, decode))


def fresh_window(
    task: ShardTask,
    rows: pa.Table,
    *,
    cells: Sequence[str | bytes | None],
    errors: Sequence[str | None],
    fetcher: PictureFetcher,
    preprocessor: ImagePreprocessor,
) -> Window:
    """A window of rows that no earlier set knows, its pictures on the way.

    Args:
        rows: n rows without their pictures.
        cells: (n,) the pictures as the catalog names or holds them.
        errors: (n,) why there is none where that is known before it is fetched.
    """
    known: list[Picture | str | None] = [
        error or (NO_VALUE if cell is None else None) for cell, error in zip(cells, errors, strict=True)
    ]
    decode = partial(decode_picture, preprocessor=preprocessor, reuse=None)
    wanted = [cell for cell, found in zip(cells, known, strict=True) if cell is not None and found is None]
    # Where they come from is for updates, and there are none.
    sources = np.zeros((len(cells), HASH_BYTES), dtype=np.uint8)
    return Window(task, rows, WindowPictures(sources, known, fetcher.fetch(wanted, decode)))


def decode_picture(data: bytes, *, preprocessor: ImagePreprocessor, reuse: Reuse | None) -> Picture:
    """The picture in a file's bytes; without its pixels where an earlier set has its vector."""
    hashed = content_hash(data)
    is_stored = reuse is not None and reuse.has_picture(hashed)
    return Picture(content_hash=hashed, pixels=None if is_stored else preprocessor.decode(data))
