"""A manifest rebuilt from the shards themselves, where the one that was written is damaged."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.errors import ShardError
from prodemb.core.features import error_column
from prodemb.core.files import sha256_of
from prodemb.shards.folder import AnyFolder, ShardFolder, shard_folder
from prodemb.shards.format import ROWS_HASH_KEY, Manifest, ShardRecord, ShardSchema, shard_index
from prodemb.shards.writer import reason_counts


def rebuilt_manifest(folder: AnyFolder) -> Manifest | None:
    """The manifest of all shards in `folder` that can be read and whose pages have their checksums; None without any.

    It is an unfinished one: which catalog the shards are of, and whether they are all, shards do not say. Where a
    killed update left two shards of one index, the younger counts.
    """
    found: dict[int, tuple[ShardSchema, ShardRecord]] = {}
    files = shard_folder(folder)
    for name in files.parts():
        index, made = shard_index(name), _read(files, name)
        if index is not None and made is not None:
            found[index] = made
    if not found:
        return None
    schema, _ = found[min(found)]
    records = tuple(found[index][1] for index in sorted(found) if found[index][0].like(schema))
    largest = max(record.num_products for record in records)
    return Manifest(shard_schema=schema, catalog="", shard_size=largest, complete=False, shards=records)


def _read(folder: ShardFolder, name: str) -> tuple[ShardSchema, ShardRecord] | None:
    try:
        folder.footer(name)
        with folder.fetched(name) as path:
            return _read_file(path, name=name)
    except (pa.ArrowException, OSError, ValueError, KeyError, ShardError):
        return None


def _read_file(path: Path, *, name: str) -> tuple[ShardSchema, ShardRecord] | None:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = ShardSchema.from_metadata(file.metadata.metadata, path=path)
        rows_hash = file.metadata.metadata[ROWS_HASH_KEY].decode()
        if not file.schema_arrow.equals(schema.arrow(rows_hash=rows_hash)):
            return None
        table = file.read()
    null_counts = {feature: reason_counts(table[error_column(feature)]) for feature in schema.features}
    record = ShardRecord(
        name=name,
        num_products=table.num_rows,
        num_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        rows_hash=rows_hash,
        null_counts=null_counts,
    )
    return schema, record
