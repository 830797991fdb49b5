"""Text for people: what is safe to show on a terminal, and counts with their nouns."""

import re
import warnings

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and newline, characters that change the direction of text, and lone surrogates."""

FORMULA = r"[\s\uFEFF]*[=+\-@＝＋－＠]"
"""How a cell begins that a spreadsheet may run as a formula: also after spaces or in full width; a regular expression
for polars and for Python."""

_SECRET = re.compile(r"\b([a-z][a-z0-9+.-]+):/\S*[?@]\S*?(?=[^\w\s]*(?:\s|$))", re.IGNORECASE)
"""A URL with an `@` or a query, up to the punctuation behind it; `Path` turns its two slashes into one."""


def for_terminal(text: str) -> str:
    """Text as it may be shown on a terminal, whatever it quotes."""
    return printable(without_secrets(text))


def printable(text: str) -> str:
    """Text with control characters escaped: names from a catalog may hold terminal escape sequences."""
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)


def without_secrets(text: str) -> str:
    """Text with URLs that may hold a user, a password or a signature cut to their scheme."""
    return _SECRET.sub(r"\1://...", text)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: "1 shard", "3,000 products".

    Args:
        one: the noun for one.
        many: the noun for another number; `one` with an s where it is not given.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def silence_pillow() -> None:
    """Show none of Pillow's warnings in this process; for its entry point to call.

    One damaged picture can make Pillow warn sixty thousand times; the shard says what is wrong with the picture.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
