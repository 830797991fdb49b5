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

from prodemb.catalog.lookups import Lookups, UnknownHost

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: IPv4 addresses written inside IPv6 ones."""


class PrivateHost(httpcore.ConnectError):
    """The name leads to an address that is not on the public internet."""


def is_public(address: str) -> bool:
    """Whether an IP address, and any IPv4 address written inside it, is on the public internet."""
    outer = ipaddress.ip_address(address)
    # Python calls a mapped address reserved as a whole, so the address inside decides.
    inside = _written_inside(outer)
    tested: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [*inside] if inside else [outer]
    return all(part.is_global and not part.is_multicast for part in tested)


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
        if left <= 0:
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

    def __init__(self, stream: httpcore.NetworkStream, *, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.within(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.within(timeout))
        return _TimedStream(secured, deadline=self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
