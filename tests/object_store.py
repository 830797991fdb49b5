"""A real server of S3's protocol on the loopback (moto), with a door in front that fails when it is told to."""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from prodemb.storage.address import Address

SECRET = "wJalrXUtnFEMIsecretK7MDENGbPxRfiCY"
"""The secret key of the tests, which must stand nowhere."""

Answer = tuple[int, bytes]
Rule = Callable[[dict[str, Any]], Answer | None]


@dataclass
class ObjectStore:
    """A running server."""

    url: str
    rules: list[Rule] = field(default_factory=list)
    """Each sees the WSGI environment of a request, and may answer in place of the server, or sleep."""
    num_to_cut: int = 0
    """How many bodies of answers break off in the middle from now on."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path, with the query, of all requests."""

    def bucket(self) -> Address:
        """A new bucket."""
        name = f"test-{secrets.token_hex(6)}"
        client(self).create_bucket(Bucket=name)
        return Address("s3", name, "")

    def environment(self, cache: Path) -> dict[str, str]:
        """What a process needs to use it."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PRODEMB_CACHE": str(cache),
        }


def client(store: ObjectStore) -> Any:
    """A client that is not ours: boto3's."""
    import boto3

    if store.url not in _clients:
        keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": SECRET}
        _clients[store.url] = boto3.client("s3", endpoint_url=store.url, region_name="us-east-1", **keys)
    return _clients[store.url]


_clients: dict[str, Any] = {}


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[ObjectStore]:
    """A server on a free port of the loopback."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    store = ObjectStore(url="")

    def door(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING")
        store.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"] + (f"?{query}" if query else "")))
        for rule in list(store.rules):
            if (answer := rule(environ)) is not None:
                status, body = answer
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(f"{status} Told", [("Content-Length", str(len(body)))])
                return [body]
        body = app(environ, start_response)
        if environ["REQUEST_METHOD"] == "GET" and store.num_to_cut > 0:
            store.num_to_cut -= 1
            return _broken_off(body)
        return body

    server = make_server("127.0.0.1", 0, door, threaded=True, request_handler=_Quiet)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        if (used := _clients.pop(store.url, None)) is not None:
            used.close()


_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>no</Message></Error>"


def _broken_off(body: Iterable[bytes]) -> Iterator[bytes]:
    """Half of a body; the connection is then closed."""
    whole = b"".join(body)
    yield whole[: len(whole) // 2]
    raise ConnectionAbortedError


def failing(
    num: int, *, status: int = 503, method: str | None = None, ending: str = "", body: bytes = _SLOW_DOWN
) -> Rule:
    """Answer the first `num` matching requests with a status."""
    left = [num]

    def rule(environ: dict[str, Any]) -> Answer | None:
        matches = method in (None, environ["REQUEST_METHOD"]) and environ["PATH_INFO"].endswith(ending)
        if matches and left[0] > 0:
            left[0] -= 1
            return status, body
        return None

    return rule


def every(num: int, *, status: int = 503) -> Rule:
    """Answer each `num`-th request with a status."""
    count = [0]

    def rule(environ: dict[str, Any]) -> Answer | None:
        count[0] += 1
        return (status, b"") if count[0] % num == 0 else None

    return rule


def slow(seconds: float, *, method: str | None = None) -> Rule:
    """Let matching requests wait."""

    def rule(environ: dict[str, Any]) -> None:
        if method in (None, environ["REQUEST_METHOD"]):
            time.sleep(seconds)

    return rule


@pytest.fixture(scope="session")
def running_store() -> Iterator[ObjectStore]:
    """The one server of a test session."""
    with serving() as store:
        yield store


@pytest.fixture
def object_store(running_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The server, without rules; the environment leads to it, and to a cache of the test's own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "PRODEMB_CACHE"))]:
        monkeypatch.delenv(name)
    for name, value in running_store.environment(tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    running_store.rules.clear()
    running_store.requests.clear()
    running_store.num_to_cut = 0
    yield running_store
    running_store.rules.clear()


@pytest.fixture
def bucket(object_store: ObjectStore) -> Address:
    """A new bucket of the server."""
    return object_store.bucket()
