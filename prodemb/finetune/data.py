"""The products that fine-tuning learns from: their texts, categories and decoded pictures, without the test part."""

import math
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from os import cpu_count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from prodemb.catalog.gold import trace_gold
from prodemb.catalog.images import ImageLoader
from prodemb.catalog.places import host_of
from prodemb.catalog.reader import Catalog
from prodemb.catalog.taxonomy import Taxonomy
from prodemb.catalog.turns import Turns
from prodemb.errors import CatalogError, HeadError
from prodemb.features import TEXT_FEATURES
from prodemb.files import allocate
from prodemb.hashes import RowsHash, content_hash, image_sources
from prodemb.labels import CategoryLabel
from prodemb.screen import counted
from prodemb.split import TEST, TRAIN, VALIDATION, Parts, split_of
from prodemb.towers.image import ImagePreprocessor

READ_ROWS = 1024
"""Catalog rows in memory at once while reading."""


@dataclass(frozen=True, kw_only=True)
class Products:
    """The labelled products of the training and the validation part."""

    texts: pa.Table
    """(n rows) large_string, a column a text feature; null where it is absent."""
    index: npt.NDArray[np.int64]
    """(n,) the class of each product."""
    parts: Parts
    """(n,) `TRAIN` or `VALIDATION`."""
    classes: tuple[CategoryLabel, ...]
    """The taxonomy nodes that these products carry, by id."""
    places: npt.NDArray[np.int64]
    """(n,) where each product stands in the catalog."""
    marks: npt.NDArray[np.uint64]
    """(n,) a hash of each product's id, texts and category: what says that it has changed."""
    rows_hash: str
    """The hash of all the catalog's rows: what says that it has not changed."""

    @property
    def train(self) -> npt.NDArray[np.int64]:
        """Indices of the training products."""
        return np.flatnonzero(self.parts == TRAIN)

    @property
    def validation(self) -> npt.NDArray[np.int64]:
        """Indices of the validation products."""
        return np.flatnonzero(self.parts == VALIDATION)

    def take(self, rows: npt.NDArray[np.int64]) -> "Products":
        """Those at the sorted `rows` alone."""
        return replace(
            self,
            texts=self.texts.take(pa.array(rows)),
            index=self.index[rows],
            parts=self.parts[rows],
            places=self.places[rows],
            marks=self.marks[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Decoded pictures, in memory or in a temporary file."""

    pixels: npt.NDArray[np.uint8]
    """(n, 3, h, w); what stands where there is no picture means nothing."""
    present: npt.NDArray[np.bool_]
    """(n,)"""


def read_products(catalog: Catalog, *, taxonomy: Taxonomy, loader: ImageLoader) -> Products:
    """Read the labelled products in one streaming pass, pictures left out.

    Raises:
        CatalogError: no product has a `google_category_id`.
        TaxonomyError: none of them is in the taxonomy.
        HeadError: the training part holds fewer than two categories.
    """
    rows_hash = RowsHash()
    counts: Counter[str] = Counter()
    kept: list[pa.Table] = []
    parts: list[Parts] = []
    places: list[npt.NDArray[np.int64]] = []
    start = 0
    for rows in catalog.batches(READ_ROWS):
        rows_hash.update(rows, sources=image_sources(rows["image"].to_pylist(), loader=loader))
        labels = rows["google_category_id"]
        counts.update(labels.drop_null().to_pylist())
        row_parts = split_of(pl.Series(rows["title"]), pl.Series(rows["product_id"]))
        wanted = np.flatnonzero(labels.is_valid().to_numpy() & (row_parts != TEST))
        kept.append(rows.select(("product_id", *TEXT_FEATURES, "google_category_id")).take(pa.array(wanted)))
        parts.append(row_parts[wanted])
        places.append(wanted + start)
        start += rows.num_rows
    if not counts:
        raise CatalogError(
            f"{catalog.name}: fine-tuning found no value in the column google_category_id; "
            "wanted the Google category id of at least some products"
        )
    found = trace_gold(counts, taxonomy=taxonomy, taxonomy_name=taxonomy.source, where=catalog.name)
    nodes = [found.nodes[label] for rows in kept for label in rows["google_category_id"].to_pylist()]
    known = np.array([node is not None for node in nodes], dtype=bool)
    ids, index = np.unique(np.array([node for node in nodes if node is not None], np.int64), return_inverse=True)
    classes = tuple(CategoryLabel(id=int(node), path=taxonomy.path_of(int(node))) for node in ids)
    table = pa.concat_tables(kept)
    kept.clear()
    table = table.filter(pa.array(known)).combine_chunks()
    products = Products(
        texts=table.select(TEXT_FEATURES),
        index=index.astype(np.int64),
        parts=np.concatenate(parts)[known],
        classes=classes,
        places=np.concatenate(places)[known],
        marks=_marks(table, paths=[classes[number].path for number in index]),
        rows_hash=rows_hash.hexdigest(),
    )
    num_trained = len(np.unique(products.index[products.train]))
    if num_trained < 2:
        raise HeadError(
            f"{catalog.name}: fine-tuning found {counted(num_trained, 'category', 'categories')} in the training part "
            f"({len(products.train):,} of {start:,} products); wanted 2 or more different google_category_id"
        )
    return products


def _marks(products: pa.Table, *, paths: list[str]) -> npt.NDArray[np.uint64]:
    """The mark of each of n products.

    Args:
        products: their columns `product_id` and text features.
        paths: their categories, n.
    """
    columns = [products[name].to_pylist() for name in ("product_id", *TEXT_FEATURES)]
    hashes = (content_hash("\0".join(text or "" for text in row).encode()) for row in zip(*columns, paths, strict=True))
    return np.frombuffer(b"".join(hashes), dtype="<u8").reshape(-1, 2)[:, 0].copy()


def pick(rows: npt.NDArray[np.int64], *, most: int, seed: int) -> npt.NDArray[np.int64]:
    """At most so many of `rows`, at random, in their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, size=most, replace=False))


def read_pictures(
    catalog: Catalog,
    *,
    products: Products,
    loader: ImageLoader,
    preprocessor: ImagePreprocessor,
    most_bytes: int,
    scratch: Path,
) -> Pictures:
    """Decode the products' pictures in a second streaming pass; the test part's and unlabelled ones are not touched.

    Args:
        most_bytes: pictures of more bytes than this lie in a temporary file instead of memory.
        scratch: the folder of that file, which is gone when the process ends.

    Raises:
        OutputError: that file does not fit the disk.
    """
    num = len(products.index)
    shape = (num, *preprocessor.shape)
    pixels: npt.NDArray[np.uint8]
    if math.prod(shape) > most_bytes:
        with tempfile.TemporaryFile(dir=scratch) as file:
            allocate(file.fileno(), math.prod(shape), folder=scratch)
            pixels = np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    else:
        # Pages that are never written take no memory.
        pixels = np.zeros(shape, dtype=np.uint8)
    present = np.zeros(num, dtype=bool)
    num_workers = max(8, cpu_count() or 1)
    decoding = threading.Semaphore(num_workers)

    def take(place: int, value: str | bytes) -> None:
        picture = _decoded(value, loader=loader, preprocessor=preprocessor, decoding=decoding)
        if picture is not None:
            pixels[place], present[place] = picture, True

    downloads: Turns[None] = Turns(num_threads=loader.concurrency, at_most=loader.host_concurrency)
    try:
        with ThreadPoolExecutor(num_workers, thread_name_prefix="decode") as workers:
            for wanted, values in _picture_cells(catalog, places=products.places):
                tasks = [
                    workers.submit(take, place, value)
                    if (host := host_of(value)) is None
                    else downloads.submit(host, partial(take, place, value))
                    for place, value in zip(wanted, values, strict=True)
                    if value is not None
                ]
                for task in tasks:
                    task.result()
    finally:
        downloads.shutdown(wait=False)
    return Pictures(pixels=pixels, present=present)


def _picture_cells(
    catalog: Catalog, *, places: npt.NDArray[np.int64]
) -> Iterator[tuple[range, list[str | bytes | None]]]:
    """The cells of the picture column at the sorted `places`, batch after batch, with their indices in `places`."""
    start = begun = 0
    for rows in catalog.batches(READ_ROWS, columns=["image"]):
        end = int(np.searchsorted(places, start + rows.num_rows))
        cells = rows["image"].take(pa.array(places[begun:end] - start))
        yield range(begun, end), cells.to_pylist()
        start, begun = start + rows.num_rows, end


def _decoded(
    value: str | bytes, *, loader: ImageLoader, preprocessor: ImagePreprocessor, decoding: threading.Semaphore
) -> npt.NDArray[np.uint8] | None:
    """One picture (3, h, w) uint8, or None where it is absent or cannot be loaded; `embed` is what reports why.

    Args:
        decoding: lets so many be decoded at a time, for more are fetched.
    """
    try:
        data = loader.load(value)
        with decoding:
            return preprocessor.decode(data)
    except Exception:
        # As in `embed`, one picture must not end a run, whatever its server or its bytes make a library raise.
        return None
