"""Small shard sets of random vectors, and what may become of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from prodemb.core.features import CATALOG_COLUMNS, FEATURES
from prodemb.shards.format import Manifest, ShardRecord, ShardSchema, read_manifest
from prodemb.shards.writer import EncodedFeature, write_shard


def make_rows(num_rows: int, *, start: int = 0) -> pa.Table:
    columns = {name: pa.array([None] * num_rows, pa.large_string()) for name in CATALOG_COLUMNS}
    columns["product_id"] = pa.array([f"p{start + i}" for i in range(num_rows)], pa.large_string())
    columns["title"] = pa.array([f"Mug {i} ☕, dishwasher safe" for i in range(num_rows)], pa.large_string())
    return pa.table(columns)


def make_encoded(num_rows: int, *, dim: int, seed: int) -> EncodedFeature:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((num_rows, dim)).astype("<f2")
    absent = [None if random.random() < 0.8 else "missing" for _ in range(num_rows)]
    vectors[[reason is not None for reason in absent]] = 0
    return EncodedFeature(
        vectors=vectors,
        absent=pa.array(absent, pa.string()),
        hashes=pa.array([None if reason else bytes(16) for reason in absent], pa.binary(16)),
    )


def make_set(folder: Path, *, sizes: list[int], dim: int = 8, fingerprint: str = "f1") -> dict[str, np.ndarray]:
    schema = ShardSchema(fingerprint=fingerprint, model="tiny", dim=dim, features=FEATURES)
    records, truth = [], {feature: [] for feature in FEATURES}
    for index, size in enumerate(sizes):
        encoded = {f: make_encoded(size, dim=dim, seed=100 * index + i) for i, f in enumerate(FEATURES)}
        rows = make_rows(size, start=sum(sizes[:index]))
        records.append(write_shard(folder, index=index, schema=schema, rows=rows, encoded=encoded, rows_hash="x"))
        for feature in FEATURES:
            truth[feature].append(encoded[feature].vectors)
    write_manifest(folder, schema=schema, records=records)
    return {feature: np.concatenate(parts) for feature, parts in truth.items()}


def updated_set(folder: Path, *, sizes: list[int], fingerprint: str = "f1") -> None:
    """Do to a set what an update does: shards of other names, another manifest, and the old files go."""
    old = [folder / record.name for record in read_manifest(folder).shards]
    made = folder.with_name(f"{folder.name}-made")
    make_set(made, sizes=sizes, fingerprint=fingerprint)
    manifest = read_manifest(made)
    records = []
    for record in manifest.shards:
        names = (record.name, f"{record.name.removesuffix('.parquet')}-b.parquet")
        name = next(name for name in names if folder / name not in old)
        (made / record.name).rename(folder / name)
        records.append(record.model_copy(update={"name": name}))
    write_manifest(folder, schema=manifest.shard_schema, records=records)
    for path in old:
        path.unlink()
    (made / "manifest.json").unlink()
    made.rmdir()


def write_manifest(folder: Path, *, schema: ShardSchema, records: list[ShardRecord], complete: bool = True) -> None:
    manifest = Manifest(shard_schema=schema, catalog="c", shard_size=64, complete=complete, shards=tuple(records))
    manifest.write(folder)


def flip(path: Path, place: int, *, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= bit
    path.write_bytes(content)
