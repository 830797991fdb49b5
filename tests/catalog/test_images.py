"""Pictures are found, or absent for a stated reason, against real files and a real server."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.catalog import images
from prodemb.catalog.images import AbsentImage, ImageLoader, ImagesConfig
from prodemb.catalog.network import is_public

PICTURE = b"\xff\xd8 the bytes of a picture"


class PictureServer(BaseHTTPRequestHandler):
    """Answers by path, as good and bad picture servers do."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        PictureServer.asked[self.path] += 1
        match self.path.split("?")[0].strip("/").split("/"):
            case ["ok.jpg"]:
                self.answer(200, PICTURE)
            case ["busy", status, *_] if PictureServer.asked[self.path] == 1:
                self.answer(int(status), b"", {"Retry-After": "1"} if status == "429" else {})
            case ["busy", *_]:
                self.answer(200, PICTURE)
            case ["down"]:
                self.answer(503, b"")
            case ["moved"]:
                self.answer(302, b"", {"Location": "/ok.jpg"})
            case ["to-private"]:
                port = self.server.server_address[1]
                self.answer(302, b"", {"Location": f"http://127.0.0.2:{port}/ok.jpg"})
            case ["circle"]:
                self.answer(302, b"", {"Location": "/circle"})
            case ["to-file"]:
                self.answer(302, b"", {"Location": "file:///etc/passwd"})
            case ["large"]:
                self.answer(200, b"x" * 5000)
            case ["void"]:
                self.answer(200, b"")
            case ["slow"]:
                time.sleep(1)
                self.answer(200, PICTURE)
            case ["drip"]:
                self.send_response(200)
                for _ in range(20):
                    self.wfile.write(b"X")
                    self.wfile.flush()
                    time.sleep(0.1)
            case ["cut"]:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(PICTURE)
                self.close_connection = True
            case ["secret"]:
                self.answer(200 if self.headers.get("Authorization") == "Basic dTpw" else 401, PICTURE)
            case _:
                self.answer(404, b"<html>no such page</html>")

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


class QuietServer(ThreadingHTTPServer):
    """A server that does not print when a client hangs up on it."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """The client ended a slow answer, as it should."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with QuietServer(("127.0.0.1", 0), PictureServer) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "FIRST_WAIT_S", 0.01)


def loader(root: Path, **settings: object) -> ImageLoader:
    return ImageLoader(ImagesConfig.parse({"allow_private_hosts": True, **settings}, source="test"), root=root)


def reason(root: Path, value: str | bytes, **settings: object) -> str:
    with loader(root, **settings) as opened, pytest.raises(AbsentImage) as caught:
        opened.load(value)
    return caught.value.reason


def test_a_path_is_taken_from_the_root(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "été 1.jpg").write_bytes(PICTURE)
    with loader(tmp_path) as opened:
        assert opened.load("deep/été 1.jpg") == PICTURE
        assert opened.load(" deep\\été 1.jpg ") == PICTURE
        assert opened.load(PICTURE) == PICTURE


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("absent.jpg", "file not found"),
        ("a.jpg/b.jpg", "file not found"),
        ("nul\0.jpg", "file not found"),
        ("\udc80.jpg", "file not found"),
        ("x" * 5000, "file not found"),
        ("folder", "not a file"),
        ("pipe", "not a file"),
        ("empty.jpg", "empty file"),
        ("large.jpg", "too large"),
        ("../outside.jpg", "outside the image root"),
        ("..\\outside.jpg", "outside the image root"),
        ("/etc/passwd", "outside the image root"),
        ("link.jpg", "outside the image root"),
        ("circle.jpg", "file not found"),
        ("file:///etc/passwd", "unsupported address"),
        ("file:large.jpg", "unsupported address"),
        ("ftp://example.com/a.jpg", "unsupported address"),
        ("data:image/png;base64,AAAA", "unsupported address"),
        ("http://", "unsupported address"),
        ("http://a:b:c/", "invalid address"),
        ("http://example.com:99999999/", "invalid address"),
        (b"", "empty file"),
        (b"x" * 5000, "too large"),
    ],
)
def test_why_a_local_picture_is_absent(tmp_path: Path, value: str | bytes, expected: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    os.mkfifo(root / "pipe")
    (root / "a.jpg").write_bytes(PICTURE)
    (root / "empty.jpg").touch()
    (root / "large.jpg").write_bytes(b"x" * 5000)
    (tmp_path / "outside.jpg").write_bytes(PICTURE)
    (root / "link.jpg").symlink_to("../outside.jpg")
    (root / "circle.jpg").symlink_to("circle.jpg")
    assert reason(root, value, max_bytes=1000) == expected


def test_a_person_may_allow_paths_outside_the_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside.jpg").write_bytes(PICTURE)
    with loader(tmp_path / "root", allow_outside_root=True) as opened:
        assert opened.load("../outside.jpg") == PICTURE
        assert opened.load(str(tmp_path / "outside.jpg")) == PICTURE


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    with loader(tmp_path) as opened:
        before = opened.stamp("a.jpg")
        assert before == opened.stamp("a.jpg") != ""
        (tmp_path / "a.jpg").write_bytes(PICTURE * 2)
        assert opened.stamp("a.jpg") != before
        assert {opened.stamp(value) for value in ("absent.jpg", "http://x.y/a.jpg", "../a.jpg", "nul\0")} == {""}


@given(st.text() | st.binary() | st.text().map(lambda rest: f"http://127.0.0.1/{rest}"))
def test_any_value_ends_in_bytes_or_a_reason(value: str | bytes) -> None:
    config = ImagesConfig(retries=0, deadline_s=0.01)
    with ImageLoader(config, root=Path("no such folder")) as opened, suppress(AbsentImage):
        assert opened.load(value) == value


@pytest.mark.parametrize("path", ["ok.jpg", "moved", "busy/503", "busy/500/x"])
def test_a_served_picture_is_fetched(server: str, tmp_path: Path, path: str) -> None:
    with loader(tmp_path) as opened:
        assert opened.load(f"{server}/{path}") == PICTURE


def test_retry_after_is_obeyed(server: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with loader(tmp_path) as opened:
        assert opened.load(f"{server}/busy/429") == PICTURE
    assert time.monotonic() - started >= 1
    assert reason(tmp_path, f"{server}/busy/429/again", deadline_s=0.5) == "HTTP 429"


@pytest.mark.parametrize(
    ("path", "expected", "times_asked"),
    [
        ("absent.jpg", "HTTP 404", 1),
        ("down", "HTTP 503", 3),
        ("slow", "timed out", 3),
        ("cut", "connection broken off", 3),
        ("circle", "too many redirects", 6),
        ("to-file", "unsupported address", 1),
        ("large", "too large", 1),
        ("void", "empty file", 1),
    ],
)
def test_why_a_served_picture_is_absent(
    server: str, tmp_path: Path, path: str, expected: str, times_asked: int
) -> None:
    before = PictureServer.asked[f"/{path}"]
    assert reason(tmp_path, f"{server}/{path}", retries=2, timeout_s=0.2, max_bytes=1000) == expected
    assert PictureServer.asked[f"/{path}"] - before == times_asked


def test_a_dripping_server_cannot_outlast_the_deadline(server: str, tmp_path: Path) -> None:
    started = time.monotonic()
    assert reason(tmp_path, f"{server}/drip", timeout_s=5, deadline_s=0.4) == "timed out"
    assert time.monotonic() - started < 1


def test_credentials_are_sent_and_never_shown(server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    address = server.replace("http://", "http://u:p@")
    with loader(tmp_path) as opened:
        assert opened.load(f"{address}/secret?token=hidden") == PICTURE
        with pytest.raises(AbsentImage) as caught:
            opened.load(f"{address.replace('u:p', 'u:wrong')}/secret?token=hidden")
    assert caught.value.reason == "HTTP 401"
    assert "hidden" not in str(caught.value) + caplog.text
    assert "wrong" not in str(caught.value) + caplog.text


def test_private_hosts_are_refused_by_default(server: str, tmp_path: Path) -> None:
    before = PictureServer.asked.total()
    port = server.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "127.1", "2130706433"):
        assert reason(tmp_path, f"http://{host}:{port}/ok.jpg", allow_private_hosts=False) == "private address"
    assert PictureServer.asked.total() == before


def test_a_redirect_to_a_private_host_is_refused(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodemb.catalog.network.is_public", lambda address: address == "127.0.0.1")
    with loader(tmp_path, allow_private_hosts=False) as opened:
        assert opened.load(f"{server}/moved") == PICTURE
    assert reason(tmp_path, f"{server}/to-private", allow_private_hosts=False) == "private address"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.216.34", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_one_loader_serves_many_threads(server: str, tmp_path: Path) -> None:
    with loader(tmp_path, concurrency=4) as opened, ThreadPoolExecutor(16) as threads:
        assert set(threads.map(opened.load, [f"{server}/ok.jpg"] * 100)) == {PICTURE}
