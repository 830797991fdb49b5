"""The products of a shard set one after another, in chunks, so that several sets can be read side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.core.errors import ShardError
from prodemb.core.features import GOLD_LABELS, PARTNER, Feature, raw_column
from prodemb.shards.product_set import ProductSet
from prodemb.shards.reader import ShardSet


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some products, one after another in catalog order."""

    product_ids: pl.Series
    partners: pl.Series
    """Who sent each product; null where the catalog does not say."""
    gold: pl.DataFrame
    """The columns `GOLD_LABELS`; null where a product has none."""
    products: ProductSet


class ProductStream:
    """A shard set's products in catalog order, in chunks that need not end where its shards do."""

    def __init__(
        self, shard_set: ShardSet, *, features: tuple[Feature, ...], texts: tuple[Feature, ...], start: int = 0
    ) -> None:
        """Open no shard yet.

        Args:
            features: whose vectors are read.
            texts: whose supplied values are read.
            start: the first product to read.
        """
        self._features = features
        self._joined = shard_set.schema.joined
        self._dims = tuple(shard_set.schema.dim_of(feature) for feature in features)
        self._pieces = _pieces(shard_set, features=features, texts=texts, start=start)
        self._piece: _Piece | None = None

    def take(self, num_products: int) -> Chunk:
        """The next products; the caller knows that there are so many."""
        vectors = np.empty((num_products, sum(self._dims)), dtype=np.float16)
        present = np.empty((num_products, len(self._dims)), dtype=np.bool_)
        blocks = np.split(vectors, np.cumsum(self._dims)[:-1], axis=1)
        texts: list[pl.DataFrame] = []
        filled = 0
        while filled < num_products:
            piece = self._piece or next(self._pieces)
            step = min(num_products - filled, len(piece.texts) - piece.start)
            some = slice(piece.start, piece.start + step)
            for block, view in zip(blocks, piece.vectors, strict=True):
                block[filled : filled + step] = view[some]
            present[filled : filled + step] = piece.present[some]
            texts.append(piece.texts[some])
            filled += step
            piece.start += step
            self._piece = piece if piece.start < len(piece.texts) else None
        supplied = pl.concat(texts)
        products = ProductSet(
            features=self._features,
            dims=self._dims,
            vectors=vectors,
            present=present,
            supplied=supplied.drop("product_id", *GOLD_LABELS),
            joined=self._joined,
        )
        return Chunk(
            product_ids=supplied["product_id"],
            partners=supplied[PARTNER],
            gold=supplied.select(GOLD_LABELS),
            products=products,
        )


@dataclass(kw_only=True)
class _Piece:
    """One shard, read up to `start`."""

    texts: pl.DataFrame
    vectors: list[npt.NDArray[np.float16]]
    present: npt.NDArray[np.bool_]
    start: int = 0


def _pieces(
    shard_set: ShardSet, *, features: tuple[Feature, ...], texts: tuple[Feature, ...], start: int
) -> Iterator[_Piece]:
    first = shard_set.shard_of(start)
    passed = start - shard_set.start_of(first)
    for shard in shard_set.shards(first=first):
        yield _Piece(
            texts=shard.frame(["product_id", PARTNER, *GOLD_LABELS, *map(raw_column, texts)]),
            vectors=[shard.vectors(feature) for feature in features],
            present=np.stack([shard.present(feature) for feature in features], axis=1),
            start=passed,
        )
        passed = 0


def same_ids(chunks: Sequence[Chunk], *, sources: Sequence[ShardSet], start: int) -> pl.Series:
    """The product ids that all chunks have; raises ShardError at the first that differs."""
    wanted = chunks[0].product_ids
    for chunk, source in zip(chunks[1:], sources[1:], strict=True):
        differs = (wanted != chunk.product_ids).arg_true()
        if len(differs):
            row = differs[0]
            raise ShardError(
                f"{source.folder}: product {start + row + 1:,} is {chunk.product_ids[row]!r}, in {sources[0].folder} "
                f"it is {wanted[row]!r}; wanted shards of one catalog: embed it again into both"
            )
    return wanted
