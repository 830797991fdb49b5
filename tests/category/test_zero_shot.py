"""Zero-shot answers are the nearest names by words and vectors, and their file is read as it was written."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.category.candidates import SOURCES
from prodemb.category.nodes import Nodes
from prodemb.category.voices.tower import WEIGHTS
from prodemb.category.zero_shot import ZeroShot
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.errors import FingerprintError, ShardError
from prodemb.core.features import TEXT_FEATURES, Feature, raw_column
from prodemb.shards.format import ShardSchema
from prodemb.shards.paths import PATHS_NAME, PathVectors, read_path_vectors
from prodemb.shards.product_set import ProductSet

FEATURES: tuple[Feature, ...] = ("title", "brand", "image")
SCHEMA = ShardSchema(fingerprint="f", model="tiny", dim=8, features=FEATURES)


def make_paths() -> PathVectors:
    vectors = np.random.default_rng(0).standard_normal((5, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    paths = ("A", "A > B", "A > C", "D", "D > E")
    return PathVectors(fingerprint="f", ids=(1, 2, 3, 4, 5), paths=paths, vectors=vectors.astype("<f2"))


def make_products(num: int) -> ProductSet:
    random = np.random.default_rng(1)
    present = random.random((num, 3)) < 0.7
    vectors = random.standard_normal((num, 3, 8)) * present[:, :, None]
    supplied = {raw_column(feature): pl.Series([None] * num, dtype=pl.String) for feature in TEXT_FEATURES}
    return ProductSet(
        features=FEATURES,
        dims=(8, 8, 8),
        vectors=vectors.reshape(num, 24).astype(np.float16),
        present=present,
        supplied=pl.DataFrame(supplied),
    )


def test_the_nearest_node_by_weighted_likeness_answers() -> None:
    paths, products = make_paths(), make_products(60)
    zero_shot = ZeroShot.of(paths, schema=SCHEMA, taxonomy="t.txt")
    predicted = zero_shot.predict(products, k=2)
    is_compared = products.present[:, [0, 2]].any(axis=1)
    assert (predicted.first != NO_ANSWER).tolist() == is_compared.tolist()
    for row in np.flatnonzero(is_compared):
        title, _, image = products.vectors[row].astype(np.float64).reshape(3, 8)
        likeness = paths.vectors.astype(np.float64) @ (WEIGHTS["title"] * title + WEIGHTS["image"] * image)
        assert predicted.nodes[row].tolist() == np.argsort(-likeness)[:2].tolist()
    assert predicted.sources is not None
    assert set(predicted.sources[is_compared].tolist()) == {SOURCES.index("names")}
    assert predicted.known is None
    nodes = zero_shot.nodes_of(products, nodes=Nodes(tuple(reversed(zero_shot.nodes.labels))))
    assert nodes[is_compared].tolist() == (4 - predicted.first[is_compared]).tolist()
    assert (nodes[~is_compared] == NO_ANSWER).all()


@pytest.mark.parametrize("feature", ["title", "cat2"])
def test_words_that_a_name_has_say_more_than_vectors(feature: Feature) -> None:
    names = ("Home", "Home > Coffee Mugs", "Home > Lamps", "Toys", "Toys > Kites")
    zero_shot = ZeroShot.of(replace(make_paths(), paths=names), schema=SCHEMA, taxonomy="t.txt")
    products = make_products(40)
    lengths = np.linalg.norm(products.vectors.reshape(40, 3, 8).astype(np.float32), axis=2).repeat(8, axis=1)
    texts = products.supplied.with_columns(pl.lit("A blue coffee mug").alias(raw_column(feature)))
    said = replace(products, vectors=(products.vectors / np.maximum(lengths, 1)).astype("<f2"), supplied=texts)
    assert set(zero_shot.predict(said, k=1).first.tolist()) == {1}


def test_vectors_of_another_model_are_refused() -> None:
    other = SCHEMA.model_copy(update={"fingerprint": "g"})
    with pytest.raises(FingerprintError, match=r"of model f, the shards of tiny \(g\)"):
        ZeroShot.of(make_paths(), schema=other, taxonomy="t.txt")


def test_shards_without_a_feature_that_counts_are_refused() -> None:
    other = SCHEMA.model_copy(update={"features": ("brand", "lexical")})
    with pytest.raises(ShardError, match="with the features brand, lexical; wanted one or more of title, description"):
        ZeroShot.of(make_paths(), schema=other, taxonomy="the taxonomy")


def test_the_file_beside_the_shards_is_read_as_written(tmp_path: Path) -> None:
    paths = make_paths()
    assert read_path_vectors(tmp_path) is None
    paths.write(tmp_path)
    found = read_path_vectors(tmp_path)
    assert found is not None
    assert (found.fingerprint, found.ids, found.paths) == (paths.fingerprint, paths.ids, paths.paths)
    assert np.array_equal(found.vectors, paths.vectors)
    assert found.are_of({1: "A", 2: "A > B", 3: "A > C", 4: "D", 5: "D > E"})
    assert not found.are_of({1: "A", 2: "A > B"})
    (tmp_path / PATHS_NAME).write_bytes(b"cut short")
    with pytest.raises(ShardError, match=r"taxonomy\.parquet: damaged"):
        read_path_vectors(tmp_path)


def test_no_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    paths = make_paths()
    paths.write(tmp_path)
    whole = (tmp_path / PATHS_NAME).read_bytes()
    for place in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        (tmp_path / PATHS_NAME).write_bytes(flipped)
        with suppress(ShardError):
            found = read_path_vectors(tmp_path)
            assert found is not None
            assert found.checksum() == paths.checksum()


def test_altered_vectors_are_told(tmp_path: Path) -> None:
    make_paths().write(tmp_path)
    metadata = pq.read_schema(tmp_path / PATHS_NAME).metadata
    table = pq.read_table(tmp_path / PATHS_NAME)
    table = table.set_column(1, "path", pa.array(["A", "A > B", "A > C", "D", "D > F"]))
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / PATHS_NAME)
    with pytest.raises(ShardError, match=r"taxonomy\.parquet: altered: .* embed again to redo it"):
        read_path_vectors(tmp_path)
