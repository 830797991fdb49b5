"""Some products as stage two sees them: vectors, which of them are present, and what the partners sent."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.core.arrays import Indices
from prodemb.core.features import LEXICAL_TEXTS, PARTNER, TEXT_FEATURES, Feature, raw_column
from prodemb.shards.lexical import lexical_vectors
from prodemb.shards.reader import ShardSet
from prodemb.shards.shard import Shard

_ROWS_AT_A_TIME = 16_384
"""Neighbouring vectors that a thread copies at a time."""
_ROWS_GATHERED = 2048
"""The same of others, which are gathered in the processor's cache first."""


@dataclass(frozen=True, kw_only=True)
class ProductSet:
    """n products; a copy may lack a feature, or have that of another product, to measure what that costs."""

    features: tuple[Feature, ...]
    """The F features that there are vectors of, in the fixed order."""
    dims: tuple[int, ...]
    """Numbers in a vector of each."""
    vectors: npt.NDArray[np.float16]
    """(n, D), the features' vectors side by side, zeros where absent."""
    present: npt.NDArray[np.bool_]
    """(n, F)."""
    supplied: pl.DataFrame
    """n rows, one string column per text feature, named by `raw_column`, and one for the partner."""
    joined: tuple[Feature, ...] = ()
    """The fields that a text vector is made of."""

    def __len__(self) -> int:
        return len(self.present)

    def take(self, rows: Indices) -> "ProductSet":
        """Some of the products.

        Args:
            rows: (m,) indices.
        """
        return replace(self, vectors=self.vectors[rows], present=self.present[rows], supplied=self.supplied[rows])

    def of(self, features: Sequence[Feature]) -> "ProductSet":
        """The same products with the vectors of some of the features, in the fixed order."""
        if tuple(features) == self.features:
            return self
        blocks = [self._block(feature) for feature in features]
        columns = [self.features.index(feature) for feature in features]
        return replace(
            self,
            features=tuple(features),
            dims=tuple(self.dims[column] for column in columns),
            vectors=np.concatenate([self.vectors[:, block] for block in blocks], axis=1),
            present=self.present[:, columns],
        )

    def without(self, *hidden: Feature) -> "ProductSet":
        """The same products from a partner who does not send these features.

        The lexical vector is that of the texts that are left; a text vector in which a hidden field is said is gone.
        """
        present = self.present_without(*hidden)
        texts = [raw_column(feature) for feature in hidden if feature in TEXT_FEATURES]
        left = replace(
            self,
            vectors=np.where(np.repeat(present, self.dims, axis=1), self.vectors, np.float16(0)),
            present=present,
            supplied=self.supplied.with_columns(pl.lit(None, pl.String).alias(text) for text in texts),
        )
        changes_words = {*hidden} & {*LEXICAL_TEXTS} and "lexical" in self.features and "lexical" not in hidden
        return left._with_lexical() if changes_words else left

    def present_without(self, *hidden: Feature) -> npt.NDArray[np.bool_]:
        """Which vectors are left of products without these features, (n, F).

        A text vector cannot be made again without its encoder, so it goes with any of its fields that a product has.
        """
        present: npt.NDArray[np.bool_] = self.present & np.array([feature not in hidden for feature in self.features])
        if "text" in self.features and "text" not in hidden:
            for feature in {*hidden} & {*self.joined}:
                present[:, self.features.index("text")] &= self.supplied[raw_column(feature)].is_null().to_numpy()
        return present

    def _with_lexical(self) -> "ProductSet":
        """The same products with the lexical vectors of their present texts."""
        texts = [self.supplied[raw_column(feature)] for feature in LEXICAL_TEXTS]
        column, block = self.features.index("lexical"), self._block("lexical")
        vectors, present = self.vectors.copy(), self.present.copy()
        vectors[:, block] = lexical_vectors([text.to_list() for text in texts], dim=self.dims[column])
        present[:, column] = np.any([text.fill_null("").str.len_bytes().to_numpy() > 0 for text in texts], axis=0)
        return replace(self, vectors=vectors, present=present)

    def with_those_of(self, donors: Indices, *, feature: Feature) -> "ProductSet":
        """The same products, each with one feature of another product, and without a text vector that says its own.

        Args:
            donors: (n,) indices of those others.
            feature: a text feature.
        """
        vectors, present = self.vectors, self.present
        if feature in self.features:
            column, block = self.features.index(feature), self._block(feature)
            vectors, present = vectors.copy(), present.copy()
            vectors[:, block], present[:, column] = self.vectors[donors, block], self.present[donors, column]
        text = raw_column(feature)
        own, given = self.supplied[text], self.supplied[text][donors]
        if "text" in self.features and feature in self.joined:
            column, differs = self.features.index("text"), own.ne_missing(given).to_numpy()
            vectors, present = vectors.copy(), present.copy()
            vectors[differs, self._block("text")], present[differs, column] = 0, False
        return replace(self, vectors=vectors, present=present, supplied=self.supplied.with_columns(given))

    def _block(self, feature: Feature) -> slice:
        """Where the feature's numbers stand."""
        column = self.features.index(feature)
        start = sum(self.dims[:column])
        return slice(start, start + self.dims[column])


def read_products(shard_set: ShardSet, *, features: tuple[Feature, ...], rows: Indices) -> ProductSet:
    """Some products of a shard set.

    Args:
        rows: (m,) indices of products in the shard set, ascending.
    """
    columns = [*(raw_column(feature) for feature in TEXT_FEATURES), PARTNER]
    return ProductSet(
        features=features,
        dims=tuple(shard_set.schema.dim_of(feature) for feature in features),
        vectors=load_vectors(shard_set, features=features, rows=rows),
        present=load_presence(shard_set, features=features, rows=rows),
        supplied=supplied_values(shard_set, columns, rows=rows),
        joined=shard_set.schema.joined,
    )


def load_vectors(shard_set: ShardSet, *, features: tuple[Feature, ...], rows: Indices) -> npt.NDArray[np.float16]:
    """Some products' vectors side by side, (m, D) float16, shard by shard, on all cores.

    Args:
        rows: (m,) indices of products in the shard set, ascending.
    """
    ends = np.cumsum([shard_set.schema.dim_of(feature) for feature in features])
    vectors = np.empty((len(rows), ends[-1]), dtype=np.float16)
    copies: list[Future[None]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for shard, low, indices in _wanted(shard_set, rows=rows):
            high, earlier, copies = low + len(indices), copies, []
            size = _ROWS_AT_A_TIME if _are_neighbours(indices) else _ROWS_GATHERED
            for column, feature in enumerate(features):
                view = shard.vectors(feature)
                out = vectors[low:high, ends[column] - view.shape[1] : ends[column]]
                for first in range(0, len(indices), size):
                    some = slice(first, first + size)
                    copies.append(pool.submit(_copy_rows, view, indices[some], out[some]))
            for copy in earlier:  # so that no thread waits for the next shard to be opened, and few are open
                copy.result()
        for copy in copies:
            copy.result()
    return vectors


def load_presence(shard_set: ShardSet, *, features: tuple[Feature, ...], rows: Indices) -> npt.NDArray[np.bool_]:
    """Which features some products have, (m, F) bool.

    Args:
        rows: (m,) indices of products in the shard set, ascending.
    """
    present = np.empty((len(rows), len(features)), dtype=np.bool_)
    for shard, low, indices in _wanted(shard_set, rows=rows):
        for column, feature in enumerate(features):
            present[low : low + len(indices), column] = shard.present(feature)[indices]
    return present


def _wanted(shard_set: ShardSet, *, rows: Indices) -> Iterator[tuple[Shard, int, Indices]]:
    """The shards that hold any of the products at ascending `rows`, the first of these, and their indices there."""
    start = 0
    for shard in shard_set.shards():
        # Bounds of another type would make numpy convert all rows to compare them.
        low, high = np.searchsorted(rows, np.array([start, start + shard.num_products], dtype=rows.dtype))
        if low < high:
            yield shard, int(low), rows[low:high] - start
        start += shard.num_products


def _are_neighbours(indices: Indices) -> bool:
    """Whether ascending indices, at least one, leave none out."""
    return bool(indices[-1] - indices[0] == len(indices) - 1)


def _copy_rows(view: npt.NDArray[np.float16], indices: Indices, out: npt.NDArray[np.float16]) -> None:
    """Copy the vectors at ascending `indices` of `view` (n, dim) to `out` (m, dim); numpy releases the GIL."""
    if _are_neighbours(indices):
        out[:] = view[indices[0] : indices[-1] + 1]
    else:
        out[:] = view[indices]


def supplied_values(shard_set: ShardSet, columns: Sequence[str], *, rows: Indices) -> pl.DataFrame:
    """Some columns of some products, m rows.

    Args:
        rows: (m,) indices of products in the shard set, ascending.
    """
    none = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return pl.concat(
        [none, *(shard.frame(columns, rows=indices) for shard, _, indices in _wanted(shard_set, rows=rows))]
    )
