"""The one client of object storage: obstore's stores, made once for a bucket, with credentials from the usual places.

Requests that fail with a 5xx or a 429, that find no connection or stall, are tried again with growing pauses by
obstore itself, a body that breaks off from the byte where it did. What remains becomes a `StorageError`, whose message
has the address, the operation and the status, never the answer's text, a header or a signed URL.
"""

import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from prodemb.core.errors import ConfigError, ConflictError, MissingObjectError, StorageError
from prodemb.storage.address import Address

T = TypeVar("T")

CONNECT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a store is waited for."""

    stalled_s: float = 30.0
    """How long a request may stand still while it is answered."""
    request_s: float = 300.0
    """How long one request may take, its body included; few carry more than `objects.PART_BYTES`."""
    max_retries: int = 8
    retry_s: float = 120.0
    """After so long no request is begun again."""


PATIENCE = Patience()
"""That of everything but pictures and what is large to write."""
UPLOADS = Patience(stalled_s=300.0)
"""That of writing more than a megabyte: to the client a request stands still while its own bytes are on their way."""

_ENVIRONMENT = re.compile(r"(AWS|GOOGLE|AZURE|HTTPS?|NO|ALL)_.*", re.IGNORECASE)
_STATUS = re.compile(r"status code: (\d{3} [A-Za-z '-]+)")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_stores: dict[Any, Any] = {}
_users: set[int] = set()
"""This process, once it has asked a store; another one where this is a fork of it."""
_lock = threading.Lock()


def store_of(address: Address, *, patience: Patience | None = None) -> Any:
    """The obstore store of the bucket of an address; the same one as long as the environment is the same.

    Args:
        patience: default: `PATIENCE`.

    Raises:
        ConfigError: the extra is not installed, or a setting of the environment cannot be used.
        StorageError: no credentials are found.
    """
    environment = hash(frozenset((key, value) for key, value in os.environ.items() if _ENVIRONMENT.fullmatch(key)))
    chosen = patience or PATIENCE
    key = (os.getpid(), address.scheme, address.bucket, environment, chosen)
    with _lock:
        if key not in _stores:
            _stores[key] = _make_store(address, chosen)
        return _stores[key]


def call(operation: str, address: Address, function: Callable[[], T]) -> T:
    """What a function of obstore's returns. While it waits, the main thread can be interrupted by a signal.

    Args:
        operation: what is done, such as "read", for the message of an error.

    Raises:
        MissingObjectError: there is no such object, or no such bucket.
        ConflictError: a condition of the request is not met.
        StorageError: anything else that the store says, or that it says nothing.
    """
    if _users and os.getpid() not in _users:
        raise RuntimeError("object storage is used in a forked process, where obstore's threads are not; wanted spawn")
    _users.add(os.getpid())
    try:
        if threading.current_thread() is threading.main_thread():
            return result_of(in_thread(function))  # obstore's calls let no signal through before they end
        return function()
    except Exception as error:
        _translate(error, operation=operation, address=address)


def in_thread(function: Callable[[], T]) -> Future[T]:
    """Begin a function in a thread of its own, which a process that ends does not wait for, as it does for a pool's."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="storage").start()
    return future


def result_of(future: Future[T]) -> T:
    """What a function that was begun returns or raises; an interrupt is noticed meanwhile.

    It waits for a second at a time: once polars is loaded, the system goes on with a wait without an end after SIGINT.
    """
    while not future.done():
        wait([future], timeout=1.0)
    return future.result()


def _make_store(address: Address, patience: Patience) -> Any:
    try:
        from obstore import store
    except ImportError:
        raise ConfigError(
            f"{address}: object storage needs obstore; install it with: pip install 'prodemb[storage]'"
        ) from None
    options: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=patience.stalled_s),
        "timeout": timedelta(seconds=patience.request_s),
        "allow_http": _allows_http(),
        "user_agent": "prodemb",
    }
    backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=10), "base": 2}
    retries: Any = {
        "max_retries": patience.max_retries,
        "retry_timeout": timedelta(seconds=patience.retry_s),
        "backoff": backoff,
    }
    common: dict[str, Any] = {"client_options": options, "retry_config": retries}
    try:
        match address.scheme:
            case "s3":
                return store.S3Store(
                    address.bucket, copy_if_not_exists="multipart", **common, **_aws_credentials(address)
                )
            case "gs":
                return store.GCSStore(address.bucket, **common)
            case _:
                return store.AzureStore(address.bucket, **common)
    except StorageError:
        raise
    except Exception as error:  # its text may quote a value of the environment
        raise ConfigError(
            f"{address}: the settings of the environment for {address.scheme}:// cannot be used "
            f"({type(error).__name__}); wanted those that docs/storage.md lists"
        ) from None


def _aws_credentials(address: Address) -> dict[str, Any]:
    """Where S3's credentials come from: the environment, else whatever boto3 finds."""
    values = {key.upper(): value for key, value in os.environ.items() if value}
    if {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= values.keys() or _is_on(values.get("AWS_SKIP_SIGNATURE")):
        return {}
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise ConfigError(
            f"{address}: the usual files of credentials need boto3; install it with: pip install 'prodemb[storage]'"
        ) from None
    try:
        session = boto3.Session()
        if session.get_credentials() is not None:
            return {"credential_provider": Boto3CredentialProvider(session)}
    except Exception as error:
        raise StorageError(
            f"{address}: the credentials for S3 cannot be read ({type(error).__name__}); wanted AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a profile that is there in AWS_PROFILE"
        ) from None
    raise StorageError(
        f"{address}: no credentials for S3 found; wanted AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in "
        "~/.aws, or a role of the machine; AWS_SKIP_SIGNATURE=true reads a public bucket"
    )


def _allows_http() -> bool:
    """Whether requests may go without TLS: where the environment says so, or to this machine alone."""
    if any(_is_on(os.environ.get(name)) for name in ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP")):
        return True
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
    endpoints = [os.environ[name] for name in (*names, "GOOGLE_BASE_URL") if os.environ.get(name)]
    return bool(endpoints) and all(_is_loopback(endpoint) for endpoint in endpoints)


def _is_on(value: str | None) -> bool:
    return (value or "").lower() in ("1", "true", "yes", "on")


def _is_loopback(endpoint: str) -> bool:
    try:
        host = urlsplit(endpoint).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _translate(error: Exception, *, operation: str, address: Address) -> NoReturn:
    """Raise what a failure of obstore's means. Its text quotes URLs and the answer's body, so none of it is shown."""
    from obstore import exceptions

    text = str(error)
    code = found[1] if (found := _CODE.search(text)) else None
    if code == "NoSuchBucket" or "ContainerNotFound" in text or "bucket does not exist" in text:
        raise MissingObjectError(
            f"{address}: no bucket {address.bucket!r} found; wanted one that exists, in the region of AWS_REGION",
            reason=NO_BUCKET,
        ) from None
    if isinstance(error, FileNotFoundError):
        raise MissingObjectError(f"{address}: no such object found", reason="no such object") from None
    if isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
        raise ConflictError(
            f"{address}: somebody else wrote or deleted it meanwhile, so it was not {_DONE[operation]}",
            reason="changed meanwhile",
        ) from None
    if not isinstance(error, (exceptions.BaseError, TimeoutError, ConnectionError)):
        raise error
    found_, help_, is_temporary = _reason(error, text=text, code=code)
    raise StorageError(
        f"{address}: cannot be {_DONE[operation]}: {found_}; {help_}", reason=found_, is_temporary=is_temporary
    ) from None


NO_BUCKET = "no such bucket"
"""The reason of an error where it is the bucket that is missing, not an object of it."""
_TOO_LATE, _NO_CONNECTION = "no answer in time", "no connection"
NO_ANSWER = (_TOO_LATE, _NO_CONNECTION)
"""Reasons of errors after which nobody knows whether the request was carried out."""
_PERMANENT = re.compile("4(?!08|25|29)|501|505")
_TEMPORARY_CODES = ("RequestTimeout", "SlowDown", "OperationAborted")
"""What S3 says with a status of 4xx, though it passes."""
_OF_CREDENTIALS = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId")
_DONE = {"read": "read", "write": "written", "list": "listed", "delete": "deleted", "copy": "copied"}


def _reason(error: Exception, *, text: str, code: str | None) -> tuple[str, str, bool]:
    """What was found, what helps, and whether it may pass."""
    from obstore import exceptions

    status = found[1].strip() if (found := _STATUS.search(text)) else ""
    what = ", ".join(each for each in (status, code) if each)
    if isinstance(error, exceptions.UnauthenticatedError) or status.startswith("401") or code in _OF_CREDENTIALS:
        return what or "401 Unauthorized", "wanted valid credentials", False
    if isinstance(error, exceptions.PermissionDeniedError) or status.startswith("403"):
        return what or "403 Forbidden", "wanted credentials that may do this with this bucket and key", False
    if "redirect" in text and "LOCATION" in text:
        return "the bucket is elsewhere", "wanted its region in AWS_REGION", False
    if "builder error" in text:
        return "the endpoint is not https", "wanted https, or AWS_ALLOW_HTTP=true", False
    if isinstance(error, exceptions.InvalidPathError):
        return "found a key with an empty, '.' or '..' part", "wanted names between single slashes", False
    if status:
        if _PERMANENT.match(status) and code not in _TEMPORARY_CODES:
            return what, "the store refuses this request; trying again does not help", False
        return what, "it was tried again as often as makes sense; try later", True
    if re.search("timed ?out", text, re.IGNORECASE):
        return _TOO_LATE, "it was tried several times; wanted a store that answers, or another endpoint", True
    if "redentials" in text or "instance metadata" in text or "169.254" in text:
        return "no credentials found", "wanted them in the environment or the usual files (docs/storage.md)", False
    if re.search("sending request|connect|dns", text, re.IGNORECASE):
        return _NO_CONNECTION, "wanted a store that answers; is the endpoint or the region right?", True
    return "an answer that makes no sense", "is the endpoint one of object storage?", False
