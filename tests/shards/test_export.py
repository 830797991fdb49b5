"""Exports: what other tools read is what the shards hold."""

from pathlib import Path

import faiss
import numpy as np
import polars as pl
import pytest

from prodemb.core.errors import OutputError
from prodemb.core.features import FEATURES
from prodemb.shards.export import ExportFormat, export
from prodemb.shards.reader import VALUE_COLUMNS, ShardSet
from tests.shard_sets import write_random_set


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    return write_random_set(tmp_path / "shards")


def test_numpy_arrays_hold_the_vectors_in_the_order_of_the_products(shards: ShardSet, tmp_path: Path) -> None:
    done: list[tuple[int, int | None]] = []
    report = export(shards, tmp_path / "out", to="npy", on_progress=lambda *numbers: done.append(numbers))
    assert report.num_products == 100
    assert done == [(1, 3), (2, 3), (3, 3)]
    for feature in FEATURES:
        assert np.array_equal(np.load(tmp_path / "out" / f"{feature}.npy"), shards.vectors(feature))
        assert np.array_equal(np.load(tmp_path / "out" / f"{feature}.present.npy"), shards.present(feature))
    products = pl.read_parquet(tmp_path / "out" / "products.parquet")
    assert products.equals(shards.frame())
    assert products.columns == list(VALUE_COLUMNS)


def test_lists_in_parquet_are_null_where_a_vector_is_missing(shards: ShardSet, tmp_path: Path) -> None:
    export(shards, tmp_path / "out", to="list-parquet")
    frame = pl.read_parquet(tmp_path / "out" / "vectors.parquet")
    assert frame.select(VALUE_COLUMNS).equals(shards.frame())
    for feature in FEATURES:
        present = shards.present(feature)
        assert frame[feature].is_not_null().to_numpy().tolist() == present.tolist()
        there = np.stack(frame[feature].drop_nulls().to_list())
        assert np.array_equal(there, shards.vectors(feature)[present].astype(np.float32))


def test_a_faiss_index_finds_rows_of_the_products(shards: ShardSet, tmp_path: Path) -> None:
    export(shards, tmp_path / "out", to="faiss")
    index = faiss.read_index(str(tmp_path / "out" / "image.faiss"))
    present = shards.present("image")
    assert index.ntotal == present.sum() < 100
    row = int(np.flatnonzero(present)[7])
    query = shards.vectors("image")[row].astype(np.float32)
    cosines, rows = index.search(query[None] / np.linalg.norm(query), 100)
    others = shards.vectors("image")[rows[0][rows[0] >= 0]].astype(np.float32) @ query / np.linalg.norm(query)
    assert cosines[0][: len(others)] == pytest.approx(others, abs=1e-4)
    assert pl.read_parquet(tmp_path / "out" / "products.parquet").height == 100


@pytest.mark.parametrize("to", ["npy", "list-parquet", "faiss"])
def test_an_earlier_export_is_replaced_and_nothing_else_is(shards: ShardSet, tmp_path: Path, to: ExportFormat) -> None:
    export(shards, tmp_path / "out", to="npy")
    report = export(shards, tmp_path / "out", to=to)
    there = {path.name for path in (tmp_path / "out").iterdir()} - {".prodemb"}
    assert there == {name for name, _ in report.files}
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    for folder in (foreign, tmp_path / "shards"):
        with pytest.raises(OutputError):
            export(shards, folder, to=to)
    assert (foreign / "letter.txt").read_text() == "mine"
