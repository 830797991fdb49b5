"""The README.md of a folder: its text from a template, and whose file it is.

Its last line, a comment, holds the checksum of the text above. A README without that line, or whose text is another
one by now, belongs to somebody else and stays as it is.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from prodemb.core.bounded import read_bytes
from prodemb.core.files import write_text
from prodemb.core.text import line_for_terminal

README = "README.md"

Kind = Literal["shards", "head", "fine_tuned", "converted"]
"""What a folder holds: the name of a template."""

_MARKUP = re.compile(r"[&<>|`*_\[\]\\~$]")
"""What Markdown, HTML or a formula may begin with, or a table's cell end with."""
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9._-]{1,96}")


def own_readme(folder: Path) -> tuple[str, ...]:
    """The name of a folder's README if prodemb may write it; nothing where somebody wrote or edited it."""
    path = folder / README
    try:
        if path.is_symlink():
            return ()
        text, _, seal = read_bytes(path).decode("utf-8").rstrip("\n").rpartition("\n")
    except FileNotFoundError:
        return (README,)
    except (OSError, ValueError):
        return ()
    return (README,) if seal == _seal(text) else ()


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


def render(kind: Kind, values: Mapping[str, Any]) -> str:
    """The README's text. No value that is shown, whoever chose it, is read as Markdown, HTML or YAML."""
    text = _environment().get_template(f"{kind}.md.j2").render(values).rstrip("\n")
    return f"{text}\n{_seal(text)}\n"


def _seal(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"<!-- written by prodemb, which leaves this file as it is once you edit it; sha256 {digest} -->"


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
