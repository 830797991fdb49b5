"""The index of an earlier shard set: its vectors by the content that they were made from."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from prodemb.core.errors import ShardError, StorageError
from prodemb.core.features import ALL_FEATURES, TEXT_FEATURES, Feature, error_column, hash_column
from prodemb.core.files import naming
from prodemb.core.text import counted
from prodemb.embed.plan import Plan
from prodemb.embed.reuse import FEATURE_BITS, Reuse, ReusePlan, hash_prefixes
from prodemb.shards.bucket import TEMPORARY_NAME
from prodemb.shards.format import HASH_BYTES, IMAGE_SOURCE, Manifest
from prodemb.shards.hashes import content_hash
from prodemb.shards.keys import KEY_BYTES, KeyWriter, SortedKeys, as_keys, keys_of, new_array
from prodemb.shards.shard import Shard
from prodemb.storage.address import Address
from prodemb.storage.objects import delete, listing
from prodemb.storage.publish import publish_folder

MIN_SHARED = 0.1
"""Part of the products that an earlier set and a catalog of another name must share, or they are two catalogs."""

ReadKeys = Callable[[Shard, npt.NDArray[np.int64]], SortedKeys]
"""Reads the keys of a shard whose products are the given rows of the earlier set."""


@contextmanager
def indexed(plan: Plan) -> Iterator[None]:
    """Keep the index of the earlier set while shards are made with it.

    A set of another model is replaced, whatever catalog it is of; one of the same model must hold products of this
    catalog.

    Raises:
        ShardError: the set in place is of another catalog.
    """
    if plan.reuse is None or not plan.todo:
        yield
        return
    try:
        write_index(plan.reuse)
        old = plan.old
        has_same_model = old is not None and old.shard_schema.fingerprint == plan.checkpoint.fingerprint
        if old is not None and has_same_model and not plan.done and old.catalog != plan.catalog.name:
            _check_shared(old, Reuse(plan.reuse), plan=plan)
        yield
    finally:
        shutil.rmtree(plan.reuse.folder, ignore_errors=True)


@contextmanager
def lent_index(plan: Plan) -> Iterator[Plan]:
    """The plan for workers of other machines: beside a set in a bucket its index is there for them meanwhile.

    Raises:
        StorageError: it cannot be uploaded.
    """
    place = plan.folder.place
    if plan.reuse is None or not isinstance(place, Address):
        yield plan
        return
    lent = place / TEMPORARY_NAME / "index"
    try:
        publish_folder(plan.reuse.folder, lent)
        yield replace(plan, reuse=replace(plan.reuse, lent=lent))
    finally:
        with suppress(StorageError):  # the next run that writes to the set removes what is left
            delete(*(info.address for info in listing(lent)))


def write_index(plan: ReusePlan) -> None:
    """Index earlier shards by their contents, for any number of `Reuse`, in little memory.

    Raises:
        OutputError: the index does not fit the disk, or nothing can be written there.
    """
    texts = tuple(feature for feature in plan.features if feature in TEXT_FEATURES)
    with naming(plan.folder):
        plan.folder.mkdir(parents=True)
        has_pictures = "image" in plan.features
        readers: dict[str, ReadKeys] = {
            "texts": _content_keys(texts),
            "image": _content_keys(("image",) if has_pictures else ()),
            "lexical": _content_keys(("lexical",) if "lexical" in plan.features else ()),
            "joined": _content_keys(("text",) if "text" in plan.features else ()),
            "source": _source_keys if has_pictures else _content_keys(()),
            "ids": _id_keys,
        }
        prefixes, pictures = _Prefixes(plan), _Pictures(plan)
        with ExitStack() as stack:
            writers = {name: stack.enter_context(KeyWriter(plan.folder, name)) for name in readers}
            for shard, rows in _shards(plan):  # each once: it may have to be fetched
                for name, read in readers.items():
                    writers[name].add(read(shard, rows))
                prefixes.add(shard, rows)
                pictures.add(shard, rows)
            for writer in writers.values():
                writer.finish()
        pictures.finish()


def _content_keys(features: Sequence[Feature]) -> ReadKeys:
    """Contents, with the row and feature that hold the vector of each."""

    def read(shard: Shard, rows: npt.NDArray[np.int64]) -> SortedKeys:
        keys, pointers = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.int64)]
        for feature in features:
            hashes = shard.hashes(hash_column(feature))
            present = hashes.any(axis=1)
            keys.append(as_keys(hashes[present]))
            pointers.append((rows[present] << FEATURE_BITS) | ALL_FEATURES.index(feature))
        return SortedKeys.build(np.concatenate(keys), np.concatenate(pointers))

    return read


def _source_keys(shard: Shard, rows: npt.NDArray[np.int64]) -> SortedKeys:
    sources = shard.hashes(IMAGE_SOURCE)
    present = sources.any(axis=1)
    return SortedKeys.build(as_keys(sources[present]), rows[present])


def _id_keys(shard: Shard, rows: npt.NDArray[np.int64]) -> SortedKeys:
    return SortedKeys.build(keys_of(shard.frame(["product_id"]).to_series()), rows)


class _Prefixes:
    """The first bytes of each product's content hashes, one column per feature."""

    def __init__(self, plan: ReusePlan) -> None:
        self._features = plan.features
        self._prefixes = _new_array(plan, "prefixes", np.uint32, (_num_products(plan), len(plan.features)))

    def add(self, shard: Shard, rows: npt.NDArray[np.int64]) -> None:
        for column, feature in enumerate(self._features):
            self._prefixes[rows[0] : rows[-1] + 1, column] = hash_prefixes(shard.hashes(hash_column(feature)))


class _Pictures:
    """The content hash of each product's picture, or its error; empty where pictures are no feature."""

    def __init__(self, plan: ReusePlan) -> None:
        self._folder, self._has_pictures = plan.folder, "image" in plan.features
        num_rows = _num_products(plan) if self._has_pictures else 0
        self._hashes = _new_array(plan, "hashes", np.uint8, (num_rows, KEY_BYTES))
        self._codes = _new_array(plan, "errors", np.uint32, (num_rows,))
        self._errors: dict[str, int] = {"": 0}

    def add(self, shard: Shard, rows: npt.NDArray[np.int64]) -> None:
        if not self._has_pictures:
            return
        some = slice(rows[0], rows[-1] + 1)
        self._hashes[some] = shard.hashes(hash_column("image"))
        column = shard.frame([error_column("image")]).to_series().fill_null("")
        known = {
            error: self._errors.setdefault(error, len(self._errors)) for error in column.unique(maintain_order=True)
        }
        self._codes[some] = column.replace_strict(known, return_dtype=pl.UInt32).to_numpy()

    def finish(self) -> None:
        (self._folder / "errors.json").write_text(json.dumps(list(self._errors)), encoding="utf-8")


def _new_array(plan: ReusePlan, name: str, dtype: type, shape: tuple[int, ...]) -> "np.memmap[Any, Any]":
    return new_array(plan.folder / f"{name}.npy", dtype=dtype, shape=shape)


def _num_products(plan: ReusePlan) -> int:
    """Of the earlier set."""
    return sum(source.record.num_products for source in plan.sources)


def _shards(plan: ReusePlan) -> Iterator[tuple[Shard, npt.NDArray[np.int64]]]:
    """Each earlier shard, and the rows of its products in the earlier set."""
    start = 0
    for source in plan.sources:
        shard = source.open()
        yield shard, np.arange(start, start + shard.num_products)
        start += shard.num_products


def _check_shared(old: Manifest, reuse: Reuse, *, plan: Plan) -> None:
    """Raise where hardly any product of the catalog is in the set in place, under the same id and with its title."""
    num_shared = 0
    for rows in plan.catalog.batches(8192, columns=["product_id", "title"]):
        titles = b"".join(
            bytes(HASH_BYTES) if title is None else content_hash(title.encode()) for title in rows["title"].to_pylist()
        )
        hashes = np.frombuffer(titles, dtype=np.uint8).reshape(-1, HASH_BYTES)
        product_ids = pl.Series(pa.chunked_array(rows["product_id"]).cast(pa.string()))
        num_shared += reuse.num_shared(product_ids, titles=hashes)
    if num_shared < MIN_SHARED * min(plan.num_products, old.num_products):
        found = f"{num_shared:,}" if num_shared else "none"
        raise ShardError(
            f"{plan.folder.place}: holds {counted(old.num_products, 'product')} of {old.catalog}, and {found} of "
            f"{plan.catalog.name}; give another --out, or remove the folder"
        )
