"""Vectors of an earlier shard set, found by the content that they were made from, wherever it stands now.

Texts share one space over all text features; pictures and words have their own. The index is sorted arrays in a folder
of the shard set, which every worker maps; the vectors stay in the old shards, mapped too.
"""

import json
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.core.features import ALL_FEATURES, TEXT_FEATURES, Feature, error_column, hash_column
from prodemb.core.files import naming
from prodemb.shards.file import ShardFile
from prodemb.shards.format import IMAGE_SOURCE, Changes, ShardRecord
from prodemb.shards.keys import KEY_BYTES, NOT_FOUND, SortedKeys, Values, as_keys, keys_of, new_array, write_keys
from prodemb.shards.reader import Shard

PicturesAgain = Literal["none", "absent", "all"]
"""Which pictures are fetched again though nothing says that they changed: none, those that are absent, all."""

Space = Literal["texts", "image", "lexical"]
"""Where a content hash means one vector."""

INDEX_FOLDER = ".reuse"
_OPEN_SHARDS = 512
"""Old shards that stay open: each is a mapping of the process."""

Hashes = npt.NDArray[np.uint8]
"""(n, 16)"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One shard of an earlier set, which is known to be whole."""

    folder: Path
    record: ShardRecord


@dataclass(frozen=True, kw_only=True)
class ReusePlan:
    """What may be taken of an earlier set, as workers are told."""

    folder: Path
    """Of the index."""
    sources: tuple[Source, ...]
    features: tuple[Feature, ...]
    """Those whose vectors the same encoder has made."""
    again: PicturesAgain


@dataclass(frozen=True, kw_only=True)
class Known:
    """What an earlier set knows of a picture: the hash of its content, or why it is absent."""

    content_hash: bytes
    absent: str | None


def space_of(feature: Feature) -> Space:
    """Where the feature's contents are looked up."""
    return "texts" if feature in TEXT_FEATURES else "image" if feature == "image" else "lexical"


def write_index(plan: ReusePlan) -> None:
    """Index earlier shards by their contents, for any number of `Reuse`, in little memory.

    Raises:
        OutputError: the index does not fit the disk, or nothing can be written there.
    """
    shutil.rmtree(plan.folder, ignore_errors=True)
    texts = tuple(feature for feature in plan.features if feature in TEXT_FEATURES)
    with naming(plan.folder):
        plan.folder.mkdir(parents=True)
        has_pictures, has_words = "image" in plan.features, "lexical" in plan.features
        spaces: dict[str, ReadKeys] = {
            "texts": _content_keys(texts),
            "image": _content_keys(("image",) if has_pictures else ()),
            "lexical": _content_keys(("lexical",) if has_words else ()),
            "source": _source_keys if has_pictures else _content_keys(()),
            "ids": _id_keys,
        }
        for name, read in spaces.items():
            write_keys((read(shard, rows) for shard, rows in _shards(plan)), plan.folder, name)
        _write_marks(plan)
        _write_pictures(plan)


ReadKeys = Callable[[Shard, npt.NDArray[np.int64]], SortedKeys]
"""Reads the keys of a shard whose products stand in the given rows of the earlier set."""


def _content_keys(features: Sequence[Feature]) -> ReadKeys:
    """Contents, with the row and feature that hold the vector of each."""

    def read(shard: Shard, rows: npt.NDArray[np.int64]) -> SortedKeys:
        keys, pointers = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.int64)]
        for feature in features:
            hashes = shard.hashes(hash_column(feature))
            there = hashes.any(axis=1)
            keys.append(as_keys(hashes[there]))
            pointers.append((rows[there] << 3) | ALL_FEATURES.index(feature))
        return SortedKeys.build(np.concatenate(keys), np.concatenate(pointers))

    return read


def _source_keys(shard: Shard, rows: npt.NDArray[np.int64]) -> SortedKeys:
    sources = shard.hashes(IMAGE_SOURCE)
    there = sources.any(axis=1)
    return SortedKeys.build(as_keys(sources[there]), rows[there])


def _id_keys(shard: Shard, rows: npt.NDArray[np.int64]) -> SortedKeys:
    return SortedKeys.build(keys_of(shard.frame(["product_id"]).to_series()), rows)


def _write_marks(plan: ReusePlan) -> None:
    """Of each product and feature, enough of the content hash to see that it changed."""
    marks = _new_array(plan, "marks", np.uint32, (_num_products(plan), len(plan.features)))
    for shard, rows in _shards(plan):
        for column, feature in enumerate(plan.features):
            marks[rows[0] : rows[-1] + 1, column] = _marks(shard.hashes(hash_column(feature)))


def _write_pictures(plan: ReusePlan) -> None:
    """Of each product's picture, the content hash, or why it is absent; nothing where pictures do not count."""
    has_pictures = "image" in plan.features
    num_rows = _num_products(plan) if has_pictures else 0
    hashes = _new_array(plan, "hashes", np.uint8, (num_rows, KEY_BYTES))
    numbers = _new_array(plan, "reasons", np.uint32, (num_rows,))
    reasons: dict[str, int] = {"": 0}
    for shard, rows in _shards(plan) if has_pictures else ():
        some = slice(rows[0], rows[-1] + 1)
        hashes[some] = shard.hashes(hash_column("image"))
        told = shard.frame([error_column("image")]).to_series().fill_null("")
        known = {reason: reasons.setdefault(reason, len(reasons)) for reason in told.unique(maintain_order=True)}
        numbers[some] = told.replace_strict(known, return_dtype=pl.UInt32).to_numpy()
    (plan.folder / "reasons.json").write_text(json.dumps(list(reasons)), encoding="utf-8")


def _new_array(plan: ReusePlan, name: str, dtype: type, shape: tuple[int, ...]) -> "np.memmap[Any, Any]":
    return new_array(plan.folder / f"{name}.npy", dtype=dtype, shape=shape)


def _num_products(plan: ReusePlan) -> int:
    """Of the earlier set."""
    return sum(source.record.num_products for source in plan.sources)


def _shards(plan: ReusePlan) -> Iterator[tuple[Shard, npt.NDArray[np.int64]]]:
    """Each earlier shard, and the rows of its products in the earlier set."""
    start = 0
    for source in plan.sources:
        shard = Shard(ShardFile(source.folder / source.record.name), record=source.record)
        yield shard, np.arange(start, start + shard.num_products)
        start += shard.num_products


class Reuse:
    """An earlier set's vectors by content hash. Threads may share it."""

    def __init__(self, plan: ReusePlan) -> None:
        """Open what `write_index` wrote of this plan."""
        folder = plan.folder
        self.features = plan.features
        self._sources, self._again = plan.sources, plan.again
        self._starts = np.cumsum([0, *(source.record.num_products for source in plan.sources)])
        self._spaces = {space: SortedKeys.load(folder, space) for space in ("texts", "image", "lexical")}
        self._picture_sources, self._ids = SortedKeys.load(folder, "source"), SortedKeys.load(folder, "ids")
        self._marks, self._hashes, self._reasons = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("marks", "hashes", "reasons")
        )
        self._reason_texts: list[str] = json.loads((folder / "reasons.json").read_text(encoding="utf-8"))
        self._open: OrderedDict[int, Shard] = OrderedDict()

    def find(self, space: Space, hashes: Sequence[bytes]) -> Values:
        """Pointers to the vectors of these contents, `NOT_FOUND` where there is none."""
        return self._spaces[space].find(as_keys(b"".join(hashes)))

    def has_picture(self, content_hash: bytes) -> bool:
        """Whether the vector of a picture with this content is there."""
        return bool(self.find("image", [content_hash])[0] != NOT_FOUND)

    def pictures(self, sources: Hashes) -> list[Known | None]:
        """What is known of the pictures from these sources; None where they have to be fetched."""
        if self._again == "all" or "image" not in self.features:
            return [None] * len(sources)
        rows = self._picture_sources.find(as_keys(sources))
        return [None if row == NOT_FOUND else self._known(row) for row in rows.tolist()]

    def vectors(self, pointers: Values) -> npt.NDArray[np.float16]:
        """The vectors at these pointers, (n, dim), all of one space."""
        rows, features = pointers >> 3, pointers & 7
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        groups = shards * 8 + features
        order = np.argsort(groups, kind="stable")
        wholes, firsts = np.unique(groups[order], return_index=True)
        out: npt.NDArray[np.float16] | None = None
        for group, places in zip(wholes.tolist(), np.split(order, firsts[1:]), strict=True):
            number, feature = group >> 3, ALL_FEATURES[group & 7]
            stored = self._shard(number).vectors(feature)
            if out is None:
                out = np.empty((len(pointers), stored.shape[1]), dtype="<f2")
            out[places] = stored[rows[places] - self._starts[number]]
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
        return int((self._marks[rows[known], self.features.index("title")] == _marks(titles[known])).sum())

    def changes(self, product_ids: pl.Series, hashes: dict[Feature, Hashes]) -> Changes:
        """How n products differ from the earlier set; of vectors it counts nothing.

        Args:
            hashes: the content hashes of their features, zeros where absent.
        """
        rows = self._ids.find(keys_of(product_ids))
        known = rows != NOT_FOUND
        changed = np.zeros(int(known.sum()), dtype=bool)
        by_feature: dict[Feature, int] = {}
        for column, feature in enumerate(self.features):
            differs = self._marks[rows[known], column] != _marks(hashes[feature][known])
            changed |= differs
            if differs.any():
                by_feature[feature] = int(differs.sum())
        return Changes(
            added=int((~known).sum()),
            changed=int(changed.sum()),
            changed_features=by_feature,
            unchanged=int((~changed).sum()),
        )

    def _known(self, row: int) -> Known | None:
        reason = self._reason_texts[self._reasons[row]]
        if not reason:
            return Known(content_hash=self._hashes[row].tobytes(), absent=None)
        return None if self._again == "absent" else Known(content_hash=b"", absent=reason)

    def _shard(self, number: int) -> Shard:
        shard = self._open.pop(number, None)
        if shard is None:
            source = self._sources[number]
            shard = Shard(ShardFile(source.folder / source.record.name), record=source.record)
        self._open[number] = shard
        while len(self._open) > _OPEN_SHARDS:
            self._open.popitem(last=False)
        return shard


class StoredVectors:
    """Vectors that need not be made, copied when they are asked for."""

    def __init__(self, reuse: Reuse, pointers: Values) -> None:
        self._reuse, self._pointers = reuse, pointers

    def result(self) -> npt.NDArray[np.float16]:
        """The vectors, (n, dim)."""
        return self._reuse.vectors(self._pointers)


def _marks(hashes: Hashes) -> npt.NDArray[np.uint32]:
    """The first four bytes of each hash: enough to count what changed."""
    return np.ascontiguousarray(hashes[:, :4]).view(np.uint32)[:, 0]
