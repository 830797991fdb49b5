"""Text for people: what is safe to show on a terminal, and counts with their nouns."""

import re
import warnings
from collections.abc import Sequence

_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters except tab and newline, characters that end a line or change the direction of text, those that
show nothing but stand for letters, and lone surrogates."""

_LONGEST_LINE = 4000
_TAIL = 1000
"""Characters that are shown of the end of a longer line, where an error says what is wanted."""

FORMULA_MARK = r"[=+\-@＝＋－＠]"
FORMULA = rf"[\s\uFEFF]*{FORMULA_MARK}"
"""How a cell begins that a spreadsheet may run as a formula: also after spaces or in full width; a regular expression
for polars and for Python."""

_SECRET = re.compile(r"\b([a-z][a-z0-9+.-]+):/\S*[?@]\S*?(?=[^\w\s]*(?:\s|$))", re.IGNORECASE)
"""A URL with an `@` or a query, up to the punctuation behind it; `Path` turns its two slashes into one."""

_MOST_DIGITS = 18
_SHOWN = 5


def for_terminal(text: str) -> str:
    """Text as it may be shown on a terminal, whatever it quotes."""
    return printable(without_secrets(text))


def is_whole_number(text: str) -> bool:
    """Whether `int` takes a text, of digits alone and no more than 64 bits have."""
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def one_line(error: BaseException) -> str:
    """What an error of another library says, in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def line_for_terminal(text: str) -> str:
    """Text as it may be shown as one line: a name with a newline in it begins no second one; cut where it is long."""
    shown = without_secrets(_cut(text))
    return _cut(printable(shown).replace("\n", r"\n").replace("\t", r"\t"))


def _cut(text: str) -> str:
    """Begin and end of a long text; no word is cut, so that no part of an address is left without its scheme."""
    if len(text) <= _LONGEST_LINE:
        return text
    head, tail = text[: _LONGEST_LINE - _TAIL], text[-_TAIL:]
    first, last = head.rpartition(" ")[0], tail.partition(" ")[2]
    return f"{first} ... ({len(text) - len(first) - len(last):,} characters) ... {last}"


def is_encodable(text: str) -> bool:
    """Whether UTF-8 has all of a text; it has not what stands for bytes of a file's name that are none."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


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


def some_of(texts: Sequence[str]) -> str:
    """The first few texts, and how many more there are."""
    shown = ", ".join(map(repr, texts[:_SHOWN]))
    return f"{shown} and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else shown


def silence_pillow() -> None:
    """Show none of Pillow's warnings in this process; for its entry point to call.

    One damaged picture can make Pillow warn sixty thousand times; the shard says what is wrong with the picture.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
