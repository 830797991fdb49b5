"""The README.md of a folder: its text from a template, and whose file it is.

Its last line, a comment, holds the checksum of the text above. A README without that line, or whose text is another
one by now, belongs to somebody else and stays as it is. Where the comment is still in it, it tells of which state the
text was.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from prodemb.core.bounded import read_bytes
from prodemb.core.files import write_text
from prodemb.core.text import line_for_terminal
from prodemb.storage.address import Place

logger = logging.getLogger(__name__)

README = "README.md"

Kind = Literal["shards", "head", "fine_tuned", "converted"]
"""What a folder holds: the name of a template."""

_MARKUP = re.compile(r"[&<>|`*_\[\]\\~$]")
"""What Markdown, HTML or a formula may begin with, or a table's cell end with."""
_SEAL = "<!-- written by prodemb, which leaves this file as it is once you edit it; sha256 {digest} -->"
_EDITED = re.compile(_SEAL.format(digest="[0-9a-f]{64}"))
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9._-]{1,96}")


def own_readme(folder: Path) -> tuple[str, ...]:
    """The name of a folder's README if prodemb may write it; nothing where somebody wrote or edited it."""
    try:
        text = _read(folder)
    except FileNotFoundError:
        return (README,)
    except (OSError, ValueError):
        return ()
    return (README,) if _is_whole(text) else ()


def is_readme_settled(folder: Path) -> bool:
    """Whether a folder's README is whole or altogether somebody else's: there is nothing to write or to warn of."""
    try:
        text = _read(folder)
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return _is_whole(text) or _EDITED.search(text) is None


def write_readme(folder: Path, kind: Kind, values: Mapping[str, Any]) -> None:
    """Write a folder's README whole, unless it is there already.

    The same values give the same bytes. Call it only where `own_readme` names the file.

    Args:
        values: what the template names.
    """
    text = render(kind, values)
    path = folder / README
    if not path.exists() or read_bytes(path) != text.encode():
        write_text(path, text)


def renewed_readme(read: Callable[[], bytes], kind: Kind, values: Mapping[str, Any], *, path: Place) -> str | None:
    """The text that a README is to have; None where it is whole already, or stays since somebody wrote or edited it.

    Logs as `warn_if_stale`.

    Args:
        read: reads the README as it is; raises FileNotFoundError where there is none, OSError or ValueError where it
            is none of prodemb's.
        path: what to call it.
    """
    wanted = render(kind, values)
    try:
        text = read().decode("utf-8")
    except FileNotFoundError:
        return wanted
    except (OSError, ValueError):
        return None
    if _is_whole(text):
        return wanted if text != wanted else None
    _warn_if_stale(text, wanted, path=path)
    return None


def warn_if_stale(folder: Path, kind: Kind, values: Mapping[str, Any]) -> None:
    """Log where somebody edited a folder's README, and what prodemb had written in it was of other values."""
    try:
        text = _read(folder)
    except (OSError, ValueError):
        return
    _warn_if_stale(text, render(kind, values), path=folder / README)


def _warn_if_stale(text: str, wanted: str, *, path: Place) -> None:
    found = _EDITED.search(text)
    if found is not None and found[0] not in wanted:
        logger.warning(
            "%s: was edited, so it stays, but what prodemb wrote in it is of an earlier state; delete it for a new "
            "one, or delete its comment with sha256 and this is not said again",
            path,
        )


def _read(folder: Path) -> str:
    """A folder's README.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is a link, too large, or no text.
    """
    path = folder / README
    if path.is_symlink():
        raise ValueError(f"{path}: a link")
    return read_bytes(path).decode("utf-8")


def _is_whole(text: str) -> bool:
    """Whether a README is as prodemb wrote it."""
    text, _, seal = text.rstrip("\n").rpartition("\n")
    return seal == _seal(text)


def render(kind: Kind, values: Mapping[str, Any]) -> str:
    """The README's text. No value that is shown, whoever chose it, is read as Markdown, HTML or YAML."""
    text = _environment().get_template(f"{kind}.md.j2").render(values).rstrip("\n")
    return f"{text}\n{_seal(text)}\n"


def _seal(text: str) -> str:
    return _SEAL.format(digest=hashlib.sha256(text.encode()).hexdigest())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_as_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "code": _code,
        "num": lambda number: f"{number:,}",
        "percent": lambda share: "" if share is None else f"{share:.1%}",
        "decimal": lambda number: "" if number is None else f"{number:.3f}",
        "yaml": lambda text: Markup(json.dumps(text)),
    }
    environment.tests["hub_id"] = lambda name: _HUB_ID.fullmatch(name) is not None
    return environment


def _as_text(value: Any) -> Any:
    """A value as words that are nothing but words, on one line."""
    if isinstance(value, Markup):
        return value
    return Markup(_MARKUP.sub(lambda found: f"&#{ord(found[0])};", line_for_terminal(str(value))))


def _code(value: Any) -> Markup:
    """A value as a span of code, which shows each character as it is; in no table, where a pipe would end it."""
    text = line_for_terminal(str(value))
    if not text.strip():
        return Markup("(empty)")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    padding = " " if {text[0], text[-1]} & {"`", " "} else ""
    return Markup(f"{fence}{padding}{text}{padding}{fence}")
