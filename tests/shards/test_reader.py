"""Shards written and read back: equal, mapped without a copy, refused when they are not what the manifest says."""

import gc
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.core.errors import FingerprintError, ShardError
from prodemb.core.features import FEATURES, Feature
from prodemb.core.files import sha256_of
from prodemb.shards import shard as shard_module
from prodemb.shards.format import Manifest, ShardRecord, read_manifest
from prodemb.shards.reader import ShardSet, find_shard_sets, open_shard_set
from prodemb.shards.shard import first_page_bytes
from tests.shard_sets import random_vectors, update_shards, write_columns, write_random_set, write_shards


def write_known_set(folder: Path, *, sizes: Sequence[int], dim: int = 8) -> dict[Feature, npt.NDArray[np.float16]]:
    """Write a set of random vectors; returns them, (n, dim) of each feature."""
    vectors = random_vectors(sum(sizes), dim=dim)
    write_shards(folder, vectors=vectors, sizes=sizes)
    return vectors


def list_records(folder: Path, *records: ShardRecord) -> None:
    """Put other records into a set's manifest."""
    read_manifest(folder).model_copy(update={"shards": records}).write(folder)


def num_open_files() -> int:
    gc.collect()
    return len([*Path("/dev/fd").iterdir()])


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=3), dim=st.sampled_from([1, 8, 129, 512]))
def test_vectors_come_back_equal_and_mapped(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], dim: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    truth = write_known_set(folder, sizes=sizes, dim=dim)
    shards = open_shard_set(folder)
    assert shards.num_products == sum(sizes)
    for feature in FEATURES:
        assert np.array_equal(shards.vectors(feature), truth[feature])
        assert np.array_equal(shards.present(feature), truth[feature].any(axis=1))
    for shard in shards.shards():
        assert shard._mapped("image") is not None


def test_a_full_shard_of_512_dimensions_is_mapped(tmp_path: Path) -> None:
    truth = write_known_set(tmp_path, sizes=[16_384], dim=512)
    (shard,) = open_shard_set(tmp_path).shards()
    mapped = shard._mapped("title")
    assert mapped is not None
    assert not mapped.flags.writeable
    assert np.array_equal(mapped, truth["title"])


def test_polars_reads_the_vectors_as_documented(tmp_path: Path) -> None:
    truth = write_known_set(tmp_path, sizes=[40], dim=8)
    vectors = pl.read_parquet(tmp_path / "part-00000.parquet").select(
        pl.col("image").bin.reinterpret(dtype=pl.Array(pl.Float16, 8), endianness="little")
    )
    assert np.array_equal(vectors.to_series().to_numpy(), truth["image"])


def test_partners_come_back_from_a_dictionary(tmp_path: Path) -> None:
    partners = ["alder", "borea", None, "alder"]
    shards = write_columns(tmp_path, partner=partners)
    assert shards.frame()["partner"].to_list() == partners
    group = pq.read_metadata(tmp_path / "part-00000.parquet").row_group(0)
    (column,) = (group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "partner")
    assert column.has_dictionary_page


def test_another_layout_falls_back_to_an_ordinary_read(tmp_path: Path) -> None:
    truth = write_known_set(tmp_path, sizes=[1000], dim=64)
    path = tmp_path / "part-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, compression="zstd", row_group_size=300)
    manifest = read_manifest(tmp_path)
    record = manifest.shards[0].model_copy(update={"num_bytes": path.stat().st_size, "sha256": sha256_of(path)})
    list_records(tmp_path, record)
    (shard,) = open_shard_set(tmp_path).shards()
    assert shard._mapped("cat2") is None
    assert np.array_equal(shard.vectors("cat2"), truth["cat2"])


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Put other values into the only shard of a set, and into its manifest that they are right."""
    (record,) = read_manifest(folder).shards
    path = folder / record.name
    pq.write_table(change(pq.read_table(path)), path, compression="zstd")
    list_records(folder, record.model_copy(update={"num_bytes": path.stat().st_size, "sha256": sha256_of(path)}))


def with_brand(table: pa.Table, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index("raw_brand"), table.schema.field("raw_brand"), values)


def test_texts_that_stand_once_and_belong_to_many_products_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_columns(tmp_path, brand=["a", "b"])
    rewrite(tmp_path, lambda table: with_brand(table, pa.array(["x" * 50_000] * 2)))
    (shard,) = open_shard_set(tmp_path).shards()
    assert shard.frame(["raw_brand"])["raw_brand"].to_list() == ["x" * 50_000] * 2
    monkeypatch.setattr(shard_module, "MAX_TABLE_BYTES", 90_000)
    with pytest.raises(ShardError, match="found 100,000 bytes of texts, wanted at most 90,000"):
        shard.frame(["raw_brand"])


def test_a_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    write_columns(tmp_path, brand=["a", "b"])
    values = pa.array([b"\xe9t\xe9", b"b"])
    rewrite(tmp_path, lambda table: with_brand(table, pa.Array.from_buffers(pa.string(), 2, values.buffers())))
    (shard,) = open_shard_set(tmp_path).shards()
    with pytest.raises(ShardError, match=r"part-00000\.parquet: not readable as Parquet \(.*UTF8"):
        shard.frame(["raw_brand"])


def test_several_pages_are_not_mapped(tmp_path: Path) -> None:
    truth = write_known_set(tmp_path, sizes=[1000], dim=64)
    path = tmp_path / "part-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, compression="none", use_dictionary=False, data_page_size=4096, write_batch_size=16)
    manifest = read_manifest(tmp_path)
    record = manifest.shards[0].model_copy(update={"num_bytes": path.stat().st_size, "sha256": sha256_of(path)})
    list_records(tmp_path, record)
    (shard,) = open_shard_set(tmp_path).shards()
    assert shard._mapped("image") is None
    assert np.array_equal(shard.vectors("image"), truth["image"])


@given(st.binary(max_size=32))
def test_any_bytes_are_a_page_header_or_not(header: bytes) -> None:
    num_bytes = first_page_bytes(header)
    assert num_bytes is None or num_bytes >= 0


def test_a_truncated_shard_is_refused(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[30])
    path = tmp_path / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ShardError, match=r"part-00000\.parquet: found .* bytes, wanted"):
        open_shard_set(tmp_path).vectors("image")


def test_a_shard_of_another_model_is_refused(tmp_path: Path) -> None:
    write_random_set(tmp_path / "a", sizes=[30], fingerprint="aaaa")
    write_random_set(tmp_path / "b", sizes=[30], fingerprint="bbbb")
    manifest_b = read_manifest(tmp_path / "b")
    (tmp_path / "b" / "part-00000.parquet").write_bytes((tmp_path / "a" / "part-00000.parquet").read_bytes())
    record = manifest_b.shards[0].model_copy(
        update={"num_bytes": (tmp_path / "b" / "part-00000.parquet").stat().st_size}
    )
    list_records(tmp_path / "b", record)
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
    write_random_set(tmp_path, sizes=[30])
    read_manifest(tmp_path).model_copy(update={"complete": False}).write(tmp_path)
    with pytest.raises(ShardError, match="unfinished: 30 products so far"):
        open_shard_set(tmp_path)


def test_sets_are_found_at_the_folder_and_one_below(tmp_path: Path) -> None:
    write_random_set(tmp_path / "shards" / "clip", sizes=[3])
    write_random_set(tmp_path / "shards" / "category", sizes=[3])
    assert [s.folder.name for s in find_shard_sets(tmp_path / "shards")] == ["category", "clip"]
    assert isinstance(find_shard_sets(tmp_path / "shards" / "clip")[0], ShardSet)
    with pytest.raises(ShardError, match="no shard set here"):
        find_shard_sets(tmp_path)
    with pytest.raises(ShardError, match="no such folder"):
        find_shard_sets(tmp_path / "nowhere")


def test_each_text_comes_with_the_vector_of_its_first_product(tmp_path: Path) -> None:
    brands = ["Lumo", "Puma", None, "Lumo", "Puma", "lost", "Acme", "Acme"]
    encoded = np.arange(32, dtype="<f2").reshape(8, 4)
    encoded[[2, 5]] = 0
    write_shards(tmp_path, vectors={"brand": encoded}, columns={"brand": brands}, sizes=[4, 4])
    texts, vectors = open_shard_set(tmp_path).text_vectors("brand")
    assert texts == ["Lumo", "Puma", "Acme"]
    assert vectors[:, 0].tolist() == [0, 4, 24]
    assert vectors.shape == (3, 4)


def test_rows_of_a_frame_hold_on_to_no_other_text(tmp_path: Path) -> None:
    titles = [f"Mug {i} ☕, dishwasher safe" for i in range(3000)]
    write_shards(tmp_path, vectors=random_vectors(3000), columns={"title": titles}, sizes=[3000])
    (shard,) = open_shard_set(tmp_path).shards()
    columns, rows = ["raw_title", "product_id"], np.array([3, 7, 2990])
    wanted, before = shard.frame(columns)[rows].to_dicts(), pa.total_allocated_bytes()
    some = shard.frame(columns, rows=rows)
    assert pa.total_allocated_bytes() - before < 2000
    assert some.to_dicts() == wanted


def test_a_set_that_is_open_is_read_to_its_end_whatever_becomes_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    truth = write_known_set(folder, sizes=[30, 30, 10])
    shard_set = open_shard_set(folder)
    reading = shard_set.shards()
    first = next(reading)
    update_shards(folder, sizes=[20, 20])
    update_shards(folder, sizes=[20, 5])
    parts = [shard.vectors("image") for shard in (first, *reading)]
    assert np.array_equal(np.concatenate(parts), truth["image"])
    assert np.array_equal(shard_set.vectors("title"), truth["title"])
    assert shard_set.frame(["product_id"])["product_id"].to_list() == [f"p{i}" for i in range(70)]
    assert open_shard_set(folder).num_products == 25


def test_an_open_file_is_held_against_its_checksum_after_its_name_has_gone(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[30])
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
    write_random_set(tmp_path, sizes=[30])
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
    write_random_set(folder, sizes=[30, 30])

    def read_and_update(folder: Path) -> Manifest:
        nonlocal num_updates
        manifest = read_manifest(folder)
        if num_updates:
            num_updates -= 1
            update_shards(folder, sizes=[30, 10 + num_updates])
        return manifest

    monkeypatch.setattr("prodemb.shards.reader.read_manifest", read_and_update)
    num_updates = 1
    assert open_shard_set(folder).vectors("image").shape == (40, 8)
    num_updates = 9
    with pytest.raises(ShardError, match=rf"^{folder}: was updated while it was read; run again$"):
        open_shard_set(folder)


def test_files_that_are_more_than_may_be_open_are_opened_as_they_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    truth = write_known_set(folder, sizes=[3] * 30)
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
    update_shards(folder, sizes=[3] * 2)
    with pytest.raises(ShardError, match=rf"^{folder}: was updated while it was read; run again$"):
        next(reading)


def test_a_set_that_is_dropped_closes_its_files(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[3, 3])
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
    truth = write_known_set(tmp_path, sizes=sizes)
    shards = open_shard_set(tmp_path)
    vectors, frame = shards.vectors("image"), shards.frame()
    assert vectors.dtype == np.float16
    assert np.array_equal(vectors, truth["image"])
    assert vectors.flags.writeable != is_view
    assert frame["product_id"].to_list() == [f"p{i}" for i in range(60)]
    assert frame.columns[:3] == ["product_id", "partner", "raw_title"]
    assert set(frame.dtypes) == {pl.String}
    with pytest.raises(ShardError, match="has no feature 'lexical'; found title"):
        next(shards.shards()).vectors("lexical")
