import os
import subprocess
import sys
from pathlib import Path

import pytest

from prodemb.core.errors import ConfigError, StorageError
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder, fetched, max_bytes
from prodemb.storage.objects import listing, put_bytes
from tests.object_store import ObjectStore, client

FETCH = """
import sys
from prodemb.storage.address import place
from prodemb.storage.cache import fetched
path = fetched(place(sys.argv[1]))
print(path.read_bytes()[:3], flush=True)
sys.stdin.readline()
print(path.exists())
"""


def test_a_version_of_an_object_is_downloaded_once(bucket: Address, object_store: ObjectStore) -> None:
    put_bytes(bucket / "feed.csv.gz", b"one")
    path = fetched(bucket / "feed.csv.gz")
    assert (path.name, path.read_bytes()) == ("feed.csv.gz", b"one")
    assert path.is_relative_to(cache_folder())
    object_store.requests.clear()
    assert fetched(bucket / "feed.csv.gz") == path
    assert [method for method, _ in object_store.requests] == ["HEAD"]
    put_bytes(bucket / "feed.csv.gz", b"two")
    assert fetched(bucket / "feed.csv.gz").read_bytes() == b"two"
    assert path.read_bytes() == b"one"
    assert fetched(Path("local.csv")) == Path("local.csv")


def test_what_is_known_saves_requests(bucket: Address, object_store: ObjectStore) -> None:
    import hashlib

    put_bytes(bucket / "a", b"one")
    sha256 = hashlib.sha256(b"one").hexdigest()
    fetched(bucket / "a", sha256=sha256)
    infos = list(listing(bucket))
    fetched(bucket / "a", info=infos[0])
    object_store.requests.clear()
    fetched(bucket / "a", sha256=sha256)
    fetched(bucket / "a", info=infos[0])
    assert not object_store.requests
    with pytest.raises(StorageError, match=r"found '\.\./x' and 'a', wanted 64 hex"):
        fetched(bucket / "a", sha256="../x")
    with pytest.raises(StorageError, match="is damaged"):
        fetched(bucket / "a", sha256="0" * 64)
    assert not list(cache_folder().glob(f"entries/{'0' * 64}*"))


def test_what_was_used_longest_ago_goes_first(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODEMB_CACHE_GB", "0.000003")  # 3,000 bytes
    paths = []
    for number in range(4):
        put_bytes(bucket / f"{number}", bytes(900))
        paths.append(fetched(bucket / f"{number}", pin=False))
        if number == 2:
            os.utime(paths[1].parent, (0, 0))
    assert [path.exists() for path in paths] == [True, False, True, True]
    with paths[2].open("rb") as file:
        put_bytes(bucket / "large", bytes(5000))
        large = fetched(bucket / "large", pin=False)
        assert [path.exists() for path in (*paths, large)] == [False] * 4 + [True]
        assert len(file.read()) == 900


def test_what_a_living_process_uses_stays(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODEMB_CACHE_GB", "0.000001")
    put_bytes(bucket / "a", b"abc" * 300)
    put_bytes(bucket / "b", bytes(900))
    command = [sys.executable, "-c", FETCH, str(bucket / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "b'abc'\n"
        fetched(bucket / "b", pin=False)
        out, _ = process.communicate("\n")
        assert out == "True\n"
    put_bytes(bucket / "c", bytes(900))
    fetched(bucket / "c", pin=False)
    assert len(list((cache_folder() / "entries").iterdir())) == 1


def test_many_processes_fetch_one_object_once(bucket: Address, object_store: ObjectStore) -> None:
    put_bytes(bucket / "a", b"abc" * 1000)
    object_store.requests.clear()
    command = [sys.executable, "-c", FETCH, str(bucket / "a")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    outs = [process.communicate(b"\n")[0] for process in processes]
    assert outs == [b"b'abc'\nTrue\n"] * 3
    assert sum(method == "GET" for method, _ in object_store.requests) == 1


def test_a_killed_download_leaves_nothing_behind(bucket: Address) -> None:
    put_bytes(bucket / "a", b"abc")
    path = fetched(bucket / "a")
    leftover = path.parent.with_name(f".{path.parent.name}.0123")
    path.parent.rename(leftover)
    assert fetched(bucket / "a") == path
    assert not leftover.exists()


def test_an_object_of_a_listing_and_one_that_was_asked_for_are_one_entry(
    bucket: Address, object_store: ObjectStore
) -> None:
    s3 = client(object_store)
    s3.put_bucket_versioning(Bucket=bucket.bucket, VersioningConfiguration={"Status": "Enabled"})
    put_bytes(bucket / "a", b"one")
    (info,) = listing(bucket)
    assert fetched(bucket / "a", info=info) == fetched(bucket / "a")


def test_the_settings_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRODEMB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    assert max_bytes() == 20e9
    if sys.platform != "darwin":
        assert cache_folder() == Path("/var/caches/prodemb")
    for text in ("0", "-1", "much", "inf", "nan"):
        monkeypatch.setenv("PRODEMB_CACHE_GB", text)
        with pytest.raises(ConfigError, match="PRODEMB_CACHE_GB: found"):
            max_bytes()
