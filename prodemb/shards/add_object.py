"""Adding an object to a bucket, where nothing is written over."""

import secrets
from contextlib import suppress
from pathlib import Path

from prodemb.core.errors import ConflictError, DamagedObjectError, MissingObjectError, StorageError
from prodemb.storage.address import Address
from prodemb.storage.folder import temporary_file
from prodemb.storage.objects import PART_BYTES, copy, delete, download, exists, head, put_bytes, upload

MAX_PUT_BYTES = 128 << 20
"""Up to so many bytes are uploaded in one request: as many as the parts of an upload hold in memory at once."""


def num_requests(num_bytes: int) -> int:
    """Requests that it takes to add an object of so many bytes, where its name is not taken."""
    if num_bytes <= MAX_PUT_BYTES:
        return 1
    return -(-num_bytes // PART_BYTES) + 7  # three around the parts, three for the copy, one to delete what was copied


def add_object(path: Path, address: Address, *, sha256: str, through: Address) -> bool:
    """Upload a local file where there is no such object; whether its bytes are there, by this call or an earlier one.

    Args:
        sha256: of the file.
        through: a folder of the bucket for what is needed only meanwhile.

    Raises:
        StorageError: it cannot be written, or what is there cannot be read.
    """
    try:
        if path.stat().st_size <= MAX_PUT_BYTES:
            put_bytes(address, path.read_bytes(), create=True, sha256=sha256)
        else:
            _add_in_parts(path, address, sha256=sha256, temporary=through / f"{secrets.token_hex(16)}.parquet")
        return True
    except (ConflictError, MissingObjectError):  # the latter: an upload whose end was carried out but not answered
        if not exists(address):
            raise
    with temporary_file(address.name) as there, suppress(DamagedObjectError):
        download(head(address), there, sha256=sha256)
        return True
    return False


def _add_in_parts(path: Path, address: Address, *, sha256: str, temporary: Address) -> None:
    """The same for a large file: the client puts no parts together under a condition, but copies under one."""
    try:
        upload(path, temporary, sha256=sha256)
        copy(temporary, address, create=True)
    finally:
        with suppress(StorageError):
            delete(temporary)
