"""Getting the bytes of a product's picture: from a local path, an http(s) address or the catalog itself."""

import errno
import os
import random
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Self

import httpx
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from prodemb import __version__
from prodemb.catalog.circuit_breaker import CircuitBreaker, retry_after_s
from prodemb.catalog.lookups import LookupTimeout, UnknownHost
from prodemb.catalog.network import Deadline, GuardedBackend, GuardedTransport, PrivateHost
from prodemb.catalog.pictures import data_of, is_base64
from prodemb.catalog.stored_pictures import NoStoredPicture, StoredPictures
from prodemb.catalog.urls import ADDRESS, is_address, is_showable
from prodemb.core.config import Config
from prodemb.core.regular import NotRegularError, open_regular
from prodemb.storage.address import Address, Place
from prodemb.storage.address import is_address as is_stored
from prodemb.storage.client import Patience

FIRST_WAIT_S = 0.5
"""Pause before the first new attempt; doubles each time, and is shortened at random by up to a half."""
WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})
HEADERS = {"User-Agent": f"prodemb/{__version__}", "Accept": "image/*", "Accept-Encoding": "identity"}
"""`identity` so that the size limit holds for what arrives and nothing has to be unpacked."""


class ImagesConfig(Config):
    """How pictures are fetched, and from where they may come (`[images]`)."""

    allow_outside_root: bool = False
    """Whether paths may leave the image root: by `..`, an absolute path or a link; and addresses of buckets."""
    allow_private_hosts: bool = False
    """Whether addresses of this machine and of private networks may be fetched."""
    concurrency: PositiveInt = 32
    """Downloads at a time."""
    host_share: float = Field(default=0.5, gt=0, le=1)
    """The part, one place at least, that one host may take of those that other hosts' pictures leave: half of all where
    it is alone. A host that has not answered yet has one place. A picture counts for the host in its own address,
    wherever a redirect leads."""
    timeout_s: PositiveFloat = 10.0
    """Seconds to wait for the look-up of a name, for a connection, and for each next piece of an answer."""
    deadline_s: PositiveFloat = 60.0
    """Seconds for one picture, with all its attempts and the pauses between them."""
    retries: NonNegativeInt = 3
    """New attempts after a time-out, a broken connection, or an answer that says to come back later."""
    max_host_failures: PositiveInt = 20
    """Pictures in a row that a host may fail to give, with all attempts, before it is left alone for a while. One that
    keeps them waiting for `deadline_s`, all together, while it answers nothing is left alone then."""
    host_reset_s: PositiveFloat = 60.0
    """Seconds for which it then is not asked, and its pictures are absent at once; after that one picture tries it."""
    max_redirects: NonNegativeInt = 5
    """Redirects to follow for one picture."""
    max_bytes: PositiveInt = 20_000_000
    """Size limit of one picture."""
    max_failure_rate: float | None = Field(default=None, ge=0, le=1)
    """The error budget: a run stops once a larger part of the pictures that it tried has failed; None never stops."""
    min_tried: PositiveInt = 200
    """Pictures tried before the budget counts."""


class AbsentImage(Exception):  # noqa: N818 - names what the product has, as shards and reports do
    """There is no usable picture.

    `reason` is short and the same for all pictures with the same trouble, so that reasons can be counted. `detail`
    names the file or the host. Neither holds the user, password or query of an address.
    """

    def __init__(self, reason: str, *, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def failure_reason(error: Exception) -> str:
    """The reason to record for a picture whose loading or decoding raised this error.

    One picture must not end a run, whatever its server or its bytes make a library raise.
    """
    return error.reason if isinstance(error, AbsentImage) else f"cannot be loaded ({type(error).__name__})"


class _TemporaryFailure(AbsentImage):
    """A failure that may pass; the server may have said after how many seconds."""

    def __init__(self, reason: str, *, detail: str, after_s: float = 0.0) -> None:
        super().__init__(reason, detail=detail)
        self.after_s = after_s
        self.waited_s = 0.0
        """For how long the host was waited for in all attempts, the pauses between them not counted."""


class ImageLoader:
    """Loads pictures; one loader serves many threads.

    Use it in a `with` block. At its end connections are closed, and what is still being fetched soon gives up.
    """

    def __init__(self, config: ImagesConfig, *, root: Place) -> None:
        """Relative paths are taken from the folder `root`.

        Raises:
            ConfigError, StorageError: it lies in a bucket that cannot be asked: no client, or no credentials.
        """
        self._config = config
        in_bucket = root if isinstance(root, Address) else None
        self._root = None if isinstance(root, Address) else root.resolve()
        patience = Patience(
            stalled_s=config.timeout_s,
            request_s=config.deadline_s,
            max_retries=config.retries,
            retry_s=config.deadline_s,
        )
        self._stored = StoredPictures(
            in_bucket, outside=config.allow_outside_root, max_bytes=config.max_bytes, patience=patience
        )
        self._stopped = threading.Event()
        self._deadline = Deadline(self._stopped)
        self._breaker = CircuitBreaker(
            max_failures=config.max_host_failures, max_silent_s=config.deadline_s, reset_s=config.host_reset_s
        )
        self._downloads = threading.Semaphore(config.concurrency)
        self._opening = threading.Lock()
        self._transport: GuardedTransport | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with self._opening:
            if self._transport is not None:
                self._transport.close()
                self._transport = None

    def load(self, value: str | bytes) -> bytes:
        """The bytes of the picture that a catalog's image value stands for.

        A text is a path, an http(s) address (`//host/path` is taken as https), an object's (`s3://`, `gs://`, `az://`)
        or a `data:` address. Bytes are checked and handed back.

        Raises:
            AbsentImage: there is none to be had; says why.
        """
        if isinstance(value, bytes):
            return self._of_allowed_size(value, detail="")
        value = value.strip()
        if value.startswith("//"):
            return self._download(f"https:{value}")
        if value[:5].lower() == "data:":
            return self._of_data_address(value)
        address = ADDRESS.match(value)
        if is_stored(value) or (address is None and self._root is None):
            return self._load_stored(value)
        if address is None:
            return self._read(value)
        if value[: address.end()].lower() in ("http://", "https://"):
            return self._download(value)
        raise AbsentImage("unsupported address", detail=(address[1] or address[2]).lower())

    def answers(self, host: str) -> bool:
        """Whether a host has answered, and the last picture that it was asked for did not fail."""
        return self._breaker.answers(host)

    @property
    def config(self) -> ImagesConfig:
        """Its settings."""
        return self._config

    @property
    def rules(self) -> str:
        """The settings that decide which pictures are let in: where they change, a picture may come or go."""
        config = self._config
        return f"{config.allow_outside_root} {config.allow_private_hosts} {config.max_bytes}"

    def stamp(self, value: str) -> str:
        """Size and time of a local picture, which tell that it changed; empty for any other and where there is none."""
        value = value.strip()
        if is_address(value) or self._root is None:
            return ""
        try:
            status = self._locate(value).stat()
        except (AbsentImage, OSError, ValueError, RuntimeError):
            return ""
        return f"{status.st_size} {status.st_mtime_ns}"

    def _of_allowed_size(self, data: bytes, *, detail: str) -> bytes:
        if not data:
            raise AbsentImage("empty file", detail=detail)
        if len(data) > self._config.max_bytes:
            raise AbsentImage("too large", detail=detail)
        return data

    def _of_data_address(self, value: str) -> bytes:
        data = data_of(value)
        if data is None:
            raise AbsentImage("damaged data address")
        return self._of_allowed_size(data, detail="")

    def _load_stored(self, value: str) -> bytes:
        """An object's bytes; a bucket counts as a host."""
        if is_base64(value):
            raise AbsentImage("base64 that is no picture")
        try:
            address = self._stored.address_of(value)
        except NoStoredPicture as error:
            raise AbsentImage(error.reason, detail=error.detail) from None
        if not self._breaker.allows(address.bucket):
            raise AbsentImage("host does not answer", detail=address.bucket)
        with self._downloads:
            started = time.monotonic()
            try:
                data = self._stored.load(address)
            except NoStoredPicture as error:
                if error.is_temporary:
                    self._breaker.record_failure(address.bucket, waited_s=time.monotonic() - started)
                else:
                    self._breaker.record_success(address.bucket)
                raise AbsentImage(error.reason, detail=error.detail) from None
        self._breaker.record_success(address.bucket)
        return self._of_allowed_size(data, detail=str(address))

    def _read(self, value: str) -> bytes:
        if is_base64(value):
            raise AbsentImage("base64 that is no picture")
        detail = value if is_showable(value) else ""
        try:
            path, root = self._locate(value), self._root
            assert root is not None
            # What is read is what was found to lie beneath the root, whatever becomes of the names meanwhile.
            with open_regular(path, beneath=root if path.is_relative_to(root) else None) as file:
                # The files of /proc have no size, and some of them no end.
                num_bytes = os.fstat(file.fileno()).st_size
                data = file.read(self._config.max_bytes + 1) if 0 < num_bytes <= self._config.max_bytes else b""
            if num_bytes > self._config.max_bytes:
                raise AbsentImage("too large", detail=detail)
            return self._of_allowed_size(data, detail=detail)
        except NotRegularError as error:
            raise AbsentImage("not a file", detail=detail) from error
        except OSError as error:
            missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
            raise AbsentImage("file not found" if missing else "cannot be read", detail=detail) from error
        except (ValueError, RuntimeError) as error:
            # No file can have such a name: a NUL or a lone surrogate in it, or a circle of links.
            raise AbsentImage("file not found", detail=repr(detail)) from error

    def _locate(self, value: str) -> Path:
        """The path without links, checked to lie under the root, for which a leading slash may stand, as Magento's."""
        assert self._root is not None
        path = (self._root / value).resolve()
        if value.startswith("/") and not path.is_relative_to(self._root):
            below = (self._root / value.lstrip("/")).resolve()
            path = below if below.is_relative_to(self._root) and below.exists() else path
        if not (self._config.allow_outside_root or path.is_relative_to(self._root)):
            raise AbsentImage("outside the image root", detail=value if is_showable(value) else "")
        if "\\" in value and not path.exists():
            return self._locate(value.replace("\\", "/"))
        return path

    def _download(self, address: str) -> bytes:
        try:
            url = httpx.URL(address)
            host = url.host  # Decoded only here; malformed punycode is a ValueError.
        except (httpx.InvalidURL, ValueError) as error:
            raise AbsentImage("invalid address") from error
        if not self._breaker.allows(host):
            raise AbsentImage("host does not answer", detail=host)
        try:
            data = self._fetch_patiently(url)
        except _TemporaryFailure as failure:
            self._breaker.record_failure(host, waited_s=failure.waited_s)
            raise
        except AbsentImage:
            self._breaker.record_success(host)
            raise
        self._breaker.record_success(host)
        return data

    def _fetch_patiently(self, url: httpx.URL) -> bytes:
        """As many attempts as it takes, within the deadline, which does not begin before this picture's turn."""
        with self._downloads:
            self._open_transport()  # Reading the certificates takes a while, which is no picture's fault.
            until = time.monotonic() + self._config.deadline_s
            waited_s = 0.0
            with self._deadline.until(until):
                for attempt in range(self._config.retries + 1):
                    started = time.monotonic()
                    try:
                        return self._fetch(url, anew=attempt > 0)
                    except _TemporaryFailure as failure:
                        waited_s += time.monotonic() - started
                        failure.waited_s = waited_s
                        wait = max(failure.after_s, FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1))
                        if attempt == self._config.retries or time.monotonic() + wait >= until:
                            raise
                    if self._stopped.wait(wait):
                        raise AbsentImage("stopped")
        raise AssertionError("the last attempt returns or raises")

    def _fetch(self, url: httpx.URL, *, anew: bool) -> bytes:
        """One attempt, redirects included; `anew` on new connections."""
        for _ in range(self._config.max_redirects + 1):
            if url.scheme not in ("http", "https") or not url.host:
                raise AbsentImage("unsupported address", detail=url.scheme)
            if url.port is not None and url.port > 65_535:
                raise AbsentImage("invalid address", detail=url.host)
            answer = self._get(url, anew=anew)
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise AbsentImage("too many redirects", detail=url.host)

    def _get(self, url: httpx.URL, *, anew: bool) -> bytes | httpx.URL:
        """One request: the picture, or where the server says it is."""
        try:
            return self._request(url, anew=anew)
        except PrivateHost as error:
            raise AbsentImage("private address", detail=url.host) from error
        except UnknownHost as error:
            raise _TemporaryFailure("no such host", detail=url.host) from error
        except LookupTimeout as error:
            raise _TemporaryFailure("name look-up timed out", detail=url.host) from error
        except httpx.TimeoutException as error:
            raise _TemporaryFailure("timed out", detail=url.host) from error
        except httpx.ConnectError as error:
            raise _TemporaryFailure("no connection", detail=url.host) from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise _TemporaryFailure("connection broken off", detail=url.host) from error
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, ValueError) as error:
            raise AbsentImage("invalid address", detail=url.host) from error

    def _request(self, url: httpx.URL, *, anew: bool) -> bytes | httpx.URL:
        timeout = httpx.Timeout(self._config.timeout_s).as_dict()
        request = httpx.Request("GET", url, headers=HEADERS, extensions={"timeout": timeout, "new_connection": anew})
        if url.userinfo:
            request = next(httpx.BasicAuth(url.username, url.password).sync_auth_flow(request))
        with closing(self._open_transport().handle_request(request)) as response:
            if response.has_redirect_location:
                target = url.join(response.headers["location"])
                _ = target.host  # As in `_download`: a host that cannot be decoded is found out here.
                return target
            if response.status_code in WORTH_RETRYING:
                after_s = retry_after_s(response.headers.get("retry-after", ""))
                raise _TemporaryFailure(f"HTTP {response.status_code}", detail=url.host, after_s=after_s)
            if response.status_code != 200:
                raise AbsentImage(f"HTTP {response.status_code}", detail=url.host)
            return self._body(response, detail=url.host)

    def _body(self, response: httpx.Response, *, detail: str) -> bytes:
        body = bytearray()
        for piece in response.iter_raw():
            body += piece
            if len(body) > self._config.max_bytes:
                raise AbsentImage("too large", detail=detail)
        return self._of_allowed_size(bytes(body), detail=detail)

    def _open_transport(self) -> GuardedTransport:
        with self._opening:
            if self._transport is None:
                guard = GuardedBackend(deadline=self._deadline, allow_private_hosts=self._config.allow_private_hosts)
                self._transport = GuardedTransport(
                    guard, ssl_context=httpx.create_ssl_context(), max_kept=self._config.concurrency
                )
            return self._transport
