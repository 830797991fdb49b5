"""Small shard sets for tests: one writer, and the products that several rooms are tested with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.core.features import BRAND_FEATURES, FEATURES, PRODUCT_COLUMNS, Feature
from prodemb.shards.format import Manifest, ShardSchema, read_manifest
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.shards.writer import EncodedFeature, write_shard

BRANDS = ("Norvik", "Acme Tools", "Lumo", "Zed & Co", "Old Harbour", "Quill", "Rare One", "Rare Two")


def write_shards(
    folder: Path,
    *,
    vectors: Mapping[Feature, npt.NDArray[np.floating]],
    columns: Mapping[str, Sequence[str | None]] | None = None,
    sizes: Sequence[int],
    fingerprint: str = "f1",
    model: str = "tiny",
    fine_tuned: bool = False,
) -> None:
    """Write a complete shard set.

    Args:
        vectors: (n, dim) of each feature; rows of zeros are absent.
        columns: catalog columns of n texts; product ids are p0, p1, ... where none are given.
        sizes: how many of the n products each shard holds.
    """
    num, dim = sum(sizes), next(iter(vectors.values())).shape[1]
    given = {"product_id": [f"p{i}" for i in range(num)], **(columns or {})}
    rows = pa.table({name: pa.array(given.get(name, [None] * num), pa.string()) for name in PRODUCT_COLUMNS})
    schema = ShardSchema(fingerprint=fingerprint, model=model, dim=dim, features=tuple(vectors), fine_tuned=fine_tuned)
    records = []
    for index, size in enumerate(sizes):
        start = sum(sizes[:index])
        encoded = {feature: _encoded(matrix[start : start + size]) for feature, matrix in vectors.items()}
        part = rows.slice(start, size)
        records.append(write_shard(folder, index=index, schema=schema, rows=part, encoded=encoded, rows_hash="x"))
    manifest = Manifest(shard_schema=schema, catalog="c", shard_size=max(sizes), complete=True, shards=tuple(records))
    manifest.write(folder)


def _encoded(vectors: npt.NDArray[np.floating]) -> EncodedFeature:
    is_present = [bool(row.any()) for row in vectors]
    return EncodedFeature(
        vectors=vectors.astype("<f2"),
        absent=pa.array([None if present else "none" for present in is_present], pa.string()),
        hashes=pa.array([bytes(16) if present else None for present in is_present], pa.binary(16)),
    )


def random_vectors(
    num: int, *, dim: int = 8, features: tuple[Feature, ...] = FEATURES
) -> dict[Feature, npt.NDArray[np.float16]]:
    """(num, dim) random vectors of each feature, some of them absent; the fourth product has none at all."""
    vectors = {}
    for index, feature in enumerate(features):
        random = np.random.default_rng([index, dim])
        drawn = random.standard_normal((num, dim)).astype("<f2")
        drawn[(random.random(num) < 0.2) | (np.arange(num) == 3)] = 0
        vectors[feature] = drawn
    return vectors


def write_random_set(
    folder: Path,
    *,
    sizes: Sequence[int] = (40, 40, 20),
    dim: int = 8,
    fingerprint: str = "clip",
    ids: Sequence[str] | None = None,
    features: tuple[Feature, ...] = FEATURES,
) -> ShardSet:
    """Products with `random_vectors` and without texts."""
    vectors = random_vectors(sum(sizes), dim=dim, features=features)
    columns = {} if ids is None else {"product_id": ids}
    model = f"model {fingerprint}"
    write_shards(folder, vectors=vectors, columns=columns, sizes=sizes, fingerprint=fingerprint, model=model)
    return open_shard_set(folder)


def write_clustered_set(
    folder: Path,
    *,
    num: int = 600,
    num_classes: int = 6,
    features: tuple[Feature, ...] = FEATURES,
    noise: float = 0.8,
    shard_size: int = 250,
    partners: Sequence[str] = (),
    split: Sequence[str] = (),
    fine_tuned: bool = False,
) -> ShardSet:
    """Products in clusters, one per class of categories and brands, with a third of the vectors absent.

    Args:
        partners: who sent them, in turn.
        split: `test` or `train`, in turn.
        fine_tuned: whether their model was fine-tuned.
    """
    random = np.random.default_rng(7)
    labels = random.integers(0, num_classes, num)
    centres = random.standard_normal((len(features), num_classes, 16))
    vectors = {feature: np.empty((num, 16)) for feature in features}
    for start in range(0, num, shard_size):
        some = labels[start : start + shard_size]
        for index, feature in enumerate(features):
            centred = centres[index, some]
            drawn = centred + noise * random.standard_normal(centred.shape)
            drawn[random.random(len(some)) < 0.3] = 0
            vectors[feature][start : start + shard_size] = drawn
    columns: dict[str, list[str | None]] = {
        "partner": [partners[i % len(partners)] if partners else None for i in range(num)],
        "split": [split[i % len(split)] if split else None for i in range(num)],
        "title": [f"kind{label} item {i}" for i, label in enumerate(labels)],
        "brand": [f"Brand {label}" if i % 3 else "Wrong" for i, label in enumerate(labels)],
        "cat1": [f"group {label // 2}" for label in labels],
        "google_category_id": [str(2 + label) for label in labels],
        "brand_label": [f"Brand {label}" for label in labels],
    }
    sizes = [min(shard_size, num - start) for start in range(0, num, shard_size)]
    write_shards(folder, vectors=vectors, columns=columns, sizes=sizes, fine_tuned=fine_tuned)
    return open_shard_set(folder)


def write_branded_set(folder: Path, *, num: int = 900) -> ShardSet:
    """Products of a few brands: some send theirs, some another, some none; many titles name it, pictures hint at it."""
    random = np.random.default_rng(3)
    brand = random.choice(8, num, p=[0.3, 0.2, 0.15, 0.13, 0.11, 0.1, 0.006, 0.004])
    sent = random.choice(["right", "loud", "wrong", "none"], num, p=[0.5, 0.15, 0.1, 0.25])
    other = (brand + random.integers(1, 6, num)) % 6
    supplied = np.where(sent == "wrong", other, brand)
    texts = [
        None if how == "none" else BRANDS[name].upper() + " Ltd" if how == "loud" else BRANDS[name]
        for how, name in zip(sent, supplied, strict=True)
    ]
    in_title = random.random(num) < 0.7
    centres = random.standard_normal((8, 8))
    absent: dict[Feature, npt.NDArray[np.bool_]] = {
        "title": np.zeros(num, bool),
        "description": np.ones(num, bool),
        "brand": sent == "none",
        "image": random.random(num) < 0.1,
    }
    vectors: dict[Feature, npt.NDArray[np.floating]] = {}
    for feature in BRAND_FEATURES:
        shown, noise = (supplied, 0.1) if feature == "brand" else (brand, 1.5)
        drawn = centres[shown] + random.standard_normal((num, 8)) * noise
        vectors[feature] = np.where(absent[feature][:, None], 0, drawn)
    columns: dict[str, list[str | None]] = {
        "title": [
            f"{BRANDS[name]} thing {i}" if says else f"thing {i}"
            for i, (name, says) in enumerate(zip(brand, in_title, strict=True))
        ],
        "brand": texts,
        "brand_label": [BRANDS[name] for name in brand],
        "partner": ["alder" if number % 3 else "borea" for number in range(num)],
    }
    write_shards(folder, vectors=vectors, columns=columns, sizes=[num], fingerprint="clip")
    return open_shard_set(folder)


def write_columns(folder: Path, **columns: Sequence[str | None]) -> ShardSet:
    """Products with these catalog columns and no vectors, two per shard."""
    num = len(next(iter(columns.values())))
    sizes = [min(2, num - start) for start in range(0, num, 2)]
    write_shards(folder, vectors={"title": np.zeros((num, 4))}, columns=columns, sizes=sizes)
    return open_shard_set(folder)


def update_shards(folder: Path, *, sizes: Sequence[int]) -> None:
    """Do to a set what an update does: shards of other names, another manifest, and the old files go."""
    before = read_manifest(folder)
    old, schema = [folder / record.name for record in before.shards], before.shard_schema
    made = folder.with_name(f"{folder.name}-made")
    vectors = random_vectors(sum(sizes), dim=schema.dim, features=schema.features)
    write_shards(made, vectors=vectors, sizes=sizes, fingerprint=schema.fingerprint, model=schema.model)
    manifest = read_manifest(made)
    records = []
    for record in manifest.shards:
        names = (record.name, f"{record.name.removesuffix('.parquet')}-b.parquet")
        name = next(name for name in names if folder / name not in old)
        (made / record.name).rename(folder / name)
        records.append(record.model_copy(update={"name": name}))
    manifest.model_copy(update={"shards": tuple(records)}).write(folder)
    for path in old:
        path.unlink()
    (made / "manifest.json").unlink()
    made.rmdir()


def flip(path: Path, place: int, *, bit: int = 1) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= bit
    path.write_bytes(content)
