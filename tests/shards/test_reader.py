"""Shards written and read back: equal, mapped without a copy, refused when they are not what the manifest says."""

import gc
import resource
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.core.errors import FingerprintError, ShardError
from prodemb.core.features import CATALOG_COLUMNS, FEATURES
from prodemb.core.files import sha256_of
from prodemb.shards.format import Manifest, ShardSchema, read_manifest
from prodemb.shards.reader import ShardSet, find_shard_sets, open_shard_set
from prodemb.shards.shard import first_page_bytes
from prodemb.shards.writer import EncodedFeature, write_shard
from tests.shards.conftest import make_encoded, make_rows, make_set, updated_set, write_manifest


def num_open_files() -> int:
    gc.collect()
    return len([*Path("/dev/fd").iterdir()])


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=3), dim=st.sampled_from([1, 8, 129, 512]))
def test_vectors_come_back_equal_and_mapped(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], dim: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    truth = make_set(folder, sizes=sizes, dim=dim)
    shards = open_shard_set(folder)
    assert shards.num_products == sum(sizes)
    for feature in FEATURES:
        assert np.array_equal(shards.vectors(feature), truth[feature])
        assert np.array_equal(shards.present(feature), truth[feature].any(axis=1))
    for shard in shards.shards():
        assert shard._mapped("image") is not None


def test_a_full_shard_of_512_dimensions_is_mapped(tmp_path: Path) -> None:
    truth = make_set(tmp_path, sizes=[16_384], dim=512)
    (shard,) = open_shard_set(tmp_path).shards()
    mapped = shard._mapped("title")
    assert mapped is not None
    assert not mapped.flags.writeable
    assert np.array_equal(mapped, truth["title"])


def test_polars_reads_the_vectors_as_documented(tmp_path: Path) -> None:
    truth = make_set(tmp_path, sizes=[40], dim=8)
    vectors = pl.read_parquet(tmp_path / "part-00000.parquet").select(
        pl.col("image").bin.reinterpret(dtype=pl.Array(pl.Float16, 8), endianness="little")
    )
    assert np.array_equal(vectors.to_series().to_numpy(), truth["image"])


def test_another_layout_falls_back_to_an_ordinary_read(tmp_path: Path) -> None:
    truth = make_set(tmp_path, sizes=[1000], dim=64)
    path = tmp_path / "part-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, compression="zstd", row_group_size=300)
    manifest = read_manifest(tmp_path)
    record = manifest.shards[0].model_copy(update={"num_bytes": path.stat().st_size, "sha256": sha256_of(path)})
    write_manifest(tmp_path, schema=manifest.shard_schema, records=[record])
    (shard,) = open_shard_set(tmp_path).shards()
    assert shard._mapped("cat2") is None
    assert np.array_equal(shard.vectors("cat2"), truth["cat2"])


def test_several_pages_are_not_mapped(tmp_path: Path) -> None:
    truth = make_set(tmp_path, sizes=[1000], dim=64)
    path = tmp_path / "part-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, compression="none", use_dictionary=False, data_page_size=4096, write_batch_size=16)
    manifest = read_manifest(tmp_path)
    record = manifest.shards[0].model_copy(update={"num_bytes": path.stat().st_size, "sha256": sha256_of(path)})
    write_manifest(tmp_path, schema=manifest.shard_schema, records=[record])
    (shard,) = open_shard_set(tmp_path).shards()
    assert shard._mapped("image") is None
    assert np.array_equal(shard.vectors("image"), truth["image"])


@given(st.binary(max_size=32))
def test_any_bytes_are_a_page_header_or_not(header: bytes) -> None:
    assert first_page_bytes(header) is None or first_page_bytes(header) >= 0


def test_a_truncated_shard_is_refused(tmp_path: Path) -> None:
    make_set(tmp_path, sizes=[30])
    path = tmp_path / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ShardError, match=r"part-00000\.parquet: found .* bytes, wanted"):
        open_shard_set(tmp_path).vectors("image")


def test_a_shard_of_another_model_is_refused(tmp_path: Path) -> None:
    make_set(tmp_path / "a", sizes=[30], fingerprint="aaaa")
    make_set(tmp_path / "b", sizes=[30], fingerprint="bbbb")
    manifest_b = read_manifest(tmp_path / "b")
    (tmp_path / "b" / "part-00000.parquet").write_bytes((tmp_path / "a" / "part-00000.parquet").read_bytes())
    record = manifest_b.shards[0].model_copy(
        update={"num_bytes": (tmp_path / "b" / "part-00000.parquet").stat().st_size}
    )
    write_manifest(tmp_path / "b", schema=manifest_b.shard_schema, records=[record])
    with pytest.raises(FingerprintError, match=r"aaaa.*bbbb"):
        open_shard_set(tmp_path / "b").vectors("image")


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[]", "damaged"), ('{"shards": 3}', "damaged")],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ShardError, match=message):
        open_shard_set(tmp_path)


def test_an_unfinished_set_is_refused(tmp_path: Path) -> None:
    make_set(tmp_path, sizes=[30])
    manifest = read_manifest(tmp_path)
    write_manifest(tmp_path, schema=manifest.shard_schema, records=list(manifest.shards), complete=False)
    with pytest.raises(ShardError, match="unfinished: 30 products so far"):
        open_shard_set(tmp_path)


def test_sets_are_found_at_the_folder_and_one_below(tmp_path: Path) -> None:
    make_set(tmp_path / "shards" / "clip", sizes=[3])
    make_set(tmp_path / "shards" / "category", sizes=[3])
    assert [s.folder.name for s in find_shard_sets(tmp_path / "shards")] == ["category", "clip"]
    assert isinstance(find_shard_sets(tmp_path / "shards" / "clip")[0], ShardSet)
    with pytest.raises(ShardError, match="no shard set here"):
        find_shard_sets(tmp_path)
    with pytest.raises(ShardError, match="no such folder"):
        find_shard_sets(tmp_path / "nowhere")


def test_each_text_comes_with_the_vector_of_its_first_product(tmp_path: Path) -> None:
    schema = ShardSchema(fingerprint="f1", model="tiny", dim=4, features=FEATURES)
    records, brands = [], [["Lumo", "Puma", None, "Lumo"], ["Puma", "lost", "Acme", "Acme"]]
    for index, names in enumerate(brands):
        encoded = {f: make_encoded(4, dim=4, seed=index) for f in FEATURES}
        vectors = np.arange(16, dtype="<f2").reshape(4, 4) + 100 * index
        absent = pa.array(["missing" if name in (None, "lost") else None for name in names], pa.string())
        hashes = pa.array([bytes(16)] * 4, pa.binary(16))
        encoded["brand"] = EncodedFeature(vectors=vectors, absent=absent, hashes=hashes)
        rows = make_rows(4, start=4 * index).set_column(
            CATALOG_COLUMNS.index("brand"), "brand", pa.array(names, pa.large_string())
        )
        records.append(write_shard(tmp_path, index=index, schema=schema, rows=rows, encoded=encoded, rows_hash="x"))
    write_manifest(tmp_path, schema=schema, records=records)
    texts, vectors = open_shard_set(tmp_path).text_vectors("brand")
    assert texts == ["Lumo", "Puma", "Acme"]
    assert vectors[:, 0].tolist() == [0, 4, 108]
    assert vectors.shape == (3, 4)


def test_rows_of_a_frame_hold_on_to_no_other_text(tmp_path: Path) -> None:
    make_set(tmp_path, sizes=[3000])
    (shard,) = open_shard_set(tmp_path).shards()
    columns, rows = ["raw_title", "product_id"], np.array([3, 7, 2990])
    wanted, before = shard.frame(columns)[rows].to_dicts(), pa.total_allocated_bytes()
    some = shard.frame(columns, rows=rows)
    assert pa.total_allocated_bytes() - before < 2000
    assert some.to_dicts() == wanted


def test_a_set_that_is_open_is_read_to_its_end_whatever_becomes_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    truth = make_set(folder, sizes=[30, 30, 10])
    shard_set = open_shard_set(folder)
    reading = shard_set.shards()
    first = next(reading)
    updated_set(folder, sizes=[20, 20])
    updated_set(folder, sizes=[20, 5])
    parts = [shard.vectors("image") for shard in (first, *reading)]
    assert np.array_equal(np.concatenate(parts), truth["image"])
    assert np.array_equal(shard_set.vectors("title"), truth["title"])
    assert shard_set.frame(["product_id"])["product_id"].to_list() == [f"p{i}" for i in range(70)]
    assert open_shard_set(folder).num_products == 25


def test_an_open_file_is_held_against_its_checksum_after_its_name_has_gone(tmp_path: Path) -> None:
    make_set(tmp_path, sizes=[30])
    path = tmp_path / "part-00000.parquet"
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    shard_set = open_shard_set(tmp_path)
    path.unlink()
    with pytest.raises(ShardError, match=r"part-00000\.parquet: altered"):
        shard_set.vectors("image")


@pytest.mark.parametrize("num_left", [500, None])
def test_an_open_file_that_is_written_to_is_refused(tmp_path: Path, num_left: int | None) -> None:
    make_set(tmp_path, sizes=[30])
    shard_set = open_shard_set(tmp_path)
    shard_set.vectors("image")
    path = tmp_path / "part-00000.parquet"
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content[:num_left])
    with pytest.raises(ShardError, match="found 500 bytes" if num_left else "altered"):
        shard_set.vectors("image")


def test_a_set_that_is_updated_while_it_is_opened_is_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, num_updates = tmp_path / "shards", 0
    make_set(folder, sizes=[30, 30])

    def read_and_update(folder: Path) -> Manifest:
        nonlocal num_updates
        manifest = read_manifest(folder)
        if num_updates:
            num_updates -= 1
            updated_set(folder, sizes=[30, 10 + num_updates])
        return manifest

    monkeypatch.setattr("prodemb.shards.reader.read_manifest", read_and_update)
    num_updates = 1
    assert open_shard_set(folder).vectors("image").shape == (40, 8)
    num_updates = 9
    with pytest.raises(ShardError, match=rf"^{folder}: was updated while it was read; run again$"):
        open_shard_set(folder)


def test_files_that_are_more_than_may_be_open_are_opened_as_they_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    truth = make_set(folder, sizes=[3] * 30)
    num_open, (soft, hard) = num_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (num_open + 30, hard))
    try:
        shard_set = open_shard_set(folder)
        assert num_open_files() == num_open
        assert np.array_equal(shard_set.vectors("image"), truth["image"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    reading = shard_set.shards()
    next(reading)
    updated_set(folder, sizes=[3] * 2)
    with pytest.raises(ShardError, match=rf"^{folder}: was updated while it was read; run again$"):
        next(reading)


def test_a_set_that_is_dropped_closes_its_files(tmp_path: Path) -> None:
    make_set(tmp_path, sizes=[3, 3])
    num_open = num_open_files()
    shard_set = open_shard_set(tmp_path)
    assert num_open_files() == num_open + 2
    vectors = next(shard_set.shards()).vectors("image")
    del shard_set
    assert vectors.shape == (3, 8)
    del vectors
    assert num_open_files() == num_open


@pytest.mark.parametrize(("sizes", "is_view"), [([60], True), ([30, 30], False)])
def test_a_set_gives_a_feature_s_vectors_and_the_table_of_values_in_one_order(
    tmp_path: Path, sizes: list[int], is_view: bool
) -> None:
    truth = make_set(tmp_path, sizes=sizes)
    shards = open_shard_set(tmp_path)
    vectors, frame = shards.vectors("image"), shards.frame()
    assert vectors.dtype == np.float16
    assert np.array_equal(vectors, truth["image"])
    assert vectors.flags.writeable != is_view
    assert frame["product_id"].to_list() == [f"p{i}" for i in range(60)]
    assert frame.columns[:2] == ["product_id", "raw_title"]
    assert set(frame.dtypes) == {pl.String}
    with pytest.raises(ShardError, match="has no feature 'lexical'; found title"):
        next(shards.shards()).vectors("lexical")
