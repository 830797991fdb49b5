"""Shard sets in formats of other tools: numpy arrays, Parquet with lists, faiss indexes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.features import ALL_FEATURES, Feature
from prodemb.core.folders import replacing_folder
from prodemb.core.progress import ProgressCallback
from prodemb.shards.reader import VALUE_COLUMNS, ShardSet
from prodemb.shards.shard import Shard

ExportFormat = Literal["npy", "list-parquet", "faiss"]

PRODUCTS_NAME, VECTORS_NAME = "products.parquet", "vectors.parquet"
_EXPORTED = frozenset(
    {
        PRODUCTS_NAME,
        VECTORS_NAME,
        *(f"{feature}{ending}" for feature in ALL_FEATURES for ending in (".npy", ".present.npy", ".faiss")),
    }
)
"""Names of all files that an export may consist of."""


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was written."""

    folder: Path
    num_products: int
    files: tuple[tuple[str, int], ...]
    """Names and bytes."""


def export(
    shard_set: ShardSet, folder: Path, *, to: ExportFormat, on_progress: ProgressCallback | None = None
) -> ExportReport:
    """Write the vectors and values of n products to a folder, which appears once it is whole; memory holds one shard.

    - `npy`: for each feature `<feature>.npy`, (n, dim) float16 with zeros where missing, and `<feature>.present.npy`,
      (n,) bool; `products.parquet`, the ids and values in the same order.
    - `list-parquet`: `vectors.parquet`, ids, values and a column of float32 lists per feature, null where missing.
    - `faiss`: for each feature `<feature>.faiss`, an exact index by inner product (of vectors of length 1, the cosine)
      of the vectors that are there, whose ids are rows of `products.parquet`.

    Args:
        folder: a new one, or that of an earlier export, which is replaced.
        on_progress: called with the shards written and all there are.

    Raises:
        ShardError: a shard is damaged.
        BusyError: another run is writing to the folder.
        OutputError: it cannot be written, or holds what prodemb did not make.
    """
    with replacing_folder(folder, kind="export", own_files=_EXPORTED) as new:
        match to:
            case "npy":
                _write_npy(shard_set, new, on_progress=on_progress)
            case "list-parquet":
                _write_lists(shard_set, new, on_progress=on_progress)
            case "faiss":
                _write_faiss(shard_set, new, on_progress=on_progress)
        files = tuple((path.name, path.stat().st_size) for path in sorted(new.iterdir()) if path.name in _EXPORTED)
    return ExportReport(folder=folder, num_products=shard_set.num_products, files=files)


def _shards(shard_set: ShardSet, on_progress: ProgressCallback | None) -> Iterator[Shard]:
    total = len(shard_set.manifest.shards)
    for done, shard in enumerate(shard_set.shards(), start=1):
        yield shard
        if on_progress:
            on_progress(done, total)


def _write_npy(shard_set: ShardSet, folder: Path, *, on_progress: ProgressCallback | None) -> None:
    schema, num = shard_set.schema, shard_set.num_products
    vectors = {
        feature: np.lib.format.open_memmap(
            folder / f"{feature}.npy", mode="w+", dtype=np.float16, shape=(num, schema.dim_of(feature))
        )
        for feature in schema.features
    }
    present = {feature: np.zeros(num, dtype=np.bool_) for feature in schema.features}
    start = 0
    with pq.ParquetWriter(folder / PRODUCTS_NAME, _values_schema(), compression="zstd") as products:
        for shard in _shards(shard_set, on_progress):
            some = slice(start, start + shard.num_products)
            for feature in schema.features:
                vectors[feature][some] = shard.vectors(feature)
                present[feature][some] = shard.present(feature)
            products.write_table(_values(shard))
            start += shard.num_products
    for feature in schema.features:
        vectors[feature].flush()
        np.save(folder / f"{feature}.present.npy", present[feature])


def _write_lists(shard_set: ShardSet, folder: Path, *, on_progress: ProgressCallback | None) -> None:
    features = shard_set.schema.features
    lists = [pa.field(feature, pa.list_(pa.float32())) for feature in features]
    schema = pa.schema([*_values_schema(), *lists])
    with pq.ParquetWriter(folder / VECTORS_NAME, schema, compression="zstd", use_dictionary=False) as writer:
        for shard in _shards(shard_set, on_progress):
            table = _values(shard)
            for feature in features:
                table = table.append_column(feature, _lists(shard, feature))
            writer.write_table(table)


def _lists(shard: Shard, feature: Feature) -> pa.ListArray:
    vectors, present = shard.vectors(feature), np.asarray(shard.present(feature))
    lengths = np.where(present, vectors.shape[1], 0)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    values = pa.array(vectors[present].astype(np.float32).ravel())
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(~present))


def _write_faiss(shard_set: ShardSet, folder: Path, *, on_progress: ProgressCallback | None) -> None:
    import faiss

    schema, start = shard_set.schema, 0
    indexes = {feature: faiss.IndexIDMap2(faiss.IndexFlatIP(schema.dim_of(feature))) for feature in schema.features}
    with pq.ParquetWriter(folder / PRODUCTS_NAME, _values_schema(), compression="zstd") as products:
        for shard in _shards(shard_set, on_progress):
            for feature, index in indexes.items():
                rows = np.flatnonzero(shard.present(feature))
                index.add_with_ids(shard.vectors(feature)[rows].astype(np.float32), rows + start)
            products.write_table(_values(shard))
            start += shard.num_products
    for feature, index in indexes.items():
        faiss.write_index(index, str(folder / f"{feature}.faiss"))


def _values_schema() -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in VALUE_COLUMNS])


def _values(shard: Shard) -> pa.Table:
    """The ids, values and labels of a shard's products."""
    return shard.frame(VALUE_COLUMNS).to_arrow().cast(_values_schema())
