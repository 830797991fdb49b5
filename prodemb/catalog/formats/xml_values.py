"""An XML record as values by name."""

import xml.etree.ElementTree as ET
from typing import Any

from prodemb.catalog.formats.records import MAX_DEPTH

GOOGLE = "http://base.google.com/"
UNDECLARED = "urn:undeclared:"
_ATOM = ("http://www.w3.org/2005/Atom", "http://purl.org/atom")
_PLAIN_SPACES = (
    *_ATOM,
    UNDECLARED,
    "http://purl.org/rss/1.0/",
    "http://backend.userland.com/",
)
"""Namespaces whose elements go by their own names, beside Google's."""
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_MARKUP = frozenset(
    "p br b i u em strong span div ul ol li h1 h2 h3 h4 h5 h6 a table tbody thead tr td th font small sup sub hr img"
    "".split()
)


def record_values(record: ET.Element, names: "Names") -> dict[str, Any] | None:
    """A record's values by name: of its elements, and of its attributes where no element has the name; None where it is
    nested too deep.

    Google's element comes before another one of the same name. A repeated element is a list, one that holds elements
    an object.
    """
    values: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    repeated: dict[str, list[Any]] = {}
    for child in record:
        name, rank = names[child.tag]
        if len(child) or child.attrib:
            try:
                value = _value(child, names, MAX_DEPTH)
            except RecursionError:
                return None
        else:
            value = child.text
            if value is not None and (not value or value.isspace()):
                value = None
        before = ranks.get(name)
        if before is None or (value is not None and (rank > before or values[name] is None)):
            values[name], ranks[name] = value, rank
            repeated.pop(name, None)
        elif rank == before and value is not None:
            values[name] = repeated.setdefault(name, [values[name]])
            repeated[name].append(value)
    for key, text in record.attrib.items():
        values.setdefault(local_name(key), text)
    if not values and record.text and record.text.strip():
        values["text"] = record.text
    return values


def _value(element: ET.Element, names: "Names", depth: int) -> Any:
    """An element as a value: its text, a list of what it repeats, or an object of what it holds."""
    if depth == 0:
        raise RecursionError
    if len(element) == 0:
        text = element.text
        if text is None or not text.strip():
            return {local_name(key): value for key, value in element.attrib.items()} or None
        if not element.attrib:
            return text
        if (language := element.get(_LANGUAGE)) is not None:
            return {"language": language, "value": text}
        name = element.get("name")
        return text if name is None else {"name": name, "value": text}
    if all(local_name(child.tag).lower() in _MARKUP for child in element):
        return " ".join(part for part in element.itertext() if part.strip())
    inside: dict[str, list[Any]] = {}
    for child in element:
        value = _value(child, names, depth - 1)
        inside.setdefault(names[child.tag][0], []).append(value)
    if len(inside) == 1:
        ((name, values),) = inside.items()
        if len(values) > 1 or local_name(element.tag).lower().startswith(name.lower()[:-1]):
            return values
    return {name: values[0] if len(values) == 1 else values for name, values in inside.items()}


class Names(dict[str, tuple[str, int]]):
    """The names of elements as columns by their tags, each worked out once."""

    def __init__(self, spaces: dict[str, str]) -> None:
        super().__init__()
        self._spaces = spaces

    def __missing__(self, tag: str) -> tuple[str, int]:
        self[tag] = found = column_of(tag, self._spaces)
        return found


def column_of(tag: str, spaces: dict[str, str]) -> tuple[str, int]:
    """An element's name as a column, and which of two of that name comes first."""
    if not tag.startswith("{"):
        return tag, 1
    address, _, local = tag[1:].partition("}")
    if address.startswith(GOOGLE):
        return local, 2
    if address.startswith(_ATOM) and local in ("summary", "content"):
        # What Atom calls so is the description of a product, where Google's element is not there.
        return "description", 0 if local == "summary" else -1
    prefix = next((prefix for prefix, each in spaces.items() if each == address), "")
    if not prefix or address.startswith(_PLAIN_SPACES):
        return local, 1
    return f"{prefix}:{local}", 1


def local_name(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]
