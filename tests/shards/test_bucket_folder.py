"""Shard sets of a bucket are read through the cache, and what is in the cache is held to its checksum."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.core.errors import BusyError, OutputError, ShardError, StorageError
from prodemb.shards.add_object import MAX_PUT_BYTES, num_requests
from prodemb.shards.bucket import BucketFolder
from prodemb.shards.checked import CHECKED_NAME, Checked
from prodemb.shards.folder import shard_folder
from prodemb.shards.format import MANIFEST_NAME, read_manifest
from prodemb.shards.reader import ShardSet, find_shard_sets, open_shard_set
from prodemb.shards.verify import verify
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder
from prodemb.storage.objects import delete, exists, listing, put_bytes, read, upload
from tests.object_store import ObjectStore
from tests.shard_sets import flip, write_random_set


def copied(local: ShardSet, to: Address) -> Address:
    """A set, copied as people copy folders."""
    assert isinstance(local.folder, Path)
    for path in local.folder.iterdir():
        upload(path, to / path.name)
    return to


@pytest.fixture
def local(tmp_path: Path) -> ShardSet:
    return write_random_set(tmp_path / "local", sizes=[30, 30, 30, 10])


@pytest.fixture
def folder(local: ShardSet, bucket: Address) -> Address:
    return copied(local, bucket / "sets" / "clip")


def shards_fetched(store: ObjectStore) -> list[str]:
    found = [path for method, path in store.requests if method == "GET" and path.endswith(".parquet")]
    return list(dict.fromkeys(path.rpartition("/")[2] for path in found))


def test_a_missing_bucket_is_told_by_what_the_store_says_and_not_by_a_name(bucket: Address) -> None:
    assert not BucketFolder(bucket / "no bucket/clip").has(MANIFEST_NAME)
    with pytest.raises(FileNotFoundError):
        BucketFolder(bucket / "no bucket/clip").read(MANIFEST_NAME)
    with pytest.raises(StorageError, match="no bucket 'no-such-bucket' found"):
        BucketFolder(Address("s3", "no-such-bucket", "clip")).read(MANIFEST_NAME)


def test_a_copied_set_is_the_same_and_is_fetched_once(
    local: ShardSet, folder: Address, object_store: ObjectStore
) -> None:
    object_store.requests.clear()
    (opened,) = find_shard_sets(folder.parent)
    assert opened.folder == folder
    assert shards_fetched(object_store) == []
    assert np.array_equal(opened.vectors("title"), local.vectors("title"))
    assert opened.frame().equals(local.frame())
    assert shards_fetched(object_store) == [record.name for record in local.manifest.shards]
    object_store.requests.clear()
    assert np.array_equal(open_shard_set(folder).vectors("image"), local.vectors("image"))
    assert [path.rpartition("/")[2] for _, path in object_store.requests] == [MANIFEST_NAME]


def test_only_what_is_read_is_fetched_and_the_next_one_meanwhile(folder: Address, object_store: ObjectStore) -> None:
    object_store.requests.clear()
    shards = open_shard_set(folder).shards()
    next(shards)
    assert shards_fetched(object_store) == ["part-00000.parquet"]
    next(shards)
    next(shards)
    assert set(shards_fetched(object_store)) <= {f"part-0000{number}.parquet" for number in range(4)}


def test_a_cache_that_holds_hardly_one_shard_is_enough(
    local: ShardSet, folder: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODEMB_CACHE_GB", str(local.manifest.shards[0].num_bytes * 1.5e-9))
    shards = list(open_shard_set(folder).shards())
    assert np.array_equal(np.concatenate([shard.vectors("title") for shard in shards]), local.vectors("title"))
    entries = [path for path in (cache_folder() / "entries").iterdir() if not path.name.startswith(".")]
    assert len(entries) < 4


def test_a_damaged_file_of_the_cache_is_fetched_again(local: ShardSet, folder: Address) -> None:
    open_shard_set(folder).vectors("title")
    (path,) = (cache_folder() / "entries").glob("*/part-00001.parquet")
    flip(path, 700)
    assert np.array_equal(open_shard_set(folder).vectors("title"), local.vectors("title"))
    assert verify(folder) == []


def test_what_is_wrong_is_told_by_address(folder: Address, tmp_path: Path) -> None:
    delete(folder / "part-00002.parquet")
    missing = f"{folder}/part-00002.parquet: missing, though the manifest lists it; embed again to redo it"
    with pytest.raises(ShardError) as error:
        open_shard_set(folder).vectors("title")
    assert str(error.value) == missing
    assert verify(folder) == [missing]
    put_bytes(folder / "part-00002.parquet", b"PAR1 something else PAR1")
    with pytest.raises(ShardError, match=f"^{folder}/part-00002.parquet: altered: its checksum is not the recorded"):
        open_shard_set(folder).vectors("title")
    with pytest.raises(ShardError, match=f"^{folder}/none: no such folder; wanted a shard set"):
        open_shard_set(folder / "none")
    with pytest.raises(ShardError, match=f"^{folder.parent}: no manifest.json here, so this is no shard set"):
        open_shard_set(folder.parent)
    with pytest.raises(StorageError, match="no bucket 'there-is-none-such' found"):
        open_shard_set(Address("s3", "there-is-none-such", "set"))


def test_a_manifest_is_not_written_over_another_one(local: ShardSet, folder: Address) -> None:
    one, two = BucketFolder(folder), BucketFolder(folder)
    manifests = [read_manifest(each) for each in (one, two)]
    manifests[0].model_copy(update={"catalog": "one"}).write(one)
    with pytest.raises(BusyError, match=f"^{folder}/manifest.json: another run has written it meanwhile"):
        manifests[1].model_copy(update={"catalog": "two"}).write(two)
    manifests[0].model_copy(update={"catalog": "one again"}).write(one)
    assert read_manifest(folder).catalog == "one again"
    fresh = [BucketFolder(folder / "new") for _ in range(2)]
    for each in fresh:
        assert not each.has(MANIFEST_NAME)
    manifests[0].write(fresh[0])
    with pytest.raises(BusyError):
        manifests[0].write(fresh[1])


def test_what_was_found_right_is_known_until_somebody_writes_the_object(local: ShardSet, folder: Address) -> None:
    assert verify(folder) == []
    assert exists(folder / CHECKED_NAME)
    records = local.manifest.shards
    assert Checked.read(folder).unchanged(records) == {record.name for record in records}
    assert isinstance(local.folder, Path)
    put_bytes(folder / records[1].name, (local.folder / records[0].name).read_bytes())
    assert Checked.read(folder).unchanged(records) == {record.name for record in records} - {records[1].name}


def test_the_footer_of_a_large_file_is_read_alone(bucket: Address, object_store: ObjectStore, tmp_path: Path) -> None:
    for size in (10, 200_000):
        table = pa.table({"a": list(range(100_000))}).replace_schema_metadata({"prodemb": "x" * size})
        pq.write_table(table, tmp_path / "part-00000.parquet")
        upload(tmp_path / "part-00000.parquet", bucket / "part-00000.parquet")
        metadata = shard_folder(bucket).footer("part-00000.parquet").metadata
        assert len(metadata[b"prodemb"]) == size
    put_bytes(bucket / "part-00001.parquet", b"short")
    with pytest.raises(ValueError, match=r"."):
        shard_folder(bucket).footer("part-00001.parquet")
    assert shard_folder(bucket).parts() == ["part-00000.parquet", "part-00001.parquet"]


def test_a_set_without_a_cache_folder_makes_it(local: ShardSet, folder: Address) -> None:
    shutil.rmtree(cache_folder(), ignore_errors=True)
    assert open_shard_set(folder).num_products == 100
    assert np.array_equal(open_shard_set(folder).vectors("brand"), local.vectors("brand"))


def added(folder: BucketFolder, content: bytes, *, names: tuple[str, ...] = ("a", "b", "c")) -> str:
    with folder.adding(names) as new:
        new.path.write_bytes(content)
    return new.name


@pytest.mark.parametrize("max_put_bytes", [100, 1])
def test_a_shard_is_never_written_over_another_one(
    bucket: Address, object_store: ObjectStore, max_put_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prodemb.shards.add_object.MAX_PUT_BYTES", max_put_bytes)
    folder = BucketFolder(bucket / "set")
    with folder.holding(is_own=lambda: True):
        worker = pickle.loads(pickle.dumps(folder))
        object_store.requests.clear()
        assert added(folder, b"one") == "a"
        assert len(object_store.requests) == (1 if max_put_bytes > 1 else num_requests(MAX_PUT_BYTES + 1) - 6)
        assert added(worker, b"one") == "a"  # as that of a worker that was killed before it could say so
        assert added(worker, b"two") == added(folder, b"two") == "b"
        assert added(folder, b"three") == "c"
        with pytest.raises(OutputError, match=f"^{bucket}/set/a: this name and all that shards have in its place"):
            added(folder, b"four")
    with BucketFolder(bucket / "set").holding(is_own=lambda: True):
        assert added(folder, b"one") == "a"
        message = (
            rf"^{bucket}/set/a: another run has written to the folder meanwhile \(process \d+ of .*\); this one ends"
        )
        with pytest.raises(BusyError, match=message):
            added(worker, b"five")
    content = {info.address.key: read(info.address).content for info in listing(bucket) if "lease" not in str(info)}
    assert content == {"set/a": b"one", "set/b": b"two", "set/c": b"three"}
    assert added(folder, b"one") == "a"


def test_an_upload_whose_answer_is_lost_is_there(bucket: Address, object_store: ObjectStore) -> None:
    folder, done = BucketFolder(bucket / "set"), list[bool]()

    def lose(environ: dict[str, Any]) -> tuple[int, bytes] | None:
        if environ["REQUEST_METHOD"] == "PUT" and not done:
            done.append(True)
            put_bytes(bucket / "set/a", b"one")
            return 503, b""
        return None

    object_store.rules.append(lose)
    assert added(folder, b"one") == "a"
