"""The server: an application on a socket until a signal comes, for clients that may be slow."""

import asyncio
import ipaddress
import math
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from prodemb.core.errors import ConfigError
from prodemb.core.text import one_line
from prodemb.serve.config import ServeConfig

LINGER_S = 2.0
"""For which the rest of a body that nobody reads is thrown away, so that its sender reads the answer."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@contextmanager
def bound_socket(config: ServeConfig) -> Iterator[socket.socket]:
    """A socket at the address of `[serve] host` and `port`, where clients wait until a server answers.

    Raises:
        ConfigError: there is no such address here, or it is taken.
    """
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"[serve] host: found {config.host!r}: {one_line(error)}; wanted an address here") from None
    with sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen()  # until then a second one could be bound there
        except OSError as error:
            raise ConfigError(
                f"[serve] port: found {config.port} at {config.host}: {error.strerror}; wanted one that is free"
            ) from None
        yield sock


def is_loopback(sock: socket.socket) -> bool:
    """Whether a socket is reached from this machine only."""
    return ipaddress.ip_address(sock.getsockname()[0]).is_loopback


def address_of(sock: socket.socket) -> str:
    """Where a socket is, as `http://host:port`."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def allowed_hosts(sock: socket.socket, *, config: ServeConfig) -> tuple[str, ...] | None:
    """By which names a server at a socket may be called, without a port, in lower case; None for any."""
    host = sock.getsockname()[0]
    return (*LOOPBACK_NAMES, f"[{host}]" if ":" in host else host, *config.hosts) if is_loopback(sock) else None


class Server(uvicorn.Server):
    """Serves until SIGINT or SIGTERM; requests in flight are answered, unless a second signal ends the process."""

    def __init__(self, app: FastAPI, *, config: ServeConfig, on_ready: Callable[[], None]) -> None:
        """`run(sockets=[...])` serves; `on_ready` is called once requests are answered."""
        settings = uvicorn.Config(
            app,
            http=_protocol(config.body_timeout_s),
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(config.answer_timeout_s),
        )
        super().__init__(settings)
        self._on_ready = on_ready

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See `uvicorn.Server`, which sends the signal again at its end."""
        self.should_exit = True
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def _protocol(timeout_s: float) -> type[H11Protocol]:
    """HTTP/1.1 for clients that have so long to send a request's header lines, and to take the next of an answer."""

    class PromptProtocol(H11Protocol):
        """Ends connections on which nothing moves; uvicorn waits for a first request, and for readers, without end."""

        _closing: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._close_in(timeout_s)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._stay_while_answering()

        def on_response_complete(self) -> None:
            self._close_in(LINGER_S if self.conn.their_state is h11.SEND_BODY else timeout_s)
            super().on_response_complete()
            self._stay_while_answering()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._close_in(timeout_s)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stay_while_answering()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._cancel()

        def _stay_while_answering(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._cancel()

        def _close_in(self, seconds: float) -> None:
            self._cancel()
            self._closing = self.loop.call_later(seconds, self.transport.abort)

        def _cancel(self) -> None:
            if self._closing is not None:
                self._closing.cancel()
                self._closing = None

    return PromptProtocol
