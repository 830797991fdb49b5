"""Addresses of objects in a bucket, and places: a local path or such an address."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from prodemb.core.errors import ConfigError

SCHEMES = {"s3": "Amazon S3 and what speaks its protocol", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_MAX_KEY_BYTES = 1024


@dataclass(frozen=True, order=True)
class Address:
    """An object of a bucket, or a folder of objects: all those whose keys begin with `key` and a slash.

    It never holds credentials. Characters of the key stand for themselves: nothing is percent-encoded.
    """

    scheme: str
    """One of `SCHEMES`."""
    bucket: str
    """The bucket, for `az` the container."""
    key: str
    """Without a slash at the beginning or the end; empty for the whole bucket."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}" if self.key else f"{self.scheme}://{self.bucket}"

    def __truediv__(self, name: str) -> "Address":
        """The address of a name, or of names with slashes, in this folder."""
        return Address(self.scheme, self.bucket, _checked_key(f"{self.key}/{name}".strip("/"), of=str(self)))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        """The name's ending with its dot, as `Path.suffix`."""
        return PurePosixPath(self.key).suffix

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.key).stem

    @property
    def parent(self) -> "Address":
        """The folder it lies in; the whole bucket's is itself."""
        return Address(self.scheme, self.bucket, self.key.rpartition("/")[0])


Place = Path | Address
"""Where a file or folder lies."""


def place(text: str) -> Place:
    """The place that a setting or an argument names: `s3://`, `gs://`, `az://`, `file://`, or a path.

    Raises:
        ConfigError: another scheme, or an address with a password, a query or a fragment, which is not shown; a
            `file://` of another machine; a home folder of nobody.
    """
    found = _SCHEME.fullmatch(text)
    if found is None:
        from prodemb.core.files import expanded  # which loads pyarrow, and addresses alone do not

        return expanded(text)
    scheme, rest = found[1].lower(), found[2]
    if scheme == "file":
        return _local(rest)
    if scheme not in SCHEMES:
        wanted = ", ".join(f"{each}://" for each in (*SCHEMES, "file"))
        raise ConfigError(f"an address begins with {scheme}://, wanted {wanted} or a local path")
    bucket, _, key = rest.partition("/")
    if "@" in bucket or "?" in rest or "#" in rest:
        raise ConfigError(
            f"an address that begins with {scheme}:// holds '@' before its bucket, '?' or '#', wanted only bucket and "
            f"key, {scheme}://bucket/key; credentials come from the environment or the usual files"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(f"an address that begins with {scheme}:// has no valid bucket, wanted {scheme}://bucket/key")
    return Address(scheme, bucket, _checked_key(key.rstrip("/"), of=f"{scheme}://{bucket}"))


def is_address(text: str) -> bool:
    """Whether a text stands for a place in a bucket: it begins with one of the schemes."""
    found = _SCHEME.match(text)
    return found is not None and found[1].lower() in SCHEMES


def is_place_address(text: str) -> bool:
    """Whether a text stands for a place by its scheme: one of a bucket, or `file://`."""
    found = _SCHEME.match(text)
    return found is not None and found[1].lower() in (*SCHEMES, "file")


def _checked_key(key: str, *, of: str) -> str:
    """The key, which has no empty, `.` or `..` part, no control character, and is not too long."""
    parts = key.split("/") if key else []
    if any(part in ("", ".", "..") for part in parts) or any(ord(char) < 32 or ord(char) == 127 for char in key):
        raise ConfigError(
            f"{of}: found {key[:80]!r} below it, wanted names between single slashes, none of them '.' or '..', "
            "without control characters"
        )
    if (num_bytes := len(key.encode())) > _MAX_KEY_BYTES:
        raise ConfigError(f"{of}: found a key of {num_bytes:,} bytes below it, wanted at most {_MAX_KEY_BYTES:,}")
    return key


def _local(rest: str) -> Path:
    """The path of what follows `file://`."""
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise ConfigError("an address that begins with file:// names another machine, wanted file:///path/of/a/file")
    if "?" in path or "#" in path:
        raise ConfigError("an address that begins with file:// holds '?' or '#', wanted them as %3F and %23")
    return Path("/" + unquote(path))
