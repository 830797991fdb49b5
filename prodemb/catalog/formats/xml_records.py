"""XML feeds (RSS 2.0, Atom, and others that repeat a record), read in bounded memory.

Entities and external references are refused as defusedxml does: a document type declaration can only stand before the
document's first element, and that part is read by a parser of its own that refuses them.
"""

import codecs
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from html.entities import html5
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from prodemb.catalog.formats.header import is_known
from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.records import MAX_DEPTH, SAMPLED_BYTES, Record, RecordsSource, keys_of
from prodemb.catalog.formats.rows import Fault
from prodemb.catalog.formats.source import MAX_ROW_BYTES
from prodemb.core.errors import CatalogError

MAX_PROLOG_BYTES = 1 << 20
MAX_PATH = 8
TAG_BYTES = 4096
"""No start tag of a record is longer."""
GROUP_BYTES = 16 << 10
"""Records are parsed together until they have so much text."""
MAX_GROUP = 2_000
GOOGLE = "http://base.google.com/"
_UNDECLARED = "urn:undeclared:"
_ATOM = ("http://www.w3.org/2005/Atom", "http://purl.org/atom")
_PLAIN_SPACES = (
    *_ATOM,
    _UNDECLARED,
    "http://purl.org/rss/1.0/",
    "http://backend.userland.com/",
)
"""Namespaces whose elements go by their own names, beside Google's."""
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_ENTITY = re.compile(rb"&(?!#\d+;|#[xX][0-9a-fA-F]+;|(?:amp|lt|gt|quot|apos);)(\w+;)?")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_FORBIDDEN_NUMBER = re.compile(rb"&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2\d|3[01]));", re.IGNORECASE)
_PREFIX = re.compile(rb"<([A-Za-z_][\w.-]*):|\s([A-Za-z_][\w.-]*):[\w.-]+\s*=")
_CDATA = re.compile(rb"(<!\[CDATA\[.*?(?:\]\]>|\Z))", re.DOTALL)
_RECORD_TAGS = ("item", "entry", "offer", "product")
_MARKUP = frozenset(
    "p br b i u em strong span div ul ol li h1 h2 h3 h4 h5 h6 a table tbody thead tr td th font small sup sub hr img"
    "".split()
)
_NOT_XML = "not well-formed XML"
_NOT_CLOSED = "its XML element is not closed"
_TOO_LONG = f"longer than {MAX_ROW_BYTES:,} bytes"


class XmlSource(RecordsSource):
    """An XML file of records."""

    def __init__(self, packed: Packed, *, encoding: str, sample: str) -> None:
        """
        Args:
            sample: the file's beginning as text.
        """
        declared = re.match(r"""\s*<\?xml[^>]*\bencoding\s*=\s*["']([\w.-]+)["']""", sample)
        if declared and encoding not in ("utf-8-sig", "utf-16", "utf-32"):
            encoding = _known_encoding(declared[1]) or encoding
        beginning = sample.encode("utf-8", "replace")
        self._start, root, self._spaces = _prolog(beginning, packed)
        self._record = _find_record(beginning[self._start :], self._spaces, packed)
        format = {"rss": "rss", "rdf": "rss", "feed": "atom"}.get(root.rpartition(":")[2].lower(), "xml")
        super().__init__(packed, format=format, encoding=encoding, columns=())
        columns = keys_of(self._records(of_first=SAMPLED_BYTES))
        if not columns:
            raise CatalogError(f"{packed.path}: found no record with a value in this XML")
        super().__init__(packed, format=format, encoding=encoding, columns=columns)

    def _records(self, *, of_first: int | None = None) -> Iterator[Record]:
        with self._packed.open() as stream:
            scanner = _Scanner(self._chunks(stream, of_first), self._record, start=self._start)
            names = Names(self._spaces)
            number = 0
            for group in _groups(scanner.records()):
                for element in self._elements(group):
                    number += 1
                    if isinstance(element, Fault):
                        yield number, element
                    else:
                        values = record_values(element, names)
                        yield number, Fault(f"nested more than {MAX_DEPTH} deep") if values is None else values

    def _elements(self, group: list[bytes | Fault]) -> list[ET.Element | Fault]:
        """The elements of some records; one that is not well-formed is mended or a fault."""
        text = b"\n".join(each for each in group if isinstance(each, bytes))
        for mended in (False, True):
            try:
                elements = iter(_parsed(_mended(text) if mended else text, self._spaces))
                return [each if isinstance(each, Fault) else next(elements) for each in group]
            except (ET.ParseError, ValueError, StopIteration):
                continue
        return [each if isinstance(each, Fault) else self._element(each) for each in group]

    def _element(self, text: bytes) -> ET.Element | Fault:
        for attempt in (text, _mended(text)):
            try:
                (element,) = _parsed(attempt, self._spaces)
            except (ET.ParseError, ValueError):
                continue
            return element
        return Fault(_NOT_XML)


def _known_encoding(name: str) -> str | None:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def _prolog(beginning: bytes, packed: Packed) -> tuple[int, str, dict[str, str]]:
    """Where the first element begins, its name, and the namespaces that are used: prefix to address.

    Raises:
        CatalogError: an entity is declared, or there is no element.
    """
    found: list[tuple[int, str, dict[str, str]]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if not found:
            found.append((parser.CurrentByteIndex, name, attributes))

    def refuse(*_: Any) -> int:
        raise CatalogError(f"{packed.path}: declares an XML entity, which is refused: save it without entities")

    text = beginning.lstrip()
    shift = len(beginning) - len(text)
    # The declaration names an encoding that the text no longer has.
    declaration = re.match(rb"<\?xml[^>]*\?>", text)
    skipped = declaration.end() if declaration else 0
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        for place in range(skipped, min(len(text), MAX_PROLOG_BYTES), 1 << 12):
            parser.Parse(text[place : place + (1 << 12)], False)
            if found:
                break
    except expat.ExpatError as error:
        if not found:
            raise CatalogError(f"{packed.path}: not XML that can be read: {error}") from error
    if not found:
        raise CatalogError(f"{packed.path}: found no element in the first {MAX_PROLOG_BYTES:,} bytes of this XML")
    index, name, attributes = found[0]
    declared = {key: value for key, value in attributes.items() if key == "xmlns" or key.startswith("xmlns:")}
    spaces = {key.partition(":")[2]: value for key, value in declared.items() if value}
    for match in _PREFIX.finditer(text[: 1 << 18]):
        prefix = (match[1] or match[2]).decode()
        # A prefix that nobody declares is taken for what it usually stands for.
        if prefix not in ("xml", "xmlns"):
            spaces.setdefault(prefix, GOOGLE + "ns/1.0" if prefix == "g" else _UNDECLARED + prefix)
    return shift + skipped + index, name, spaces


def _parsed(text: bytes, spaces: dict[str, str]) -> list[ET.Element]:
    """The elements of some text, below one that declares the namespaces."""
    declared = "".join(f" xmlns{prefix and f':{prefix}'}={quoteattr(address)}" for prefix, address in spaces.items())
    parser = ET.XMLParser(encoding="utf-8")
    parser.feed(f"<document{declared}>".encode())
    parser.feed(text)
    parser.feed(b"</document>")
    return list(parser.close())


def _find_record(beginning: bytes, spaces: dict[str, str], packed: Packed) -> "_RecordTag":
    """The elements that are the records: `item` of RSS and `entry` of Atom; otherwise the one that is repeated most,
    weighted by the names inside it."""
    builder = ET.TreeBuilder()
    top = builder.start("top", {})
    parser = ET.XMLParser(target=builder, encoding="utf-8")
    declared = "".join(f" xmlns{prefix and f':{prefix}'}={quoteattr(address)}" for prefix, address in spaces.items())
    with suppress(ET.ParseError):
        parser.feed(f"<document{declared}>".encode())
        parser.feed(_mended(beginning))
    counts: Counter[tuple[str, ...]] = Counter()
    inside: dict[tuple[str, ...], Counter[str]] = {}

    def look(element: ET.Element, path: tuple[str, ...]) -> None:
        counts[path] += 1
        names = inside.setdefault(path, Counter())
        names.update({_name(child.tag, spaces)[0] for child in element} | set(element.attrib))
        if len(path) < MAX_PATH:
            for child in element:
                look(child, (*path, child.tag))

    for document in top[0] if len(top) else ():
        look(document, (document.tag,))

    def score(path: tuple[str, ...]) -> tuple[bool, float]:
        known = sum(is_known(name) for name in inside[path])
        fields = sum(num * 10 >= counts[path] for num in inside[path].values())
        likeness = (min(known, 8) + 0.2 * min(fields, 20)) * min(counts[path], 10) ** 0.5 / len(path) ** 0.25
        return _local(path[-1]).lower() in _RECORD_TAGS and len(inside[path]) > 1, likeness

    best = max((path for path in counts if len(path) > 1 and inside[path]), key=score, default=None)
    if best is None or (counts[best] < 2 and not score(best)[0]):
        raise CatalogError(
            f"{packed.path}: found no element in this XML that comes once for each product: save it as RSS, Atom or CSV"
        )
    return _RecordTag(_local(best[-1]), nests=best[-1] in inside_tags(inside, best))


def inside_tags(inside: dict[tuple[str, ...], Counter[str]], record: tuple[str, ...]) -> set[str]:
    """Tags of the elements inside of a record; one right inside of itself is a record that was not closed."""
    return {tag for path in inside if path[: len(record)] == record for tag in path[len(record) + 1 :]}


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _mended(text: bytes) -> bytes:
    """Text with what XML forbids taken out: bare ampersands, entities of HTML, control characters; but not in CDATA."""
    text = _FORBIDDEN.sub(b"", text)
    parts = _CDATA.split(text)
    parts[0::2] = [_ENTITY.sub(_resolved, _FORBIDDEN_NUMBER.sub(b" ", part)) for part in parts[0::2]]
    return b"".join(parts)


def _resolved(match: re.Match[bytes]) -> bytes:
    name = (match[1] or b"").decode("ascii", "replace")
    if name and (characters := html5.get(name)) is not None:
        return "".join(f"&#{ord(each)};" for each in characters).encode()
    return b"&amp;" + (match[1] or b"")


@dataclass(frozen=True)
class _RecordTag:
    """The tag of the records."""

    local: str
    nests: bool
    """Whether it also comes inside of a record."""


class _Scanner:
    """Finds the records' text in a document, holding one at a time."""

    def __init__(self, chunks: Iterator[bytes], record: _RecordTag, *, start: int) -> None:
        self._chunks = chunks
        self._nests = record.nests
        name = rb"(?:[\w.-]+:)?" + re.escape(record.local.encode())
        self._tokens = re.compile(
            rb"<!\[CDATA\[|<!--|<(?P<start>" + name + rb")(?=[\s/>])[^<>]*?(?P<empty>/)?>|</(?P<end>" + name + rb")\s*>"
        )
        self._buffer = b""
        self._skip = start

    def _fill(self) -> bool:
        while (chunk := next(self._chunks, None)) is not None:
            if self._skip >= len(chunk):
                self._skip -= len(chunk)
                continue
            self._buffer += chunk[self._skip :]
            self._skip = 0
            return True
        return False

    def records(self) -> Iterator[bytes | Fault]:
        """The text of each record, and a fault for one that is cut off or too long."""
        start: int | None = None
        depth = position = 0
        is_long = False
        until = b""
        """What ends the CDATA section or the comment that `position` is in."""
        while True:
            if until:
                end = self._buffer.find(until, position)
                if end >= 0:
                    position, until = end + len(until), b""
                    continue
                position = max(position, len(self._buffer) - 2)
            elif (token := self._tokens.search(self._buffer, position)) is None:
                # A token may be cut in two.
                position = max(position, len(self._buffer) - TAG_BYTES)
            else:
                position = token.end()
                if token["start"]:
                    if start is not None and not self._nests:
                        yield Fault(_NOT_CLOSED)
                        depth, is_long = 0, False
                    if depth == 0:
                        start = token.start()
                    depth += 0 if token["empty"] else 1
                    if depth == 0:
                        yield self._buffer[start:position]
                        start = None
                elif token["end"]:
                    depth = max(0, depth - 1)
                    if depth == 0 and start is not None:
                        yield Fault(_TOO_LONG) if is_long else self._buffer[start:position]
                        start, is_long = None, False
                else:
                    until = b"]]>" if token[0].startswith(b"<![") else b"-->"
                continue
            # More text is needed: what is behind goes, and so does a record that is too long.
            if start is not None and len(self._buffer) - start > MAX_ROW_BYTES:
                is_long = True
            dropped = position if start is None or is_long else start
            start = None if start is None else 0
            self._buffer = self._buffer[dropped:]
            position -= dropped
            if not self._fill():
                if start is not None:
                    yield Fault(_TOO_LONG if is_long else _NOT_CLOSED)
                return


def _groups(records: Iterator[bytes | Fault]) -> Iterator[list[bytes | Fault]]:
    """Records in groups that are parsed at once."""
    group: list[bytes | Fault] = []
    num_bytes = 0
    for record in records:
        group.append(record)
        num_bytes += len(record) if isinstance(record, bytes) else 0
        if num_bytes >= GROUP_BYTES or len(group) >= MAX_GROUP:
            yield group
            group, num_bytes = [], 0
    if group:
        yield group


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
        values.setdefault(_local(key), text)
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
            return {_local(key): value for key, value in element.attrib.items()} or None
        if not element.attrib:
            return text
        if (language := element.get(_LANGUAGE)) is not None:
            return {"language": language, "value": text}
        name = element.get("name")
        return text if name is None else {"name": name, "value": text}
    if all(_local(child.tag).lower() in _MARKUP for child in element):
        return " ".join(part for part in element.itertext() if part.strip())
    inside: dict[str, list[Any]] = {}
    for child in element:
        value = _value(child, names, depth - 1)
        inside.setdefault(names[child.tag][0], []).append(value)
    if len(inside) == 1:
        ((name, values),) = inside.items()
        if len(values) > 1 or _local(element.tag).lower().startswith(name.lower()[:-1]):
            return values
    return {name: values[0] if len(values) == 1 else values for name, values in inside.items()}


class Names(dict[str, tuple[str, int]]):
    """The names of elements as columns by their tags, each worked out once."""

    def __init__(self, spaces: dict[str, str]) -> None:
        super().__init__()
        self._spaces = spaces

    def __missing__(self, tag: str) -> tuple[str, int]:
        self[tag] = found = _name(tag, self._spaces)
        return found


def _name(tag: str, spaces: dict[str, str]) -> tuple[str, int]:
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
