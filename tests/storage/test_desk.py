import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prodemb.core.errors import BusyError, ConflictError, StorageError
from prodemb.core.files import temporary_name
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder
from prodemb.storage.desk import (
    at_desk,
    file_to_read,
    file_to_write,
    folder_to_read,
    folder_to_write,
    publish_changes,
    sibling,
)
from prodemb.storage.names import named
from prodemb.storage.objects import exists, listing, put_bytes, read
from prodemb.storage.publish import fetched_folder
from tests.object_store import ObjectStore, failing


def test_local_paths_are_themselves(tmp_path: Path) -> None:
    for found in (file_to_read, file_to_write, folder_to_read, folder_to_write):
        assert found("a/b.csv") == Path("a/b.csv")
        assert found("file:///a/b%20c") == Path("/a/b c")
    assert sibling("out/out.parquet", "report.html") == "out/report.html"
    assert sibling("s3://shop/out/out.parquet", "report.html") == "s3://shop/out/report.html"


def test_a_file_is_published_when_the_command_has_succeeded(bucket: Address) -> None:
    address = str(bucket / "out/aliases.csv")
    with at_desk():
        path = file_to_write(address)
        assert not path.exists()
        path.write_text("1")
        assert file_to_read(address) == path
        assert not exists(bucket / "out/aliases.csv")
    assert read(bucket / "out/aliases.csv").content == b"1"
    with pytest.raises(ZeroDivisionError), at_desk():
        _fail_after_writing(address)
    assert read(bucket / "out/aliases.csv").content == b"1"
    shutil.rmtree(cache_folder())
    with at_desk():
        assert file_to_write(address).read_text() == "1"


def _fail_after_writing(address: str, name: str | None = None) -> None:
    path = file_to_write(address) if name is None else folder_to_write(address) / name
    path.write_text("2")
    raise ZeroDivisionError


def test_what_a_failed_command_made_is_gone_on_with_and_published_by_the_next(bucket: Address) -> None:
    address = str(bucket / "heads/brand")
    with at_desk():
        folder = folder_to_write(address)
        folder.mkdir()
        (folder / "a").write_text("1")
        publish_changes()
        assert fetched_folder(bucket / "heads/brand").joinpath("a").read_text() == "1"
    with pytest.raises(ZeroDivisionError), at_desk():
        _fail_after_writing(address, "b")
    with at_desk():
        assert (folder_to_write(address) / "b").read_text() == "2"
    assert sorted(path.name for path in folder_to_read(address).iterdir()) == ["a", "b"]


def test_nothing_is_uploaded_where_nothing_changed(bucket: Address, object_store: ObjectStore) -> None:
    put_bytes(bucket / "a", b"1")
    object_store.requests.clear()
    with at_desk():
        assert file_to_write(str(bucket / "a")).read_text() == "1"
        assert file_to_read(str(bucket / "a")).read_text() == "1"
    assert not [method for method, _ in object_store.requests if method == "PUT"]


def test_what_somebody_else_wrote_meanwhile_is_not_replaced(bucket: Address) -> None:
    def race(kind: str) -> None:
        with at_desk():
            if kind == "file":
                file_to_write(str(bucket / "a")).write_text("ours")
                put_bytes(bucket / "a", b"theirs")
            else:
                folder_to_write(str(bucket / "f")).mkdir()
                (folder_to_write(str(bucket / "f")) / "x").write_text("ours")
                put_bytes(bucket / "f/prodemb-index.json", b'{"version": 1, "files": {}, "superseded": []}')

    for kind in ("file", "folder"):
        with pytest.raises(ConflictError, match=r"while this run worked on it, .*; what this run made is at /"):
            race(kind)
    assert read(bucket / "a").content == b"theirs"
    with at_desk():
        assert file_to_write(str(bucket / "a")).read_text() == "theirs"


def test_a_conflict_keeps_no_other_output_from_being_published(bucket: Address, object_store: ObjectStore) -> None:
    def write() -> None:
        for name in ("a", "b", "c"):
            file_to_write(str(bucket / name)).write_text(name)
        head = folder_to_write(str(bucket / "head"))
        head.mkdir()
        (head / "card.json").write_text("hours of work")

    for name in ("a", "c"):
        object_store.rules.append(failing(1, status=412, method="PUT", ending=f"/{name}"))
    object_store.requests.clear()
    with pytest.raises(ConflictError, match=rf"^{bucket}/a: another run .*; {bucket}/c: another run "), at_desk():
        write()
    assert read(bucket / "b").content == b"b"
    assert fetched_folder(bucket / "head").joinpath("card.json").read_text() == "hours of work"
    written = [path for method, path in object_store.requests if method == "PUT"]
    assert written[1].endswith("/prodemb-index.json")
    assert not any(exists(bucket / name) for name in ("a", "c"))


def test_what_is_not_there_is_the_path_of_no_file_and_told_by_its_address(bucket: Address) -> None:
    with at_desk():
        path = folder_to_read(str(bucket / "heads/none"))
        assert not path.exists()
        assert named(f"no head in {path}, sorry") == f"no head in {bucket}/heads/none, sorry"
    with pytest.raises(StorageError, match="no bucket"):
        folder_to_read("s3://no-such-bucket-here/head")
    for write in (file_to_write, folder_to_write):
        with pytest.raises(StorageError, match="no bucket"), at_desk():
            write("s3://no-such-bucket-here/out")  # before the work, not after it


def _hold(address: str, environment: dict[str, str], connection: multiprocessing.connection.Connection) -> None:
    import os

    os.environ.update(environment)
    with at_desk():
        file_to_write(address)
        connection.send("held")
        connection.recv()


def test_a_working_copy_is_held_by_one_run(bucket: Address, object_store: ObjectStore) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    environment = object_store.environment(cache_folder())
    process = context.Process(target=_hold, args=(str(bucket / "a"), environment, there))
    process.start()
    assert here.recv() == "held"
    with pytest.raises(BusyError, match=rf"^{bucket}/a: another run on this machine"), at_desk():
        file_to_write(str(bucket / "a"))
    here.send("end")
    process.join()
    with at_desk():
        file_to_write(str(bucket / "a"))


def test_a_store_that_fails_at_the_end_costs_no_work(bucket: Address, object_store: ObjectStore) -> None:
    object_store.rules.append(failing(100, status=403, method="PUT"))
    with pytest.raises(StorageError, match="403"), at_desk():
        file_to_write(str(bucket / "a")).write_text("work")
    object_store.rules.clear()
    with at_desk():
        assert file_to_write(str(bucket / "a")).read_text() == "work"
    assert read(bucket / "a").content == b"work"


def test_a_published_folder_that_was_copied_to_this_machine_can_be_read(bucket: Address, tmp_path: Path) -> None:
    with at_desk():
        head = folder_to_write(str(bucket / "head"))
        (head / "sub").mkdir(parents=True)
        (head / "card.json").write_text("card")
        (head / "sub/weights").write_text("weights")
    for info in listing(bucket / "head"):  # as `aws s3 cp --recursive` does
        path = tmp_path / "head" / info.address.key.removeprefix("head/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read(info.address).content)
    found = folder_to_read(tmp_path / "head")
    assert [(found / name).read_text() for name in ("card.json", "sub/weights")] == ["card", "weights"]
    assert named(str(found)) == str(tmp_path / "head")
    shutil.rmtree(cache_folder())
    weights = next((tmp_path / "head/files").glob("*-weights"))
    weights.write_text("evil")
    with pytest.raises(StorageError, match=rf"^{weights}: missing or damaged"):
        folder_to_read(tmp_path / "head")
    (tmp_path / "head/card.json").write_text("of another head")
    with pytest.raises(StorageError, match=r"found 'card.json' beside prodemb-index.json"):
        folder_to_read(tmp_path / "head")


def test_published_working_copies_go_when_there_is_no_room_and_others_stay(
    bucket: Address, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(name: str) -> Path:
        with at_desk():
            path = file_to_write(str(bucket / name))
            path.write_text(name * 1000)
        return path

    first = write("a")
    object_store.rules.append(failing(1, status=403, method="PUT"))
    with pytest.raises(StorageError):
        write("b")
    second = write("c")
    with at_desk():
        head = folder_to_write(str(bucket / "head"))
        head.mkdir()
        (head / "card.json").write_text("1" * 1000)
    unfinished = head / temporary_name("card.json")
    unfinished.write_text("what a killed step has")
    monkeypatch.setenv("PRODEMB_CACHE_GB", "0.000002")  # 2,000 bytes
    with at_desk():
        held = file_to_write(str(bucket / "d"))
        held.write_text("d" * 3000)
        for name in ("a", "e"):
            file_to_write(str(bucket / name))
        assert held.exists()
        assert first.read_text() == "a" * 1000  # fetched again
        assert not second.exists()
        assert unfinished.exists()
    with at_desk():
        assert file_to_write(str(bucket / "b")).read_text() == "b" * 1000
    assert read(bucket / "b").content == b"b" * 1000


def test_what_is_done_costs_the_requests_that_the_documentation_says(
    bucket: Address, object_store: ObjectStore, tmp_path: Path
) -> None:
    def counted(act: Callable[[], object]) -> int:
        object_store.requests.clear()
        act()
        return len(object_store.requests)

    def write() -> None:
        with at_desk():
            file_to_write(str(bucket / "file")).write_text("1")

    def publish() -> None:
        with at_desk():
            folder = folder_to_write(str(bucket / "folder"))
            folder.mkdir()
            for name in ("a", "b"):
                (folder / name).write_text(name)

    assert counted(write) == 3
    assert counted(write) == 2
    assert counted(lambda: file_to_read(str(bucket / "file"))) == 1 + 1
    assert counted(lambda: file_to_read(str(bucket / "file"))) == 1
    assert counted(publish) == 4 + 2 * 2
    assert counted(lambda: folder_to_read(str(bucket / "folder"))) == 1 + 2 * 2
    assert counted(lambda: folder_to_read(str(bucket / "folder"))) == 1
