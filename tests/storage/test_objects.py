import signal
import subprocess
import sys
import time
from collections.abc import Callable
from copy import copy
from pathlib import Path

import pytest

from prodemb.core.errors import ConfigError, ConflictError, MissingObjectError, StorageError
from prodemb.core.files import sha256_of
from prodemb.storage import client as storage_client
from prodemb.storage import objects
from prodemb.storage.address import Address
from prodemb.storage.client import Patience
from prodemb.storage.objects import (
    ObjectInfo,
    delete,
    download,
    exists,
    head,
    listing,
    put_bytes,
    read,
    read_range,
    upload,
)
from tests.object_store import SECRET, ObjectStore, client, every, failing, slow


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up a stalled request after 0.3 s, and after two more tries."""
    monkeypatch.setattr(storage_client, "PATIENCE", Patience(stalled_s=0.3, max_retries=2))


def test_bytes_come_back_as_they_were_written(bucket: Address, object_store: ObjectStore) -> None:
    address = bucket / "a b/ü#1.txt"
    version = put_bytes(address, b"one")
    content, info = read(address)
    assert (content, info.version.etag, info.num_bytes) == (b"one", version.etag, 3)
    assert client(object_store).get_object(Bucket=bucket.bucket, Key="a b/ü#1.txt")["Body"].read() == b"one"
    assert read_range(info, start=1, length=10) == b"ne"
    assert read_range(info, start=3, length=1) == b""
    assert head(address) == info
    delete(address)
    delete(address)
    assert not exists(address)


def test_a_condition_that_is_not_met_is_a_conflict(bucket: Address) -> None:
    address = bucket / "manifest.json"
    first = put_bytes(address, b"1", create=True)
    with pytest.raises(ConflictError, match=r"manifest\.json: somebody else wrote or deleted it meanwhile"):
        put_bytes(address, b"2", create=True)
    second = put_bytes(address, b"2", if_match=first)
    with pytest.raises(ConflictError):
        put_bytes(address, b"3", if_match=first)
    assert read(address).content == b"2"
    delete(address)
    with pytest.raises(ConflictError, match="deleted"):
        put_bytes(address, b"3", if_match=second)


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_is_lost_is_no_conflict(bucket: Address, object_store: ObjectStore) -> None:
    # the store writes the object, but its answer comes too late or is an error, and the request is sent again
    address = bucket / "lease"
    done: list[bool] = []

    def lose(environ: dict[str, str]) -> tuple[int, bytes] | None:
        if environ["REQUEST_METHOD"] == "PUT" and not done:
            done.append(True)
            bytes_ = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))  # type: ignore[attr-defined]
            start = "HTTP_X_AMZ_META_"
            metadata = {key.removeprefix(start).lower(): environ[key] for key in environ if key.startswith(start)}
            client(object_store).put_object(Bucket=bucket.bucket, Key="lease", Body=bytes_, Metadata=metadata)
            return 503, b""
        return None

    object_store.rules.append(lose)
    version = put_bytes(address, b"mine", create=True)
    assert done
    assert head(address).version.etag == version.etag


def test_a_file_goes_up_in_parts_and_comes_down_checked(
    bucket: Address, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 5 << 20)
    content = bytes(range(256)) * 50_000  # 12.8 MB
    (tmp_path / "up").write_bytes(content)
    info = upload(tmp_path / "up", bucket / "large")
    assert sum("partNumber" in path for _, path in object_store.requests) == 3
    download(info, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == content
    with pytest.raises(StorageError, match="is damaged"):
        download(info, tmp_path / "down", sha256="0" * 64)
    put_bytes(bucket / "large", b"new")
    with pytest.raises(ConflictError):
        download(info, tmp_path / "down")


def test_a_copy_has_the_bytes_and_the_checksum(bucket: Address, object_store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    upload(tmp_path / "file", bucket / "one file+é")
    put_bytes(bucket / "to/two", b"what was there before")
    object_store.requests.clear()
    objects.copy(bucket / "one file+é", bucket / "to/two")
    assert len(object_store.requests) == 1
    assert read(bucket / "to/two").content == read(bucket / "one file+é").content == b"abc"
    found = client(object_store).head_object(Bucket=bucket.bucket, Key="to/two")
    assert found["Metadata"]["prodembsha256"] == sha256_of(tmp_path / "file")
    with pytest.raises(MissingObjectError, match=rf"{bucket}/none: no such object found"):
        objects.copy(bucket / "none", bucket / "to/two")
    object_store.rules.append(failing(99, status=403, method="PUT"))
    with pytest.raises(StorageError, match=r"one.*: cannot be copied: 403"):
        objects.copy(bucket / "one file+é", bucket / "to/two")


def test_damage_in_the_store_is_found(bucket: Address, object_store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"good")
    upload(tmp_path / "up", bucket / "x")
    told = client(object_store).head_object(Bucket=bucket.bucket, Key="x")["Metadata"]
    client(object_store).put_object(Bucket=bucket.bucket, Key="x", Body=b"evil", Metadata=told)
    with pytest.raises(StorageError, match=r"/x: is damaged: found bytes with the SHA-256"):
        download(head(bucket / "x"), tmp_path / "down")


def test_a_failure_now_and_then_is_survived(bucket: Address, object_store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"x" * 1000)
    object_store.rules.append(every(2))
    for number in range(5):
        info = upload(tmp_path / "up", bucket / f"{number}")
        download(info, tmp_path / "down")
    assert [info.address.key for info in listing(bucket)] == [str(number) for number in range(5)]
    object_store.rules[:] = [failing(2, status=429)]
    assert read(bucket / "0").content == b"x" * 1000


def test_a_body_that_breaks_off_is_gone_on_with(bucket: Address, object_store: ObjectStore, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    put_bytes(bucket / "a", content)
    info = head(bucket / "a")
    object_store.num_to_cut = 3
    download(info, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == content
    assert object_store.num_to_cut == 0


def test_what_is_written_while_it_is_read_is_a_conflict_and_no_damage(
    bucket: Address, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 100)
    put_bytes(bucket / "a", bytes(1500))
    info, real = head(bucket / "a"), objects._part

    def raced(info: ObjectInfo, start: int, end: int) -> tuple[bytes, dict[str, str]]:
        found = real(info, start, end)
        put_bytes(bucket / "a", b"x" * 1500)
        return found

    monkeypatch.setattr(objects, "_part", raced)
    with pytest.raises(ConflictError):
        download(info, tmp_path / "down")


def test_a_killed_upload_leaves_nothing_to_see(bucket: Address, object_store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(bytes(11 << 20))
    object_store.rules.append(slow(0.5, method="PUT"))
    code = f"""
from pathlib import Path
from prodemb.storage import objects
from prodemb.storage.address import place
objects.PART_BYTES = 5 << 20
objects.upload(Path("{tmp_path}/up"), place("{bucket}/large"))
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    while not any("partNumber" in path for _, path in object_store.requests):
        time.sleep(0.01)
    process.kill()
    process.wait()
    object_store.rules.clear()
    assert list(listing(bucket)) == []
    assert upload(tmp_path / "up", bucket / "large").num_bytes == 11 << 20


@pytest.mark.usefixtures("impatient")
def test_a_store_that_stays_down_or_slow_is_named(bucket: Address, object_store: ObjectStore) -> None:
    object_store.rules.append(failing(100))
    with pytest.raises(StorageError, match=rf"^{bucket}/a: cannot be read: 503 [^;]*SlowDown; .*try later"):
        read(bucket / "a")
    object_store.rules[:] = [slow(1.0)]
    with pytest.raises(StorageError, match="no answer in time"):
        read(bucket / "a")


def test_errors_say_what_helps(bucket: Address, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingObjectError, match=r"/a: no such object found"):
        head(bucket / "a")
    with pytest.raises(MissingObjectError, match="no bucket 'no-such-bucket' found"):
        put_bytes(Address("s3", "no-such-bucket", "a"), b"")
    put_bytes(bucket / "a", b"123")
    with pytest.raises(StorageError, match="found 3 bytes, wanted at most 2"):
        read(bucket / "a", max_bytes=2)
    object_store.rules.append(failing(1, status=403))
    with pytest.raises(StorageError, match=r"403 .*wanted credentials that may do this"):
        read(bucket / "a")
    monkeypatch.setattr(storage_client, "PATIENCE", Patience(max_retries=0))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="cannot be read: no connection"):
        read(bucket / "a")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1:9")
    with pytest.raises(StorageError, match="not https"):
        read(bucket / "a")


@pytest.mark.parametrize(
    ("status", "code", "helps", "is_temporary"),
    [
        (400, "InvalidRequest", "the store refuses this request", False),
        (400, "RequestTimeout", "try later", True),
        (400, "ExpiredToken", "wanted valid credentials", False),
        (401, "Odd", "wanted valid credentials", False),
        (403, "AccessDenied", "wanted credentials that may do this", False),
        (405, "MethodNotAllowed", "the store refuses this request", False),
        (501, "NotImplemented", "the store refuses this request", False),
        (429, "SlowDown", "try later", True),
        (503, "SlowDown", "try later", True),
    ],
)
def test_a_refusal_for_good_is_told_from_one_that_passes(
    status: int,
    code: str,
    helps: str,
    is_temporary: bool,
    bucket: Address,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_client, "PATIENCE", Patience(max_retries=1))
    object_store.rules.append(failing(100, status=status, body=f"<Error><Code>{code}</Code></Error>".encode()))
    for act in (lambda: read(bucket / "a"), lambda: list(listing(bucket)), lambda: put_bytes(bucket / "a", b"")):
        object_store.requests.clear()
        with pytest.raises(StorageError, match=rf": {status} [^;]*, {code}; .*{helps}") as caught:
            act()
        assert caught.value.is_temporary is is_temporary
        assert sum(method == "PUT" for method, _ in object_store.requests) <= 2


def test_a_missing_bucket_is_told_also_by_a_listing(object_store: ObjectStore) -> None:
    for act in (
        lambda: list(listing(Address("s3", "no-such-bucket", "a"))),
        lambda: objects.folders(Address("s3", "no-such-bucket", "")),
    ):
        with pytest.raises(MissingObjectError, match="no bucket 'no-such-bucket' found"):
            act()


def test_credentials_come_from_the_usual_files_and_stand_in_no_error(
    bucket: Address, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_bytes(bucket / "a", b"1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(StorageError, match="no credentials for S3 found"):
        read(bucket / "a")
    (tmp_path / "credentials").write_text(
        f"[shop]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "shop")
    assert read(bucket / "a").content == b"1"
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "false")
    assert "credential_provider" in storage_client._aws_credentials(bucket)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "True")
    assert storage_client._aws_credentials(bucket) == {}
    monkeypatch.delenv("AWS_SKIP_SIGNATURE")
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(StorageError, match="AWS_PROFILE"):
        read(bucket / "a")


def test_no_error_or_log_holds_a_secret(
    bucket: Address,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr(storage_client, "PATIENCE", Patience(max_retries=0))
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRET + "token")
    said = []
    for status in (400, 401, 403, 404, 409, 412, 500, 503):
        body = f"<Error><Code>Odd</Code><Message>{SECRET}</Message></Error>".encode()
        object_store.rules[:] = [failing(1000, status=status, body=body)]
        acts: list[Callable[[], object]] = [
            lambda: read(bucket / "a"),
            lambda: head(bucket / "a"),
            lambda: put_bytes(bucket / "a", b"", create=True),
            lambda: list(listing(bucket)),
            lambda: delete(bucket / "a"),
        ]
        for act in acts:
            try:
                act()
            except StorageError as error:
                said += [str(error), repr(error.__cause__)]
    said += [caplog.text, *capfd.readouterr()]
    assert len(said) > 60
    assert all(SECRET[:12] not in text and "AKIDEXAMPLE" not in text for text in said)


def test_ten_thousand_keys_are_listed_in_order(bucket: Address, object_store: ObjectStore) -> None:
    from moto.s3.models import s3_backends

    put_bytes(bucket / "many-more/x", b"x")
    (keys,) = (
        backend["aws"].buckets[bucket.bucket].keys
        for backend in s3_backends.values()
        if bucket.bucket in backend["aws"].buckets
    )
    for number in range(10_050):  # as if they were uploaded
        key = copy(keys["many-more/x"])
        key.name = f"many/{number:05}.parquet"
        keys[key.name] = key
    object_store.requests.clear()
    found = [info.address.name for info in listing(bucket / "many")]
    assert found == [f"{number:05}.parquet" for number in range(10_050)]
    assert len(object_store.requests) == 11
    assert next(listing(bucket / "many", after="many/10000.parquet")).address.name == "10001.parquet"


def test_without_the_extra_the_error_names_it(bucket: Address) -> None:
    code = f"""
import sys
sys.modules["obstore"] = None
from prodemb.core.errors import ConfigError
from prodemb.storage.address import place
from prodemb.storage.objects import head
try:
    head(place("{bucket}/a"))
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'prodemb[storage]'" in done.stdout


@pytest.mark.parametrize("act", ["head(address)", "download(info, Path(os.devnull))"])
def test_ctrl_c_ends_a_request_that_waits(act: str, bucket: Address, object_store: ObjectStore) -> None:
    put_bytes(bucket / "a", bytes(100))
    code = f"""
import os, signal, sys
from pathlib import Path
import polars  # which handles SIGINT too
from prodemb.storage import objects
from prodemb.storage.address import place
from prodemb.storage.objects import download, head
objects.PART_BYTES = 10
address = place("{bucket}/a")
info = head(address)
print("asks", flush=True)
sys.stdin.readline()
try:
    {act}
except KeyboardInterrupt:
    print("interrupted")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "asks\n"
    object_store.rules.append(slow(12))
    object_store.requests.clear()
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    while not object_store.requests:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=9)[0] == "interrupted\n"


def test_wrong_settings_of_the_environment_are_a_config_error(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", SECRET)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        head(bucket / "a")
    assert SECRET not in str(caught.value)


def test_a_forked_process_is_told_and_does_not_hang(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_client, "_users", {-1})
    with pytest.raises(RuntimeError, match="forked process"):
        head(bucket / "a")
