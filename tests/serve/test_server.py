"""A real server on a socket: slow, lying and vanishing clients, and its end."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.core.errors import ConfigError
from prodemb.predict.predictor import Predictor
from prodemb.serve.app import create_app
from prodemb.serve.config import ServeConfig
from prodemb.serve.server import Server, address_of, allowed_hosts, bound_socket, is_loopback

MUG = b'{"products": [{"title": "mug"}]}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server that runs in a thread."""

    server: Server
    address: tuple[str, int]

    def get(self, path: str) -> Any:
        return httpx.get(f"http://{self.address[0]}:{self.address[1]}{path}", trust_env=False)

    def talk(self, *pieces: bytes, pause_s: float = 0.0) -> bytes:
        """Send pieces, and read until the server closes the connection or is quiet for long."""
        with closing(socket.create_connection(self.address, timeout=5)) as sock:
            with suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    sock.sendall(piece)
                    time.sleep(pause_s)
            return read_all(sock)

    def is_well(self) -> bool:
        """Whether it still answers, and holds nothing back for requests that are over."""
        answer = self.talk(HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(MUG) + MUG)
        return answer.startswith(b"HTTP/1.1 200") and self.get("/health").json()["num_waiting"] == 0


def read_all(sock: socket.socket) -> bytes:
    found = bytearray()
    with suppress(ConnectionResetError):
        while piece := sock.recv(65_536):
            found += piece
    return bytes(found)


@contextmanager
def serving(predictor: Predictor, **settings: Any) -> Iterator[Served]:
    config = ServeConfig(port=0, **settings)
    ready = threading.Event()
    with bound_socket(config) as sock, ThreadPoolExecutor(1) as thread:
        app = create_app(predictor, config=config, images=ImagesConfig(), hosts=allowed_hosts(sock, config=config))
        server = Server(app, config=config, on_ready=ready.set)
        address = sock.getsockname()
        ended = thread.submit(server.run, [sock])
        try:
            assert ready.wait(20)
            yield Served(server=server, address=address)
        finally:
            server.should_exit = True
            ended.result(30)


@pytest.fixture(scope="module")
def served(predictor: Predictor) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prodemb.serve.server.LINGER_S", 0.3)
        with serving(predictor, body_timeout_s=0.4, max_body_bytes=50_000, batch_wait_ms=0) as found:
            yield found


def chunked(*bodies: bytes) -> list[bytes]:
    return [HEAD + b"transfer-encoding: chunked\r\n\r\n", *(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)]


def test_bodies_in_chunks_count_and_are_bounded(served: Served) -> None:
    good = served.talk(*chunked(MUG[:9], MUG[9:]), b"0\r\n\r\n" + b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert good.startswith(b"HTTP/1.1 200")
    large = served.talk(*chunked(*[b" " * 20_000] * 4))
    assert large.startswith(b"HTTP/1.1 413")
    assert b"body: found more than 50,000 bytes; wanted at most so many" in large
    assert served.is_well()


@pytest.mark.parametrize(
    ("length", "body", "status"),
    [
        (b"50001", b"", b"413"),
        (b"9" * 20, b"", b"413"),
        (b"9" * 30, b"", b"400"),
        (b"100", MUG, b"408"),
        (b"5", MUG, b"422"),
        (b"-5", MUG, b"400"),
        (b"5, 6", MUG, b"400"),
        (b"0x5", MUG, b"400"),
    ],
)
def test_a_length_that_lies(served: Served, length: bytes, body: bytes, status: bytes) -> None:
    answer = served.talk(HEAD + b"content-length: " + length + b"\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    assert served.is_well()


def test_who_is_refused_early_and_goes_on_sending_for_a_while_reads_why(served: Served) -> None:
    answer = served.talk(HEAD + b"content-length: 60000\r\n\r\n", *[b" " * 1000] * 5, pause_s=0.03)
    assert answer.startswith(b"HTTP/1.1 413")


def test_clients_that_send_no_whole_request_are_hung_up_on(served: Served) -> None:
    assert served.talk() == b""
    assert served.talk(HEAD[:40]) == b""
    assert served.talk(*([b"GET /health HTTP/1.1\r\n"] + [b"a: b\r\n"] * 6), pause_s=0.1) == b""
    assert served.talk(*chunked(b"{"), b"1\r\n").startswith(b"HTTP/1.1 408")
    assert served.is_well()


def test_what_is_no_http_is_refused(served: Served) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GET /health", b"GET / HTTP/1.1\r\na: " + b"b" * 100_000):
        assert served.talk(sent + b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert served.talk(b"GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 400"
    )
    assert served.is_well()


def test_a_connection_serves_many_requests(served: Served) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{served.address[1]}", trust_env=False) as client:
        for _ in range(3):
            assert client.post("/predict", content=MUG, headers={"content-type": "application/json"}).is_success
            time.sleep(0.15)


@pytest.fixture
def gate(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Answers wait for it."""
    found = threading.Event()

    def held(rows: Any) -> Any:
        found.wait(20)
        return Predictor.predict_rows(predictor, rows)

    monkeypatch.setattr(predictor, "predict_rows", held)
    yield found
    found.set()


def can_connect(address: tuple[str, int]) -> bool:
    with closing(socket.socket()) as sock:
        return not sock.connect_ex(address)


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_who_hangs_up_is_not_waited_for(predictor: Predictor, gate: threading.Event) -> None:
    asked = HEAD + b"content-length: %d\r\n\r\n" % len(MUG) + MUG
    with serving(predictor) as served:
        for sent in (asked, asked[:-5]):
            with closing(socket.create_connection(served.address)) as sock:
                sock.sendall(sent)
                wait_until(lambda: len(served.server.server_state.tasks) == 1)
                if sent == asked:
                    wait_until(lambda: served.get("/health").json()["num_waiting"] == 1)
            wait_until(lambda: not served.server.server_state.tasks)
            assert served.get("/health").json()["num_waiting"] == 0
        gate.set()
        assert served.is_well()


def test_who_does_not_read_the_answer_is_hung_up_on(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodemb.serve.app.page_of", lambda _: "x" * 50_000_000)
    with serving(predictor, body_timeout_s=0.3) as served:
        with closing(socket.create_connection(served.address)) as sock:
            sock.sendall(b"GET /docs HTTP/1.1\r\nhost: localhost\r\n\r\n")
            wait_until(lambda: len(served.server.server_state.connections) == 1)
            wait_until(lambda: not served.server.server_state.connections)
            assert len(read_all(sock)) < 50_000_000
        assert served.is_well()


def test_at_the_end_requests_in_flight_are_answered(predictor: Predictor, gate: threading.Event) -> None:
    with serving(predictor) as served, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(served.talk, HEAD + b"content-length: %d\r\n\r\n" % len(MUG) + MUG)
        wait_until(lambda: served.get("/health").json()["num_waiting"] == 1)
        served.server.should_exit = True
        wait_until(lambda: not can_connect(served.address))
        gate.set()
        head, _, body = answer.result(20).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(json.loads(body)["predictions"]) == 1


def test_addresses() -> None:
    with bound_socket(ServeConfig(port=0)) as sock:
        port = sock.getsockname()[1]
        assert is_loopback(sock)
        assert address_of(sock) == f"http://127.0.0.1:{port}"
        assert allowed_hosts(sock, config=ServeConfig(hosts=("Shop.example",))) == (
            *("localhost", "127.0.0.1", "[::1]"),
            *("127.0.0.1", "shop.example"),
        )
        with pytest.raises(ConfigError, match=rf"\[serve\] port: found {port} at 127.0.0.1: Address already in use"):
            bound_socket(ServeConfig(port=port)).__enter__()
    with bound_socket(ServeConfig(host="0.0.0.0", port=0)) as sock:
        assert not is_loopback(sock)
        assert allowed_hosts(sock, config=ServeConfig()) is None
    for host in ("no such host", "192.0.2.1", "\udc00", "a" * 300):
        with pytest.raises(ConfigError, match=r"^\[serve\] (host|port): found .*; wanted"):
            bound_socket(ServeConfig(host=host)).__enter__()
