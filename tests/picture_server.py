"""A picture server on this machine that answers by path, as good, bad and hostile ones do."""

import gzip
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from tests.conftest import jpeg

PICTURE = b"\xff\xd8 the bytes of a picture"


class PictureServer(BaseHTTPRequestHandler):
    """Answers by path, as good and bad picture servers do."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    asked: ClassVar[Counter[str]] = Counter()
    gate: ClassVar[threading.Event] = threading.Event()
    """What `/held/...` waits for."""
    pair: ClassVar[threading.Barrier] = threading.Barrier(2)
    on_connection = 0
    """Requests that have come on this connection."""

    def do_GET(self) -> None:
        PictureServer.asked[self.path] += 1
        self.on_connection += 1
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
                port = self.connection.getsockname()[1]
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
            case ["nap"]:
                time.sleep(0.2)
                self.answer(200, PICTURE)
            case ["later"]:
                self.answer(429, b"", {"Retry-After": "20"})
            case ["drip"]:
                self.send_response(200)
                for _ in range(200):
                    self.wfile.write(b"X")
                    self.wfile.flush()
                    time.sleep(0.1)
            case ["cut"]:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(PICTURE)
                self.close_connection = True
            case ["hang"]:
                time.sleep(3)
            case ["endless"]:
                self.send_response(200)
                self.end_headers()
                self.pour(b"x" * 65_536)
            case ["headers"]:
                self.send_response(200)
                self.pour(b"X-Y: z\r\n" * 1000)
            case ["wait"]:
                self.pour(b"HTTP/1.1 100 Continue\r\n\r\n", pause_s=0.01)
            case ["noise"]:
                self.pour(b"\0\xff no HTTP at all\r\n")
            case ["short"]:
                self.answer(200, PICTURE, {"Content-Length": str(len(PICTURE) - 5)})
            case ["twice"]:
                again = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nOTHER"
                self.answer(200, PICTURE + again, {"Content-Length": str(len(PICTURE))})
            case ["leaves"] if self.on_connection > 1:
                self.close_connection = True
            case ["deaf"] if self.on_connection > 1:
                time.sleep(3)
            case ["held", seed]:
                PictureServer.gate.wait(30)
                self.answer(200, jpeg(int(seed)))
            case ["away", _] if PictureServer.asked[self.path] == 1:
                self.answer(503, b"")
            case ["jpeg" | "away", seed]:
                self.answer(200, jpeg(int(seed)))
            case ["pair"]:
                PictureServer.pair.wait(10)
                self.answer(200, PICTURE)
            case ["leaves" | "deaf"]:
                self.answer(200, PICTURE)
            case ["html"]:
                self.answer(200, b"<!doctype html><html>sold out</html>")
            case ["packed"]:
                self.answer(200, gzip.compress(PICTURE), {"Content-Encoding": "gzip"})
            case ["date", *_] if PictureServer.asked[self.path] == 1:
                self.answer(429, b"", {"Retry-After": formatdate(time.time() + 2, usegmt=True)})
            case ["date", *_]:
                self.answer(200, PICTURE)
            case ["tomorrow"]:
                self.answer(429, b"", {"Retry-After": "86400"})
            case ["there"]:
                self.answer(302, b"", {"Location": "/and-back"})
            case ["and-back"]:
                self.answer(302, b"", {"Location": "/there"})
            case ["nowhere"]:
                self.answer(302, b"", {"Location": "http://[::1"})
            case ["no-name"]:
                self.answer(302, b"", {"Location": "http://xn--/"})
            case ["jpeg"]:
                self.answer(200, jpeg(3))
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

    def pour(self, piece: bytes, *, pause_s: float = 0) -> None:
        """Send the same piece until the client has had enough."""
        self.flush_headers()
        for _ in range(20_000):
            self.wfile.write(piece)
            time.sleep(pause_s)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


class QuietServer(ThreadingHTTPServer):
    """A server that does not print when a client hangs up on it."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """The client ended a slow answer, as it should."""


@contextmanager
def running_server() -> Iterator[str]:
    """Serve on this machine; gives the address."""
    with QuietServer(("127.0.0.1", 0), PictureServer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
