from pathlib import Path

import pytest

from prodemb.core.errors import ConflictError, DamagedObjectError, MissingObjectError, StorageError
from prodemb.storage import objects, publish
from prodemb.storage.address import Address
from prodemb.storage.objects import exists, listing, put_bytes
from prodemb.storage.publish import INDEX, fetched_folder, publish_folder
from tests.object_store import ObjectStore, client


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_back_and_changes_whole(bucket: Address, tmp_path: Path, object_store: ObjectStore) -> None:
    head = bucket / "heads/brand"
    first = {"card.json": "1", "sub/weights": "same", "old.txt": "old"}
    publish_folder(write(tmp_path / "1", **{name.replace("/", "__"): text for name, text in first.items()}), head)
    path = fetched_folder(head)
    assert (path.name, contents(path)) == ("brand", first)
    object_store.requests.clear()
    assert fetched_folder(head) == path
    assert len(object_store.requests) == 1

    object_store.requests.clear()
    publish_folder(write(tmp_path / "2", **{"card.json": "2", "sub__weights": "same"}), head)
    assert sum(method == "PUT" for method, _ in object_store.requests) == 2  # the card and the index
    assert contents(fetched_folder(head)) == {"card.json": "2", "sub/weights": "same"}
    assert contents(path) == first
    publish_folder(tmp_path / "2", bucket / "no bucket/x")
    assert len(list(listing(head))) == 5  # who reads the old one can end
    publish_folder(write(tmp_path / "3", **{"card.json": "3"}), head)
    assert len([info for info in listing(head) if "old" in info.address.name]) == 0


def test_a_folder_that_somebody_copied_is_listed(bucket: Address, object_store: ObjectStore) -> None:
    for key in ("clip/config.json", "clip/sub/weights", "clip-other/config.json"):
        client(object_store).put_object(Bucket=bucket.bucket, Key=key, Body=key.encode())
    for key in ("clip/", "clip/sub/", "clip/none/"):  # as consoles make folders
        client(object_store).put_object(Bucket=bucket.bucket, Key=key, Body=b"")
    path = fetched_folder(bucket / "clip")
    assert contents(path) == {"config.json": "clip/config.json", "sub/weights": "clip/sub/weights"}
    assert fetched_folder(bucket / "clip") == path
    put_bytes(bucket / "clip/config.json", b"new")
    assert contents(fetched_folder(bucket / "clip"))["config.json"] == "new"
    with pytest.raises(MissingObjectError, match="no such folder"):
        fetched_folder(bucket / "cli")


def test_of_two_that_publish_one_wins(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, object_store: ObjectStore
) -> None:
    folder = write(tmp_path / "1", **{"a": "1"})
    real = objects.upload

    def raced(path: Path, address: Address, **known: str) -> object:
        put_bytes(bucket / "head" / INDEX, b'{"version": 1, "files": {}, "superseded": []}')
        return real(path, address, **known)

    monkeypatch.setattr(publish, "upload", raced)
    with pytest.raises(ConflictError, match=r"prodemb-index\.json: somebody else wrote or deleted it meanwhile"):
        publish_folder(folder, bucket / "head")


def test_a_damaged_folder_is_an_error_that_names_the_object(bucket: Address, tmp_path: Path) -> None:
    publish_folder(write(tmp_path / "1", **{"a": "1", "b": "2"}), bucket / "head")
    victim = next(info.address for info in listing(bucket / "head") if info.address.name.endswith("-b"))
    put_bytes(victim, b"3")
    with pytest.raises(StorageError, match=r"files/[0-9a-f]{32}-b: is damaged"):
        fetched_folder(bucket / "head")


def test_an_object_that_somebody_deleted_is_told_and_published_again(bucket: Address, tmp_path: Path) -> None:
    folder, head = write(tmp_path / "1", **{"a": "1", "b": "2"}), bucket / "head"
    publish_folder(folder, head)
    objects.delete(*(info.address for info in listing(head / "files") if info.address.name.endswith("-b")))
    wanted = rf"files/[0-9a-f]{{32}}-b: no such object found, though prodemb-index\.json lists it; .*delete {head}/"
    with pytest.raises(DamagedObjectError, match=wanted):
        fetched_folder(head)
    publish_folder(folder, head)
    assert contents(fetched_folder(head)) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "index",
    [
        '{"version": 2}',
        "[]",
        '{"version": 1, "files": {"../x": {}}, "superseded": []}',
        '{"version": 1, "files": {"/etc/x": {"object": "files/a", "num_bytes": 1, "sha256": ""}}, "superseded": []}',
        '{"version": 1, "files": {"x": {"object": "../a", "num_bytes": 1, "sha256": ""}}, "superseded": []}',
        '{"version": 1, "files": {}, "superseded": ["../../victim"]}',
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(bucket: Address, tmp_path: Path, index: str) -> None:
    put_bytes(bucket / "victim", b"")
    put_bytes(bucket / "head" / INDEX, index.encode())
    with pytest.raises(StorageError, match="wanted"):
        fetched_folder(bucket / "head")
    with pytest.raises(StorageError, match="wanted"):
        publish_folder(write(tmp_path / "1", **{"a": "1"}), bucket / "head")
    assert exists(bucket / "victim")
