"""Products of a few brands: some send theirs, some another, some none; many titles name it, pictures hint at it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from prodemb.aliases.canonicalise import canonicalise
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.counts import count_supplied
from prodemb.aliases.table import AliasTable
from prodemb.brand.fit import FuseConfig, fit_fuser
from prodemb.brand.predict import Fuser
from prodemb.core.features import BRAND_FEATURES, CATALOG_COLUMNS
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.head import HeadConfig, TrainedHead
from prodemb.heads.labels import brand_labels
from prodemb.heads.train import BaselineConfig, Labelled, TrainConfig, load_labelled, train_head
from prodemb.shards.format import Manifest, ShardSchema
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.shards.writer import EncodedFeature, write_shard

BRANDS = ("Norvik", "Acme Tools", "Lumo", "Zed & Co", "Old Harbour", "Quill", "Rare One", "Rare Two")
NUM = 900
CONFIG = TrainConfig(epochs=8, baselines=BaselineConfig(run=True))


def make_set(folder: Path) -> ShardSet:
    random = np.random.default_rng(3)
    brand = random.choice(8, NUM, p=[0.3, 0.2, 0.15, 0.13, 0.11, 0.1, 0.006, 0.004])
    sent = random.choice(["right", "loud", "wrong", "none"], NUM, p=[0.5, 0.15, 0.1, 0.25])
    other = (brand + random.integers(1, 6, NUM)) % 6
    meant = np.where(sent == "wrong", other, brand)
    supplied = [
        None if how == "none" else BRANDS[name].upper() + " Ltd" if how == "loud" else BRANDS[name]
        for how, name in zip(sent, meant, strict=True)
    ]
    named = random.random(NUM) < 0.7
    columns = {name: pa.nulls(NUM, pa.string()) for name in CATALOG_COLUMNS}
    columns["product_id"] = pa.array([f"p{i}" for i in range(NUM)])
    titles = [
        f"{BRANDS[name]} thing {i}" if says else f"thing {i}"
        for i, (name, says) in enumerate(zip(brand, named, strict=True))
    ]
    columns["title"] = pa.array(titles)
    columns["brand"] = pa.array(supplied, pa.string())
    columns["brand_label"] = pa.array([BRANDS[name] for name in brand])
    schema = ShardSchema(fingerprint="clip", model="tiny", dim=8, features=BRAND_FEATURES)
    centres = random.standard_normal((8, 8))
    absent = {
        "title": np.zeros(NUM, bool),
        "description": np.ones(NUM, bool),
        "brand": sent == "none",
        "image": random.random(NUM) < 0.1,
    }
    encoded = {}
    for feature in BRAND_FEATURES:
        shown = centres[meant if feature == "brand" else brand]
        vectors = shown + random.standard_normal((NUM, 8)) * (0.1 if feature == "brand" else 1.5)
        vectors[absent[feature]] = 0
        reasons = pa.array(["none" if gone else None for gone in absent[feature]], pa.string())
        hashes = pa.nulls(NUM, pa.binary(16))
        encoded[feature] = EncodedFeature(vectors=vectors.astype("<f2"), absent=reasons, hashes=hashes)
    record = write_shard(folder, index=0, schema=schema, rows=pa.table(columns), encoded=encoded, rows_hash="x")
    Manifest(shard_schema=schema, catalog="c", shard_size=1000, complete=True, shards=(record,)).write(folder)
    return open_shard_set(folder)


@pytest.fixture(scope="session")
def shard_set(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return make_set(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="session")
def aliases(shard_set: ShardSet) -> AliasTable:
    names = {"raw_brand": "brand", "raw_title": "title"}
    counted = count_supplied([shard_set.frame(list(names)).rename(names).to_arrow()], examples=8)
    return canonicalise(counted, config=BrandsConfig())


@pytest.fixture(scope="session")
def data(shard_set: ShardSet, aliases: AliasTable) -> Labelled:
    labels = brand_labels(shard_set, canonical_of=aliases.canonical_of)
    return load_labelled(shard_set, labels=labels, config=CONFIG, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def head(data: Labelled) -> TrainedHead:
    return train_head(data, config=CONFIG, aggregate=AggregateConfig(), head=HeadConfig(hidden=(16,)))


@pytest.fixture(scope="session")
def fuser(data: Labelled, head: TrainedHead, aliases: AliasTable) -> Fuser:
    return fit_fuser(data, head=head, aliases=aliases, config=FuseConfig())
