"""Vectors of an earlier shard set, found by the content that they were made from, whichever product has it now.

Texts share one space over all text features; pictures, words and joined texts have their own. The index
(`prodemb.embed.index`) is sorted arrays in a folder of the shard set, which every worker maps; the vectors stay in the
old shards, mapped too.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.core.features import ALL_FEATURES, Feature
from prodemb.shards.folder import ShardFolder
from prodemb.shards.format import Changes, ShardRecord
from prodemb.shards.keys import NOT_FOUND, SortedKeys, Values, as_keys, keys_of
from prodemb.shards.shard import Shard
from prodemb.storage.address import Address
from prodemb.storage.publish import fetched_folder

RetryPictures = Literal["none", "failed", "all"]
"""Which pictures are fetched again though nothing says that they changed: none, those that failed, all."""

Space = Literal["texts", "image", "lexical", "joined"]
"""Where a content hash means one vector; joined are the texts of the text encoder."""

FEATURE_BITS = 4
"""Of a pointer to a vector, those that say of which feature; the others are the product's row."""

_MAX_OPEN_SHARDS, _MAX_FETCHED_SHARDS = 512, 32
"""Old shards that stay open: each is a mapping of the process, and one of a bucket takes its room beside the cache when
the cache has dropped it."""

Hashes = npt.NDArray[np.uint8]
"""(n, 16)"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One shard of an earlier set, which is known to be whole."""

    folder: ShardFolder
    record: ShardRecord

    def open(self) -> Shard:
        """The shard, mapped."""
        return Shard(self.folder.open(self.record), record=self.record)


@dataclass(frozen=True, kw_only=True)
class ReusePlan:
    """What may be taken from an earlier set."""

    folder: Path
    """Of the index."""
    sources: tuple[Source, ...]
    features: tuple[Feature, ...]
    """Those whose vectors the same encoder has made."""
    retry: RetryPictures
    lent: Address | None = None
    """Where the index lies for other machines, while the run lasts."""

    def fetched(self) -> "ReusePlan":
        """The same with the index on this machine."""
        return self if self.lent is None else replace(self, folder=fetched_folder(self.lent))


@dataclass(frozen=True, kw_only=True)
class KnownPicture:
    """A picture of an earlier set: the hash of its content, or its error."""

    content_hash: bytes
    error: str | None


def space_of(feature: Feature) -> Space:
    """Where the feature's contents are looked up."""
    match feature:
        case "image" | "lexical":
            return feature
        case "text":
            return "joined"
        case _:
            return "texts"


class Reuse:
    """An earlier set's vectors by content hash. Threads may share it."""

    def __init__(self, plan: ReusePlan) -> None:
        """Open what `write_index` wrote of this plan."""
        folder = plan.folder
        self.features = plan.features
        self._sources, self._retry = plan.sources, plan.retry
        self._starts = np.cumsum([0, *(source.record.num_products for source in plan.sources)])
        self._spaces = {space: SortedKeys.load(folder, space) for space in get_args(Space)}
        self._picture_sources, self._ids = SortedKeys.load(folder, "source"), SortedKeys.load(folder, "ids")
        self._prefixes, self._hashes, self._error_codes = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("prefixes", "hashes", "errors")
        )
        self._errors: list[str] = json.loads((folder / "errors.json").read_text(encoding="utf-8"))
        self._open: OrderedDict[int, Shard] = OrderedDict()

    def find(self, space: Space, hashes: Sequence[bytes]) -> Values:
        """Pointers to the vectors of these contents, `NOT_FOUND` where there is none."""
        return self._spaces[space].find(as_keys(b"".join(hashes)))

    def has_picture(self, content_hash: bytes) -> bool:
        """Whether the vector of a picture with this content is there."""
        return bool(self.find("image", [content_hash])[0] != NOT_FOUND)

    def pictures(self, sources: Hashes) -> list[KnownPicture | None]:
        """What is known of the pictures from these sources; None where they have to be fetched."""
        if self._retry == "all" or "image" not in self.features:
            return [None] * len(sources)
        rows = self._picture_sources.find(as_keys(sources))
        return [None if row == NOT_FOUND else self._known(row) for row in rows.tolist()]

    def vectors(self, pointers: Values) -> npt.NDArray[np.float16]:
        """The vectors at these pointers, (n, dim), all of one space."""
        rows, features = pointers >> FEATURE_BITS, pointers & ((1 << FEATURE_BITS) - 1)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        groups = (shards << FEATURE_BITS) | features
        order = np.argsort(groups, kind="stable")
        distinct, firsts = np.unique(groups[order], return_index=True)
        out: npt.NDArray[np.float16] | None = None
        for group, indices in zip(distinct.tolist(), np.split(order, firsts[1:]), strict=True):
            number, feature = group >> FEATURE_BITS, ALL_FEATURES[group & ((1 << FEATURE_BITS) - 1)]
            stored = self._shard(number).vectors(feature)
            if out is None:
                out = np.empty((len(pointers), stored.shape[1]), dtype="<f2")
            out[indices] = stored[rows[indices] - self._starts[number]]
        assert out is not None
        return out

    def num_shared(self, product_ids: pl.Series, *, titles: Hashes) -> int:
        """How many of n products are in the earlier set, with the same title where it has titles.

        Args:
            titles: the content hashes of their titles, zeros where absent.
        """
        rows = self._ids.find(keys_of(product_ids))
        known = rows != NOT_FOUND
        if "title" not in self.features:
            return int(known.sum())
        return int((self._prefixes[rows[known], self.features.index("title")] == hash_prefixes(titles[known])).sum())

    def changes(self, product_ids: pl.Series, hashes: dict[Feature, Hashes]) -> Changes:
        """How n products differ from the earlier set; vectors are not counted.

        Args:
            hashes: the content hashes of their features, zeros where absent.
        """
        rows = self._ids.find(keys_of(product_ids))
        known = rows != NOT_FOUND
        changed = np.zeros(int(known.sum()), dtype=bool)
        by_feature: dict[Feature, int] = {}
        for column, feature in enumerate(self.features):
            differs = self._prefixes[rows[known], column] != hash_prefixes(hashes[feature][known])
            changed |= differs
            if differs.any():
                by_feature[feature] = int(differs.sum())
        return Changes(
            added=int((~known).sum()),
            changed=int(changed.sum()),
            changed_features=by_feature,
            unchanged=int((~changed).sum()),
        )

    def _known(self, row: int) -> KnownPicture | None:
        error = self._errors[self._error_codes[row]]
        if not error:
            return KnownPicture(content_hash=self._hashes[row].tobytes(), error=None)
        return None if self._retry == "failed" else KnownPicture(content_hash=b"", error=error)

    def _shard(self, number: int) -> Shard:
        shard = self._open.pop(number, None)
        if shard is None:
            shard = self._sources[number].open()
        self._open[number] = shard
        most = _MAX_OPEN_SHARDS if self._sources[number].folder.is_local else _MAX_FETCHED_SHARDS
        while len(self._open) > most:
            self._open.popitem(last=False)
        return shard


class StoredVectors:
    """Vectors of an earlier set, copied when they are asked for."""

    def __init__(self, reuse: Reuse, pointers: Values) -> None:
        self._reuse, self._pointers = reuse, pointers

    def result(self) -> npt.NDArray[np.float16]:
        """The vectors, (n, dim)."""
        return self._reuse.vectors(self._pointers)


def hash_prefixes(hashes: Hashes) -> npt.NDArray[np.uint32]:
    """The first four bytes of n hashes, (n,): enough to count which changed."""
    return np.ascontiguousarray(hashes[:, :4]).view(np.uint32)[:, 0]
