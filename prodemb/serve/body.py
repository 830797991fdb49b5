"""The body of a request: who may send one, and its bytes within bounds of size and time."""

import asyncio
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from prodemb.serve.config import ServeConfig
from prodemb.serve.load import Reservation
from prodemb.serve.problem import RequestProblem

JSON, MULTIPART = "application/json", "multipart/form-data"
_LONGEST_SHOWN = 80


class KnownHosts:
    """Answers those requests only that call the server by one of its names.

    A page whose site's name leads to this machine (DNS rebinding) calls it by that one.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        """
        Args:
            hosts: without a port, in lower case.
        """
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            found = Request(scope).headers.get("host", "")
            if _without_port(found) not in self._hosts:
                shown = repr(found[:_LONGEST_SHOWN])
                problem = RequestProblem(400, f"host: found {shown}; wanted a name of this server ([serve] hosts)")
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(netloc: str) -> str:
    """The host of `host:port`, in lower case."""
    return re.sub(r":\d*$", "", netloc).lower()


def check_sender(request: Request, *, hosts: Collection[str]) -> None:
    """Refuse what a page of another site sends through its visitor's browser, who is on this machine.

    A browser sends forms without asking the server first, and says where they come from (Fetch standard, section 3.2,
    and Fetch Metadata, section 2).

    Args:
        hosts: names that the server has for browsers, whatever a proxy calls it by.

    Raises:
        RequestProblem: it comes from another site.
    """
    origin, own = request.headers.get("origin"), request.headers.get("host", "")
    try:
        netloc = None if origin is None else urlsplit(origin).netloc
        is_own = netloc is None or netloc == own or _without_port(netloc) in hosts
    except ValueError:
        is_own = False
    if not is_own or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise RequestProblem(403, "found a request of another site's page; wanted a program's, or of this site")


def media_type_of(request: Request) -> str:
    """`JSON` or `MULTIPART`.

    Raises:
        RequestProblem: it is neither, or packed.
    """
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in (JSON, MULTIPART):
        raise RequestProblem(415, f"content-type: found {found!r}; wanted {JSON} or {MULTIPART}")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestProblem(415, f"content-encoding: found {coding!r}; wanted a body that is not packed")
    return found


async def read_body(request: Request, *, reservation: Reservation, config: ServeConfig) -> bytes:
    """All bytes of a request's body, whatever it says of its length.

    Raises:
        RequestProblem: they are too many, or not there in time.
        ClientDisconnect: the client has gone.
    """
    limit = config.max_body_bytes
    too_large = RequestProblem(413, f"body: found more than {limit:,} bytes; wanted at most so many")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > len(str(limit)) or int(declared) > limit):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(config.body_timeout_s):
            async for piece in request.stream():
                reservation.take(num_bytes=len(piece))
                body += piece
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise RequestProblem(
            408, f"body: found {len(body):,} bytes after {config.body_timeout_s:g} s; wanted all of it by then"
        ) from None
    return bytes(body)
