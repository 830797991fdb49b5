"""What a terminal may show: text without commands and secrets, counts, and no library's warnings."""

import re
import warnings

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, those that turn the direction of text, and what no terminal can encode."""

_SECRET = re.compile(r"\b([a-z][a-z0-9+.-]+):/\S*[?@]\S*?(?=[^\w\s]*(?:\s|$))", re.IGNORECASE)
"""An address with an `@` or a query, without the marks behind it; a path has its slashes made one."""


def printable(text: str) -> str:
    """Text without what commands a terminal: names out of a catalog may hold escape sequences."""
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)


def without_secrets(text: str) -> str:
    """Text with no more than the scheme of an address that may hold a user, a password or a signature."""
    return _SECRET.sub(r"\1://...", text)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: "1 shard", "3,000 products".

    Args:
        one: the noun for one.
        many: the noun for another number; `one` with an s where it is not given.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def silence_pillow() -> None:
    """Show none of Pillow's warnings in this process, for its entry to call.

    One strange picture can make Pillow warn sixty thousand times; what becomes of the picture is in the shard.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
