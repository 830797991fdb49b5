"""Where a catalog's picture values lead, and what of them a message may show."""

import re
from urllib.parse import urlsplit

from prodemb.core.errors import ConfigError
from prodemb.storage.address import Address

ADDRESS = re.compile(r"^([a-z][a-z0-9+.-]+)://|^(file|data):", re.IGNORECASE)


def is_address(value: str) -> bool:
    """Whether a picture's value is an address, not a path; `//host/path` is one too."""
    return value.startswith("//") or ADDRESS.match(value) is not None


def object_of(path: str, *, root: Address) -> Address | None:
    """The object that a picture's path names from an image root in a bucket on, as a file system would find a file.

    A leading slash, which Magento writes, `.` and doubled slashes count for nothing, and `..` is the folder above, so
    the object need not lie beneath the root. None where no object can have that name.
    """
    parts = root.key.split("/") if root.key else []
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    try:
        found = Address(root.scheme, root.bucket, "") / "/".join(parts)
    except ConfigError:
        return None
    return None if found == root or not found.key else found


def host_of(value: str | bytes) -> str | None:
    """The host that a picture is to come from; empty where an address names none, None for a path, bytes or `data:`."""
    if isinstance(value, bytes) or not is_address(value := value.strip()) or value[:5].lower() == "data:":
        return None
    try:
        parts = urlsplit(value)
        # Of `user:pass/word@host` the user would seem to be the host, and the password's beginning its port.
        _ = parts.port
        is_misspelt = set(":@") & set(parts.netloc) and "@" in value.partition(parts.netloc)[2]
        return "" if is_misspelt else parts.hostname or ""
    except ValueError:
        return ""


def is_showable(path: str) -> bool:
    """Whether a picture's path may stand in a message: it is no misspelt address (`https:/user:pass@host/`)."""
    return not set("?@") & set(path)
