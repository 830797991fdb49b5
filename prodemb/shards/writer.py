"""Writing one shard: vectors and supplied values of some products, in a layout that can be mapped."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.features import (
    GOLD_LABELS,
    PARTNER,
    SPLIT,
    TEXT_FEATURES,
    Feature,
    error_column,
    hash_column,
    raw_column,
)
from prodemb.shards.folder import AnyFolder, shard_folder
from prodemb.shards.format import HASH_BYTES, IMAGE_SOURCE, MAX_PRODUCTS, Changes, ShardRecord, ShardSchema, shard_names


@dataclass(frozen=True, kw_only=True)
class EncodedFeature:
    """One feature of n products: vectors, and why some are absent."""

    vectors: npt.NDArray[np.float16]
    """(n, dim), L2-normalised rows; a row of zeros where absent."""
    absent: pa.Array
    """Strings: the reason for each absent vector, null for each present one."""
    hashes: pa.Array
    """Fixed-size binaries: the content hash (16 bytes) of what was encoded, null where absent."""


def write_shard(
    folder: AnyFolder,
    *,
    index: int,
    schema: ShardSchema,
    rows: pa.Table,
    encoded: Mapping[Feature, EncodedFeature],
    rows_hash: str,
    image_sources: pa.Array | None = None,
    reserved: Container[str] = (),
    changes: Changes | None = None,
) -> ShardRecord:
    """Write `folder/part-<index>.parquet`, which is there once it is whole; return its manifest record.

    In a bucket it has another of `shard_names` where that one is another file's: nothing is written over.

    Args:
        rows: the products' catalog rows (`prodemb.core.features.PRODUCT_COLUMNS`; `image` may be missing), at most
            `MAX_PRODUCTS` of them.
        encoded: one entry for each of `schema.features`, rows as in `rows`.
        image_sources: 16 bytes per row, null where the catalog names no picture; None where they are not known.
        reserved: file names that must not be used.
        changes: for the record.
    """
    assert 0 < rows.num_rows <= MAX_PRODUCTS, rows.num_rows
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: rows[name].cast(pa.string()) for name in ("product_id", PARTNER, *GOLD_LABELS, SPLIT)
    }
    for feature in schema.features:
        part = encoded[feature]
        columns[feature] = _vector_column(part.vectors, num_rows=rows.num_rows, dim=schema.dim_of(feature))
        columns[error_column(feature)] = part.absent
        columns[hash_column(feature)] = part.hashes
    if "image" in schema.features:
        unknown = pa.nulls(rows.num_rows, pa.binary(HASH_BYTES))
        columns[IMAGE_SOURCE] = unknown if image_sources is None else image_sources
    for text_feature in TEXT_FEATURES:
        columns[raw_column(text_feature)] = rows[text_feature].cast(pa.string())

    with shard_folder(folder).adding(shard_names(index, reserved=reserved)) as new:
        _write_parquet(new.path, pa.table(columns, schema=schema.arrow(rows_hash=rows_hash)), features=schema.features)
        num_bytes, sha256 = new.path.stat().st_size, new.sha256
    return ShardRecord(
        name=new.name,
        num_products=rows.num_rows,
        num_bytes=num_bytes,
        sha256=sha256,
        rows_hash=rows_hash,
        null_counts={feature: reason_counts(encoded[feature].absent) for feature in schema.features},
        changes=changes,
    )


def reason_counts(reasons: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """How often each reason stands in a column, in order of appearance."""
    counts = reasons.drop_null().value_counts()
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def _vector_column(vectors: npt.NDArray[np.float16], *, num_rows: int, dim: int) -> pa.Array:
    """An (n, dim) float16 array as n fixed-size binaries, without a copy."""
    assert vectors.shape == (num_rows, dim), (vectors.shape, num_rows, dim)
    assert vectors.dtype == np.dtype("<f2"), vectors.dtype
    buffer = pa.py_buffer(np.ascontiguousarray(vectors))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * dim), num_rows, [None, buffer])


def _write_parquet(path: Path, table: pa.Table, *, features: tuple[Feature, ...]) -> None:
    """Vectors and hashes plain; strings that repeat as a dictionary; all but the vectors compressed with zstd."""
    repeating = [PARTNER, *GOLD_LABELS, SPLIT, *(error_column(feature) for feature in features)]
    repeating += [raw_column(feature) for feature in TEXT_FEATURES if feature not in ("title", "description")]
    pq.write_table(
        table,
        path,
        row_group_size=MAX_PRODUCTS,
        use_dictionary=repeating,
        compression={name: "none" if name in features else "zstd" for name in table.column_names},
        write_statistics=["product_id"],
        data_page_size=1 << 30,
        write_page_checksum=True,
        write_batch_size=MAX_PRODUCTS,
    )
