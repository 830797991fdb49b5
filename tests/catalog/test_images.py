"""Pictures are found, or absent for a stated reason, against real files and a real server."""

import base64
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog import images
from prodemb.catalog.images import AbsentImage, ImageLoader, ImagesConfig
from prodemb.catalog.network import is_public
from tests.conftest import jpeg
from tests.core.test_regular import swapping
from tests.picture_server import PICTURE, PictureServer, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as address:
        yield address


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
        ("data:image/png;base64,AAA!", "damaged data address"),
        ("data:image/png", "damaged data address"),
        (base64.b64encode(bytes(range(256)) * 9).decode(), "base64 that is no picture"),
        ("http://", "unsupported address"),
        ("http://a:b:c/", "invalid address"),
        ("http://example.com:99999999/", "invalid address"),
        ("http://xn--/x.jpg", "invalid address"),
        ("http://xn--a/x.jpg", "invalid address"),
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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/proc/kmsg", ("empty file", "cannot be read")),
        ("/proc/self/pagemap", ("empty file",)),
        ("/proc/self/fd/0", ("not a file", "file not found", "empty file", "outside the image root")),
        ("/dev/zero", ("not a file",)),
        ("/dev/tty", ("not a file", "cannot be read")),
    ],
)
def test_no_device_is_read_though_paths_may_lead_outside(tmp_path: Path, value: str, expected: tuple[str, ...]) -> None:
    assert reason(tmp_path, value, allow_outside_root=True) in expected


def test_a_link_that_is_swapped_while_pictures_load_leads_nowhere(tmp_path: Path) -> None:
    root, inside, outside = tmp_path / "root", tmp_path / "root" / "inside", tmp_path / "outside"
    root.mkdir()
    for file in (inside, outside):
        file.write_text(file.name)
    with swapping(root / "name.jpg", inside=inside, outside=outside), loader(root) as opened:
        for _ in range(4000):
            with suppress(AbsentImage):
                assert opened.load("name.jpg") == b"inside"


def test_a_picture_may_stand_in_a_data_address(tmp_path: Path) -> None:
    with loader(tmp_path) as opened:
        assert opened.load(f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}") == PICTURE
        assert opened.load("data:,%89PNG") == b"\x89PNG"


def test_a_leading_slash_may_stand_for_the_root(tmp_path: Path) -> None:
    (tmp_path / "root" / "p" / "e").mkdir(parents=True)
    (tmp_path / "root" / "p" / "e" / "pear.jpg").write_bytes(PICTURE)
    with loader(tmp_path / "root") as opened:
        assert opened.load("/p/e/pear.jpg") == PICTURE
    assert reason(tmp_path / "root", "/../root/p/none.jpg") == "outside the image root"


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


@settings(deadline=None)
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
        ("hang", "timed out", 3),
        ("endless", "too large", 1),
        ("headers", "connection broken off", 3),
        ("wait", "timed out", 1),
        ("noise", "connection broken off", 3),
        ("tomorrow", "HTTP 429", 1),
        ("there", "too many redirects", 3),
        ("nowhere", "invalid address", 1),
        ("no-name", "invalid address", 1),
    ],
)
def test_why_a_served_picture_is_absent(
    server: str, tmp_path: Path, path: str, expected: str, times_asked: int
) -> None:
    before = PictureServer.asked[f"/{path}"]
    assert reason(tmp_path, f"{server}/{path}", retries=2, timeout_s=0.2, deadline_s=1, max_bytes=1000) == expected
    assert PictureServer.asked[f"/{path}"] - before == times_asked


def test_a_retry_after_date_is_obeyed(server: str, tmp_path: Path) -> None:
    with loader(tmp_path) as opened:
        assert opened.load(f"{server}/date/1") == PICTURE
    assert PictureServer.asked["/date/1"] == 2


def test_what_is_not_a_picture_is_handed_on_as_it_came(server: str, tmp_path: Path) -> None:
    """Whether bytes are a picture is for the decoder to say; a wrong length or packing must not hang or fail here."""
    with loader(tmp_path) as opened:
        assert opened.load(f"{server}/html").startswith(b"<!doctype")
        assert opened.load(f"{server}/short") == PICTURE[:-5]
        assert opened.load(f"{server}/packed") != PICTURE
        assert opened.load(f"{server}/ok.jpg") == PICTURE


@pytest.mark.parametrize(("path", "body"), [("short", PICTURE[:-5]), ("twice", PICTURE)])
def test_what_a_server_sends_beyond_its_answer_is_nobody_s(server: str, tmp_path: Path, path: str, body: bytes) -> None:
    with loader(tmp_path, retries=0) as opened:
        for _ in range(3):
            assert opened.load(f"{server}/{path}") == body
            assert opened.load(f"{server}/jpeg") == jpeg(3)


def test_a_kept_connection_that_the_server_has_left_costs_no_attempt(server: str, tmp_path: Path) -> None:
    with loader(tmp_path, retries=0) as opened:
        assert opened.load(f"{server}/ok.jpg") == PICTURE
        assert opened.load(f"{server}/leaves") == PICTURE


def test_a_new_attempt_is_made_on_a_new_connection(server: str, tmp_path: Path) -> None:
    """Where kept connections have died in silence, as behind some routers, there may be many of them."""
    with loader(tmp_path, retries=1, timeout_s=0.3) as opened, ThreadPoolExecutor(2) as threads:
        assert list(threads.map(opened.load, [f"{server}/pair"] * 2)) == [PICTURE] * 2
        assert opened.load(f"{server}/deaf") == PICTURE


def test_a_host_that_does_not_answer_is_left_alone(server: str, tmp_path: Path) -> None:
    before = PictureServer.asked["/down"]
    with loader(tmp_path, retries=0, max_host_failures=3, host_reset_s=0.3) as opened:
        reasons = []
        for _ in range(6):
            with pytest.raises(AbsentImage) as caught:
                opened.load(f"{server}/down")
            reasons.append(caught.value.reason)
        assert reasons == ["HTTP 503"] * 3 + ["host does not answer"] * 3
        assert PictureServer.asked["/down"] - before == 3
        time.sleep(0.4)
        assert opened.load(f"{server}/ok.jpg") == PICTURE
        assert opened.load(f"{server}/ok.jpg") == PICTURE


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


@pytest.mark.parametrize("value", ["https:/u:hidden@host/a.jpg", "host/a.jpg?sig=hidden\0", "../a.jpg?sig=hidden"])
def test_a_misspelt_address_is_not_shown(tmp_path: Path, value: str) -> None:
    with loader(tmp_path) as opened, pytest.raises(AbsentImage) as caught:
        opened.load(value)
    assert "hidden" not in str(caught.value)


def test_private_hosts_are_refused_by_default(server: str, tmp_path: Path) -> None:
    before = PictureServer.asked.total()
    port = server.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "127.1", "2130706433"):
        assert reason(tmp_path, f"http://{host}:{port}/ok.jpg", allow_private_hosts=False) == "private address"
    assert PictureServer.asked.total() == before


def test_a_name_that_is_not_looked_up_in_time(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's look-up takes no time limit, so one that hangs is put in its place."""
    port, look_up = server.rpartition(":")[2], socket.getaddrinfo
    answers, asked = threading.Event(), []

    def hang(host: str, *rest: int, **named: int) -> object:
        if host != "pictures.example":
            return look_up(host, *rest, **named)
        asked.append(host)
        assert answers.wait(30)
        return look_up("127.0.0.1", *rest, **named)

    monkeypatch.setattr("socket.getaddrinfo", hang)
    address = f"http://pictures.example:{port}/ok.jpg"
    try:
        for limit in ({"deadline_s": 0.1}, {"timeout_s": 0.1, "retries": 1}):
            asked.clear()
            assert reason(tmp_path, address, **limit) == "name look-up timed out"
            assert asked == ["pictures.example"]
    finally:
        answers.set()
    with loader(tmp_path) as opened:
        assert opened.load(address) == PICTURE
    assert reason(tmp_path, address, allow_private_hosts=False) == "private address"


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
        ("100.100.100.200", False),
        ("168.63.129.16", False),
        ("::ffff:168.63.129.16", False),
        ("168.63.129.17", True),
        ("192.0.0.192", False),
        ("fd00:ec2::254", False),
        ("fd20:ce::254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b:1::a00:1", False),
        ("fec0::1", False),
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_the_deadline_of_a_picture_begins_with_its_turn(server: str, tmp_path: Path) -> None:
    with loader(tmp_path, concurrency=1, deadline_s=1, retries=0) as opened, ThreadPoolExecutor(8) as threads:
        assert set(threads.map(opened.load, [f"{server}/nap"] * 8)) == {PICTURE}


@pytest.mark.parametrize("path", ["later", "drip"])
def test_closing_ends_what_is_still_being_fetched(server: str, tmp_path: Path, path: str) -> None:
    before = PictureServer.asked[f"/{path}"]
    with ThreadPoolExecutor(1) as threads:
        with loader(tmp_path, deadline_s=60) as opened:
            fetching = threads.submit(opened.load, f"{server}/{path}")
            while PictureServer.asked[f"/{path}"] == before:
                time.sleep(0.01)
        assert isinstance(fetching.exception(timeout=5), AbsentImage)


def test_one_loader_serves_many_threads(server: str, tmp_path: Path) -> None:
    with loader(tmp_path, concurrency=4) as opened, ThreadPoolExecutor(16) as threads:
        assert set(threads.map(opened.load, [f"{server}/ok.jpg"] * 100)) == {PICTURE}
