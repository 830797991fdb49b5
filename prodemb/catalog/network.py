"""Connections to picture servers that reach public addresses only, and never outlast a deadline."""

import ipaddress
import math
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from prodemb.catalog.lookups import Lookups, UnknownHost

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: IPv4 addresses written inside IPv6 ones."""
UNICAST = ipaddress.IPv6Network("2000::/3")
"""RFC 4291, 2.4: where all public IPv6 addresses lie. Python also calls old forms of private ones global."""
WITHIN_CLOUDS = (
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure's wire server
    ipaddress.IPv4Network("192.0.0.0/24"),  # RFC 6890; Oracle's metadata at 192.0.0.192. Older Pythons call it global.
)
"""Answered by a machine's own cloud, whatever their numbers say. The others' metadata servers are not public anyway:
169.254.169.254 is link-local, 100.100.100.200 shared, fd00:ec2::254 and fd20:ce::254 unique local."""
KEPT_SECONDS = 15.0
"""A connection that rests for so long is given up: the server, or a router on the way, may have done so before."""


class PrivateHost(httpx.ConnectError):
    """The name leads to an address that is not on the public internet."""


def is_public(address: str) -> bool:
    """Whether an IP address, and any IPv4 address written inside it, is on the public internet."""
    outer = ipaddress.ip_address(address)
    # Python calls a mapped address reserved as a whole, so the address inside decides.
    inside = _written_inside(outer)
    tested: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [*inside] if inside else [outer]
    return all(
        part.is_global
        and not part.is_multicast
        and (part.version == 4 or part in UNICAST)
        and not any(part in network for network in WITHIN_CLOUDS)
        for part in tested
    )


def _written_inside(outer: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that the transition schemes write inside an IPv6 address."""
    if isinstance(outer, ipaddress.IPv4Address):
        return []
    teredo = outer.teredo[1] if outer.teredo else None
    nat64 = ipaddress.IPv4Address(int(outer) & 0xFFFFFFFF) if outer in NAT64 else None
    return [part for part in (outer.ipv4_mapped, outer.sixtofour, teredo, nat64) if part is not None]


class Deadline(threading.local):
    """The moment by which what this thread asked for has to be there; each thread has its own."""

    at: float = math.inf

    def __init__(self, stopped: threading.Event) -> None:
        """Once `stopped` is set, every thread's deadline has passed."""
        self._stopped = stopped

    @contextmanager
    def until(self, at: float) -> Iterator[None]:
        """Hold this thread's network reads and writes to `at`, in seconds of `time.monotonic`."""
        before, self.at = self.at, at
        try:
            yield
        finally:
            self.at = before

    def within(self, timeout: float | None) -> float:
        """`timeout`, or the seconds left where that is less. Raises httpcore.ReadTimeout when none are left."""
        left = self.at - time.monotonic()
        if left <= 0 or self._stopped.is_set():
            raise httpcore.ReadTimeout("the deadline has passed")
        return left if timeout is None else min(left, timeout)


class GuardedBackend(httpcore.NetworkBackend):
    """Resolves a name once, checks the addresses and connects to one of those checked.

    Since the checked address itself is connected to, a name that resolves otherwise the second time (DNS rebinding)
    and a redirect gain nothing.
    """

    def __init__(self, *, deadline: Deadline, allow_private_hosts: bool) -> None:
        self._plain = httpcore.SyncBackend()
        self._lookups = Lookups()
        self._deadline = deadline
        self._allow_private_hosts = allow_private_hosts

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first checked address that answers.

        Raises:
            UnknownHost: the name has no address.
            LookupTimeout: it is not known in time whether it has one.
            PrivateHost: none of its addresses is public.
            httpcore.ConnectError, httpcore.ConnectTimeout: none of them answers.
        """
        addresses = self._addresses(host, port, timeout=self._deadline.within(timeout))
        for position, address in enumerate(addresses, start=1):
            try:
                stream = self._plain.connect_tcp(
                    address, port, self._deadline.within(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(addresses):
                    raise
            else:
                return _TimedStream(stream, deadline=self._deadline)
        raise UnknownHost(host)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def _addresses(self, host: str, port: int, *, timeout: float) -> list[str]:
        addresses = self._lookups.addresses(host, port, timeout=timeout)
        allowed = [each for each in addresses if self._allow_private_hosts or is_public(each.partition("%")[0])]
        if addresses and not allowed:
            raise PrivateHost(host)
        return allowed


class _TimedStream(httpcore.NetworkStream):
    """A connection whose reads and writes end with the deadline of the thread that makes them."""

    is_answered = False
    """Whether anything has come since the last request was sent."""

    def __init__(self, stream: httpcore.NetworkStream, *, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, self._deadline.within(timeout))
        self.is_answered = True
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.is_answered = False
        self._stream.write(buffer, self._deadline.within(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.within(timeout))
        except httpcore.TimeoutException:
            self.close()
            raise
        return _TimedStream(secured, deadline=self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class GuardedTransport(httpx.BaseTransport):
    """Sends requests over a guarded backend, on connections that are kept for the next request to the same server.

    What a server sends beyond the length that it has stated belongs to no response (RFC 9112, 6.3), but would be read
    as the start of the next one. So where a kept connection gives no response, or one that was there before it was
    asked for, the request is sent again at once on a new connection; such a failure says nothing about the picture.

    Call it directly, not through `httpx.Client`: that logs whole URLs with their secrets, keeps cookies, and reads the
    bodies of redirects without a limit.
    """

    def __init__(self, backend: GuardedBackend, *, ssl_context: SSLContext, max_kept: int) -> None:
        """At most `max_kept` connections are kept."""
        self._kept = httpcore.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=None,
            max_keepalive_connections=max_kept,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=backend,
        )
        self._new = httpcore.ConnectionPool(
            ssl_context=ssl_context, max_connections=None, max_keepalive_connections=0, network_backend=backend
        )

    def close(self) -> None:
        """Close all connections."""
        self._kept.close()
        self._new.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request without a body; the caller reads the response and closes it.

        Args:
            request: its extension `timeout` has httpx's meaning; `new_connection` says whether to use no kept one.

        Raises:
            httpx.TransportError: there is no response.
        """
        with _raising_httpx_errors():
            response = None if request.extensions.get("new_connection") else self._on_kept(request)
            if response is None:
                response = self._new.handle_request(_core_request(request))
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def _on_kept(self, request: httpx.Request) -> httpcore.Response | None:
        """The response; None where a kept connection had no good one."""
        is_new = False

        def note(event: str, _: object) -> None:
            nonlocal is_new
            is_new = is_new or event == "connection.connect_tcp.started"

        core_request = _core_request(request)
        core_request.extensions["trace"] = note
        try:
            response = self._kept.handle_request(core_request)
        except (httpcore.NetworkError, httpcore.RemoteProtocolError):
            if is_new:
                raise
            return None
        stream = response.extensions["network_stream"]
        if isinstance(stream, _TimedStream) and not stream.is_answered:
            stream.close()
            response.close()
            return None
        return response


class _Body(httpx.SyncByteStream):
    """The body of a response, as it comes."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _raising_httpx_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


def _core_request(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        extensions={"timeout": request.extensions.get("timeout", {})},
    )


@contextmanager
def _raising_httpx_errors() -> Iterator[None]:
    """Within, an error of httpcore is raised as the one of httpx that has the same name."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error)) from error
