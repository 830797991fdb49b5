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
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from prodemb.catalog.formats.header import is_known
from prodemb.catalog.formats.packing import Packed
from prodemb.catalog.formats.records import MAX_DEPTH, SAMPLED_BYTES, Record, RecordsSource, keys_of
from prodemb.catalog.formats.rows import Fault
from prodemb.catalog.formats.xml_scanner import RecordTag, Scanner, mended
from prodemb.catalog.formats.xml_values import GOOGLE, UNDECLARED, Names, column_of, local_name, record_values
from prodemb.core.errors import CatalogError

MAX_PROLOG_BYTES = 1 << 20
MAX_PATH = 8
GROUP_BYTES = 16 << 10
"""Records are parsed together until they have so much text."""
MAX_GROUP = 2_000
_PREFIX = re.compile(rb"<([A-Za-z_][\w.-]*):|\s([A-Za-z_][\w.-]*):[\w.-]+\s*=")
_RECORD_TAGS = ("item", "entry", "offer", "product")
_NOT_XML = "not well-formed XML"


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
            scanner = Scanner(self._chunks(stream, of_first), self._record, start=self._start)
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
        for is_mended in (False, True):
            try:
                elements = iter(_parsed(mended(text) if is_mended else text, self._spaces))
                return [each if isinstance(each, Fault) else next(elements) for each in group]
            except (ET.ParseError, ValueError, StopIteration):
                continue
        return [each if isinstance(each, Fault) else self._element(each) for each in group]

    def _element(self, text: bytes) -> ET.Element | Fault:
        for attempt in (text, mended(text)):
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
            spaces.setdefault(prefix, GOOGLE + "ns/1.0" if prefix == "g" else UNDECLARED + prefix)
    return shift + skipped + index, name, spaces


def _parsed(text: bytes, spaces: dict[str, str]) -> list[ET.Element]:
    """The elements of some text, below one that declares the namespaces."""
    declared = "".join(f" xmlns{prefix and f':{prefix}'}={quoteattr(address)}" for prefix, address in spaces.items())
    parser = ET.XMLParser(encoding="utf-8")
    parser.feed(f"<document{declared}>".encode())
    parser.feed(text)
    parser.feed(b"</document>")
    return list(parser.close())


def _find_record(beginning: bytes, spaces: dict[str, str], packed: Packed) -> RecordTag:
    """The elements that are the records: `item` of RSS and `entry` of Atom; otherwise the one that is repeated most,
    weighted by the names inside it."""
    builder = ET.TreeBuilder()
    top = builder.start("top", {})
    parser = ET.XMLParser(target=builder, encoding="utf-8")
    declared = "".join(f" xmlns{prefix and f':{prefix}'}={quoteattr(address)}" for prefix, address in spaces.items())
    with suppress(ET.ParseError):
        parser.feed(f"<document{declared}>".encode())
        parser.feed(mended(beginning))
    counts: Counter[tuple[str, ...]] = Counter()
    inside: dict[tuple[str, ...], Counter[str]] = {}

    def look(element: ET.Element, path: tuple[str, ...]) -> None:
        counts[path] += 1
        names = inside.setdefault(path, Counter())
        names.update({column_of(child.tag, spaces)[0] for child in element} | set(element.attrib))
        if len(path) < MAX_PATH:
            for child in element:
                look(child, (*path, child.tag))

    for document in top[0] if len(top) else ():
        look(document, (document.tag,))

    def score(path: tuple[str, ...]) -> tuple[bool, float]:
        known = sum(is_known(name) for name in inside[path])
        fields = sum(num * 10 >= counts[path] for num in inside[path].values())
        likeness = (min(known, 8) + 0.2 * min(fields, 20)) * min(counts[path], 10) ** 0.5 / len(path) ** 0.25
        return local_name(path[-1]).lower() in _RECORD_TAGS and len(inside[path]) > 1, likeness

    best = max((path for path in counts if len(path) > 1 and inside[path]), key=score, default=None)
    if best is None or (counts[best] < 2 and not score(best)[0]):
        raise CatalogError(
            f"{packed.path}: found no element in this XML that comes once for each product: save it as RSS, Atom or CSV"
        )
    return RecordTag(local_name(best[-1]), nests=best[-1] in _inside_tags(inside, best))


def _inside_tags(inside: dict[tuple[str, ...], Counter[str]], record: tuple[str, ...]) -> set[str]:
    """Tags of the elements inside of a record; one right inside of itself is a record that was not closed."""
    return {tag for path in inside if path[: len(record)] == record for tag in path[len(record) + 1 :]}


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
