"""The guarded transport speaks httpx: its responses and its errors, whatever the library below raises."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from prodemb.catalog.network import Deadline, GuardedBackend, GuardedTransport, PrivateHost
from tests.picture_server import PICTURE, PictureServer, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as address:
        yield address


@pytest.fixture
def deadline() -> Deadline:
    return Deadline(threading.Event())


@pytest.fixture
def transport(deadline: Deadline) -> Iterator[GuardedTransport]:
    backend = GuardedBackend(deadline=deadline, allow_private_hosts=True)
    with closing(GuardedTransport(backend, ssl_context=httpx.create_ssl_context(), max_kept=4)) as opened:
        yield opened


def request(url: str, **extensions: object) -> httpx.Request:
    return httpx.Request("GET", url, extensions={"timeout": httpx.Timeout(5).as_dict(), **extensions})


def test_a_response_is_read_from_the_server_as_it_comes(server: str, transport: GuardedTransport) -> None:
    with closing(transport.handle_request(request(f"{server}/ok.jpg"))) as response:
        assert response.status_code == 200
        assert b"".join(response.iter_raw()) == PICTURE


def test_a_redirect_is_handed_to_the_caller(server: str, transport: GuardedTransport) -> None:
    before = PictureServer.asked["/ok.jpg"]
    with closing(transport.handle_request(request(f"{server}/moved"))) as response:
        assert response.has_redirect_location
    assert PictureServer.asked["/ok.jpg"] == before


@pytest.mark.parametrize(
    ("path", "error"),
    [("cut", httpx.RemoteProtocolError), ("noise", httpx.RemoteProtocolError), ("hang", httpx.ReadTimeout)],
)
def test_failures_are_httpx_errors(
    server: str, transport: GuardedTransport, deadline: Deadline, path: str, error: type[Exception]
) -> None:
    with (
        deadline.until(time.monotonic() + 0.3),
        pytest.raises(error),
        closing(transport.handle_request(request(f"{server}/{path}"))) as response,
    ):
        response.read()


def test_a_private_address_is_a_connection_error(server: str, deadline: Deadline) -> None:
    backend = GuardedBackend(deadline=deadline, allow_private_hosts=False)
    before = PictureServer.asked.total()
    with closing(GuardedTransport(backend, ssl_context=httpx.create_ssl_context(), max_kept=4)) as guarded:
        for new_connection in (False, True):
            with pytest.raises(PrivateHost):
                guarded.handle_request(request(f"{server}/ok.jpg", new_connection=new_connection))
    assert issubclass(PrivateHost, httpx.ConnectError)
    assert PictureServer.asked.total() == before
