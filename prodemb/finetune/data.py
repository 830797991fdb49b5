"""The products that fine-tuning learns from: their texts, categories and decoded pictures, without the test part."""

import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import cpu_count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from prodemb.catalog.budget import PictureCounts, check_budget
from prodemb.catalog.images import ImageLoader
from prodemb.catalog.reader import Catalog
from prodemb.core.errors import CatalogError, HeadError
from prodemb.core.features import CATALOG_COLUMNS, SPLIT, TEXT_FEATURES
from prodemb.core.files import allocate
from prodemb.core.text import counted
from prodemb.embed.pictures import PictureFetcher
from prodemb.embed.prefetch import Prefetcher
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.split import TEST, TRAIN, VALIDATION, Split, groups_of, held_out_by, split_of
from prodemb.shards.hashes import RowsHash, content_hash, image_sources
from prodemb.shards.labels import GivenLabels
from prodemb.taxonomy.gold import GoldCategories, trace_gold
from prodemb.taxonomy.taxonomy import Taxonomy
from prodemb.towers.image import ImagePreprocessor

READ_ROWS = 1024
"""Catalog rows in memory at once while reading."""
PICTURE_ROWS = 256
"""Catalog rows whose pictures are fetched as a batch."""
BATCHES_AHEAD = 4
"""Batches of pictures that may be fetched ahead."""


@dataclass(frozen=True, kw_only=True)
class LabelledProducts:
    """The labelled products of the training and the validation part."""

    texts: pa.Table
    """(n rows) large_string, one column per text feature; null where it is missing."""
    index: npt.NDArray[np.int64]
    """(n,) the class of each product."""
    parts: Split
    """(n,) `TRAIN` or `VALIDATION`."""
    classes: tuple[CategoryLabel, ...]
    """The taxonomy nodes that these products carry, by id."""
    indices: npt.NDArray[np.int64]
    """(n,) the catalog row of each product, from 0, ascending."""
    row_hashes: npt.NDArray[np.uint64]
    """(n,) a hash of each product's id, texts and category, which shows whether it has changed."""
    test_hashes: npt.NDArray[np.uint64]
    """(t,) the same of the labelled products of the test part."""
    catalog_hash: str
    """The hash of all the catalog's rows, which shows whether the catalog has changed."""
    gold: GoldCategories
    """How the catalog's gold categories were resolved, for `tell_gold`."""

    @property
    def train(self) -> npt.NDArray[np.int64]:
        """Indices of the training products."""
        return np.flatnonzero(self.parts == TRAIN)

    @property
    def validation(self) -> npt.NDArray[np.int64]:
        """Indices of the validation products."""
        return np.flatnonzero(self.parts == VALIDATION)

    def take(self, rows: npt.NDArray[np.int64]) -> "LabelledProducts":
        """Only the products at the sorted `rows`."""
        return replace(
            self,
            texts=self.texts.take(pa.array(rows)),
            index=self.index[rows],
            parts=self.parts[rows],
            indices=self.indices[rows],
            row_hashes=self.row_hashes[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Decoded pictures, in memory or in a temporary file."""

    pixels: npt.NDArray[np.uint8]
    """(n, 3, h, w); what stands where there is no picture means nothing."""
    present: npt.NDArray[np.bool_]
    """(n,)"""


def read_labelled_products(
    catalog: Catalog, *, taxonomy: Taxonomy, loader: ImageLoader, given: GivenLabels | None = None
) -> LabelledProducts:
    """Read the labelled products in one streaming pass, pictures left out.

    Args:
        given: labels that stand in place of the catalog's own.

    Raises:
        CatalogError: no product has a `google_category_id`.
        TaxonomyError: none of them is in the taxonomy.
        HeadError: the training part holds fewer than two categories.
    """
    columns = (*CATALOG_COLUMNS, SPLIT)
    catalog_hash = RowsHash(columns=columns)
    nodes: dict[str | None, int | None] = {None: None}
    counts: Counter[str] = Counter()
    batches: list[_Batch] = []
    num_rows = 0
    for each in catalog.batches(READ_ROWS, columns=columns):
        rows = each if given is None else given.onto_rows(each)
        catalog_hash.update(rows, sources=image_sources(rows["image"].to_pylist(), loader=loader))
        labels = rows["google_category_id"].to_pylist()
        for label in set(labels) - nodes.keys():
            nodes[label] = taxonomy.resolve(label)
        counts.update(label for label in labels if label is not None)
        batches.append(_labelled(rows, nodes=[nodes[label] for label in labels], start=num_rows, taxonomy=taxonomy))
        num_rows += rows.num_rows
    if not counts:
        raise CatalogError(
            f"{catalog.name}: fine-tuning found no value in the column google_category_id; "
            "wanted the Google category id of at least some products"
        )
    gold = trace_gold(counts, taxonomy=taxonomy, taxonomy_name=taxonomy.source, where=catalog.name)
    ids, index = np.unique(np.concatenate([batch.nodes for batch in batches]), return_inverse=True)
    products = LabelledProducts(
        texts=pa.concat_tables([batch.texts for batch in batches]).combine_chunks(),
        index=index.astype(np.int64),
        parts=np.concatenate([batch.parts for batch in batches]),
        classes=tuple(CategoryLabel(id=int(node), path=taxonomy.path_of(int(node))) for node in ids),
        indices=np.concatenate([batch.indices for batch in batches]),
        row_hashes=np.concatenate([batch.row_hashes for batch in batches]),
        test_hashes=np.concatenate([batch.test_hashes for batch in batches]),
        catalog_hash=catalog_hash.hexdigest(),
        gold=gold,
    )
    num_classes = len(np.unique(products.index[products.train]))
    if num_classes < 2:
        raise HeadError(
            f"{catalog.name}: fine-tuning found {counted(num_classes, 'category', 'categories')} in the training part "
            f"({len(products.train):,} of {counted(num_rows, 'product')}); wanted 2 or more different "
            "google_category_id"
        )
    return products


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """The labelled products of some catalog rows, without those of the test part; see `LabelledProducts`."""

    texts: pa.Table
    nodes: npt.NDArray[np.int64]
    """(n,) the taxonomy node of each product."""
    parts: Split
    indices: npt.NDArray[np.int64]
    row_hashes: npt.NDArray[np.uint64]
    test_hashes: npt.NDArray[np.uint64]
    """(t,) of the labelled ones of the test part."""


def _labelled(rows: pa.Table, *, nodes: list[int | None], start: int, taxonomy: Taxonomy) -> _Batch:
    """The labelled products among catalog rows.

    Args:
        nodes: the taxonomy node of each row; None where it has none.
        start: the index of the first row.
    """
    groups = groups_of(pl.Series(rows["title"]), pl.Series(rows["product_id"]))
    parts = split_of(groups, held_out=held_out_by(pl.Series(rows[SPLIT])))
    labelled = np.flatnonzero(np.array([node is not None for node in nodes], dtype=bool))
    own_nodes = np.array([nodes[row] for row in labelled], dtype=np.int64)
    table = rows.select(("product_id", *TEXT_FEATURES)).take(pa.array(labelled))
    hashes = _row_hashes(table, paths=[taxonomy.path_of(node) for node in own_nodes.tolist()])
    is_test = parts[labelled] == TEST
    kept = labelled[~is_test]
    return _Batch(
        texts=table.select(TEXT_FEATURES).filter(pa.array(~is_test)),
        nodes=own_nodes[~is_test],
        parts=parts[kept],
        indices=kept + start,
        row_hashes=hashes[~is_test],
        test_hashes=hashes[is_test],
    )


def _row_hashes(products: pa.Table, *, paths: list[str]) -> npt.NDArray[np.uint64]:
    """The hash of each of n products.

    Args:
        products: their columns `product_id` and text features.
        paths: their categories, n.
    """
    columns = [products[name].to_pylist() for name in ("product_id", *TEXT_FEATURES)]
    hashes = (content_hash("\0".join(text or "" for text in row).encode()) for row in zip(*columns, paths, strict=True))
    return np.frombuffer(b"".join(hashes), dtype="<u8").reshape(-1, 2)[:, 0].copy()


def read_pictures(
    catalog: Catalog,
    *,
    products: LabelledProducts,
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
        ImagesError: more pictures failed than `[images] max_failure_rate` allows.
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
    counts = PictureCounts()
    with (
        PictureFetcher(loader, num_workers=max(8, cpu_count() or 1)) as fetcher,
        Prefetcher(
            (
                (indices, fetcher.fetch(cells, preprocessor.decode))
                for indices, cells in _picture_cells(catalog, places=products.indices)
            ),
            ahead=BATCHES_AHEAD,
            source=catalog.name,
        ) as batches,
    ):
        for indices, batch in batches:
            for index, picture in zip(indices, batch, strict=True):
                if not isinstance(picture, str):
                    pixels[index], present[index] = picture, True
            counts += batch.counts
            check_budget(counts, images=loader.config, advice="put that right and fine-tune again")
    return Pictures(pixels=pixels, present=present)


def _picture_cells(catalog: Catalog, *, places: npt.NDArray[np.int64]) -> Iterator[tuple[list[int], list[str | bytes]]]:
    """The pictures that the catalog names at the sorted `places`, in batches, with their indices in `places`."""
    start = begun = 0
    for rows in catalog.batches(PICTURE_ROWS, columns=["image"]):
        end = int(np.searchsorted(places, start + rows.num_rows))
        cells = rows["image"].take(pa.array(places[begun:end] - start)).to_pylist()
        named = [(index, cell) for index, cell in enumerate(cells, start=begun) if cell is not None]
        yield [index for index, _ in named], [cell for _, cell in named]
        start, begun = start + rows.num_rows, end
