"""Objects of a bucket: asking for them, reading, writing under a condition, copying, listing, deleting."""

import hashlib
import secrets
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from prodemb.core.bounded import MAX_BYTES
from prodemb.core.errors import ConflictError, DamagedObjectError, MissingObjectError, StorageError
from prodemb.core.files import sha256_of
from prodemb.storage.address import Address
from prodemb.storage.client import NO_ANSWER, PATIENCE, UPLOADS, Patience, call, in_thread, result_of, store_of

PART_BYTES = 32 << 20
"""Bytes of one request of a download, and of one part of an upload."""
_PARTS_AT_ONCE = 4
_SMALL_BYTES = 1 << 20
"""Of one object, up and down, so that at most so many are in memory."""
_PAGE = 1000
_TOKEN = "prodembwrite"
_SHA256 = "prodembsha256"
"""Names of metadata: Azure takes letters, digits and `_` only, and some proxies drop `_`."""


@dataclass(frozen=True)
class Version:
    """What tells an object's content from what was written to its address before and after."""

    etag: str | None
    generation: str | None = None
    """Google's generation, or S3's version id where the bucket keeps versions."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a store says of an object."""

    address: Address
    num_bytes: int
    version: Version
    modified: datetime
    """When it was written, by the store's clock, in UTC; whole seconds."""


class Content(NamedTuple):
    """An object's bytes, and what they are a version of."""

    content: bytes
    info: ObjectInfo


def head(address: Address) -> ObjectInfo:
    """What a store says of an object; one request.

    Raises:
        MissingObjectError, StorageError: as all functions here.
    """
    store = store_of(address)
    return _info(address, call("read", address, lambda: store.head(address.key)))


def exists(address: Address) -> bool:
    """Whether there is such an object; one request."""
    try:
        head(address)
    except MissingObjectError:
        return False
    return True


def read(address: Address, *, max_bytes: int = MAX_BYTES, patience: Patience | None = None) -> Content:
    """A small object, whole; one request.

    Raises:
        StorageError: it is larger than `max_bytes`, or as `head`.
    """
    store = store_of(address, patience=patience)

    def get() -> tuple[Any, bytes]:
        result = store.get(address.key)
        too_large = result.meta["size"] > max_bytes
        return result.meta, b"" if too_large else bytes(result.bytes())

    meta, content = call("read", address, get)
    if meta["size"] > max_bytes:
        raise StorageError(f"{address}: found {meta['size']:,} bytes, wanted at most {max_bytes:,}", reason="too large")
    _check_size(address, found=len(content), wanted=meta["size"])
    return Content(content, _info(address, meta))


def read_range(info: ObjectInfo, *, start: int, length: int) -> bytes:
    """Bytes of an object from `start` on, fewer at its end; one request.

    Raises:
        ConflictError: it was written anew meanwhile.
    """
    end = min(start + length, info.num_bytes)
    return _part(info, start, end)[0] if start < end else b""


def download(info: ObjectInfo, to: Path, *, sha256: str | None = None) -> None:
    """Write a version of an object to a local file, which is overwritten; a request per `PART_BYTES`.

    Args:
        sha256: of the bytes, where it is known; else that of the object's metadata counts, where `upload` wrote it.

    Raises:
        ConflictError: the object was written anew meanwhile.
        DamagedObjectError: the bytes are not those that were uploaded.
    """
    digest, wanted = hashlib.sha256(), sha256
    with to.open("wb") as file:
        for part, attributes in _parts(info):
            wanted = wanted or attributes.get(_SHA256)
            digest.update(part)
            file.write(part)
    if wanted is not None and wanted != digest.hexdigest():
        raise DamagedObjectError(
            f"{info.address}: is damaged: found bytes with the SHA-256 {digest.hexdigest()[:12]}..., wanted "
            f"{wanted[:12]}...; upload it again",
            reason="damaged",
        )


def _parts(info: ObjectInfo) -> Iterator[tuple[bytes, dict[str, str]]]:
    """All parts of a version of an object in order, as `_part`; the next few are fetched meanwhile."""
    starts = range(0, max(1, info.num_bytes), PART_BYTES)
    spans = [(start, min(start + PART_BYTES, info.num_bytes)) for start in starts]
    if len(spans) == 1:
        yield _part(info, *spans[0])
        return
    begun = (in_thread(partial(_part, info, *span)) for span in spans)
    waiting = deque(islice(begun, _PARTS_AT_ONCE))
    while waiting:
        yield result_of(waiting.popleft())
        waiting.extend(islice(begun, 1))


def _part(info: ObjectInfo, start: int, end: int) -> tuple[bytes, dict[str, str]]:
    """Bytes of a version of an object, all of none where it is empty, and its metadata."""
    store = store_of(info.address)
    options: Any = {"range": (start, end)} if start < end else {}
    if info.version.etag is not None:
        options["if_match"] = info.version.etag

    def get() -> tuple[bytes, dict[str, str]]:
        result = store.get(info.address.key, options=options)
        return bytes(result.bytes()), _lower(result.attributes)

    content, attributes = call("read", info.address, get)
    _check_size(info.address, found=len(content), wanted=end - start)
    return content, attributes


def put_bytes(
    address: Address,
    content: bytes,
    *,
    create: bool = False,
    if_match: Version | None = None,
    sha256: str | None = None,
) -> Version:
    """Write an object whole; one request, and up to five more where no answer comes.

    Args:
        create: only where there is no such object.
        if_match: only where the object is still of this version.
        sha256: of the content, where it is known.

    Raises:
        ConflictError: the condition is not met: somebody else wrote it first.
    """
    store = store_of(address, patience=UPLOADS if len(content) > _SMALL_BYTES else None)
    token = secrets.token_hex(16)
    mode: Any = "create" if create else "overwrite" if if_match is None else _update(if_match)
    attributes = {_TOKEN: token, _SHA256: sha256 or hashlib.sha256(content).hexdigest()}
    deadline = time.monotonic() + PATIENCE.retry_s
    for is_last in (False, False, True):
        try:
            result = call("write", address, lambda: store.put(address.key, content, attributes=attributes, mode=mode))
            return Version(result["e_tag"], result["version"])
        except StorageError as error:
            if (version := _own_version(address, token=token)) is not None:
                return version  # it was written, but the answer was lost
            if isinstance(error, MissingObjectError) and if_match is not None:  # how S3 says that it was deleted
                raise ConflictError(f"{address}: was deleted meanwhile, so it was not written") from None
            if error.reason not in NO_ANSWER or is_last or time.monotonic() > deadline:
                raise
    raise AssertionError("the last one returns or raises")


def upload(path: Path, address: Address, *, sha256: str | None = None) -> ObjectInfo:
    """Write a local file to an object, in parts where it is large: a request per `PART_BYTES`, and one more or three.

    The file's SHA-256 becomes the object's metadata, which `download` checks. Readers find the old object or the new
    one, never a part.

    Args:
        sha256: of the file, where it is known.

    Raises:
        StorageError: what arrived is not of the file's size.
    """
    num_bytes = path.stat().st_size
    store, attributes = store_of(address, patience=UPLOADS), {_SHA256: sha256 or sha256_of(path)}
    call(
        "write",
        address,
        lambda: store.put(
            address.key,
            path,
            attributes=attributes,
            chunk_size=PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        ),
    )
    info = head(address)
    _check_size(address, found=info.num_bytes, wanted=num_bytes)
    return info


def copy(address: Address, to: Address, *, create: bool = False) -> None:
    """Write an object's bytes to another key of its bucket too, over what is there; one request, three to create in S3.

    The store does it itself, whole or not at all; S3 copies objects of up to 5 GB so. Metadata is copied too, but not
    by S3 where `create` is given.

    Args:
        create: only where there is no such object.

    Raises:
        ConflictError: the condition is not met.
        MissingObjectError, StorageError: as all functions here.
    """
    store = store_of(address)
    call("copy", address, lambda: store.copy(address.key, to.key, overwrite=not create))


def listing(folder: Address, *, after: str | None = None) -> Iterator[ObjectInfo]:
    """All objects below a folder in the order of their keys, page by page; a request per 1,000.

    Args:
        after: begin after this key.

    Raises:
        StorageError: the store lists in another order, as S3's directory buckets do.
    """
    store = store_of(folder)
    pages = iter(store.list(folder.key or None, offset=after, chunk_size=_PAGE))
    last = b""
    while (page := call("list", folder, lambda: next(pages, None))) is not None:
        for meta in page:
            key = meta["path"].encode()
            if key < last:
                raise StorageError(f"{folder}: is not listed in the order of keys; wanted a general purpose bucket")
            last = key
            if meta["path"] == folder.key:
                continue  # the empty object `folder/` that consoles make, which no object `folder` is
            yield _info(Address(folder.scheme, folder.bucket, meta["path"]), meta)


def folders(folder: Address) -> list[Address]:
    """The folders that lie directly in one, by name; a request per 1,000 objects and folders in it."""
    store = store_of(folder)
    found = call("list", folder, lambda: store.list_with_delimiter(folder.key or None))["common_prefixes"]
    return [Address(folder.scheme, folder.bucket, str(prefix).strip("/")) for prefix in sorted(found)]


def delete(*addresses: Address) -> None:
    """Delete objects, of one bucket; those that are not there are no mistake; a request per 1,000."""
    if addresses:
        store, keys = store_of(addresses[0]), [address.key for address in addresses]
        try:
            call("delete", addresses[0], lambda: store.delete(keys))
        except MissingObjectError:
            if len(addresses) > 1:
                raise


def _own_version(address: Address, *, token: str) -> Version | None:
    """The object's version where it is the one written with a token."""
    store, options = store_of(address), {"head": True}
    with suppress(StorageError):
        found = call("read", address, lambda: store.get(address.key, options=options))
        if _lower(found.attributes).get(_TOKEN) == token:
            return _info(address, found.meta).version
    return None


def _lower(attributes: Any) -> dict[str, str]:
    """Metadata with names as they were written; HTTP makes no difference between cases."""
    return {str(name).lower(): value for name, value in attributes.items()}


def _update(version: Version) -> dict[str, str]:
    """obstore's condition; it takes no None."""
    values = {"e_tag": version.etag, "version": version.generation}
    return {name: value for name, value in values.items() if value is not None}


def _info(address: Address, meta: Any) -> ObjectInfo:
    version = Version(meta["e_tag"], meta["version"])
    return ObjectInfo(address=address, num_bytes=meta["size"], version=version, modified=meta["last_modified"])


def _check_size(address: Address, *, found: int, wanted: int) -> None:
    if found != wanted:
        raise StorageError(f"{address}: found {found:,} bytes, wanted {wanted:,}; try again")
