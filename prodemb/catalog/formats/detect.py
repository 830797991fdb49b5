"""What a file is, by its content and not by its name."""

import re
import tomllib

from prodemb.catalog.files import CatalogFile
from prodemb.catalog.formats.columnar import ArrowSource, ParquetSource
from prodemb.catalog.formats.delimited import DelimitedSource
from prodemb.catalog.formats.encoding import encoding_of, utf8_chunks
from prodemb.catalog.formats.json_text import JsonSource, are_json_lines
from prodemb.catalog.formats.packing import Packed, names_in_zip, read_up_to, unpack
from prodemb.catalog.formats.source import Source
from prodemb.catalog.formats.text import SAMPLE_BYTES
from prodemb.catalog.formats.workbook import WorkbookSource
from prodemb.catalog.formats.xml_records import XmlSource
from prodemb.core.errors import CatalogError

NUM_PLACES = 16
"""Places in a large file from which lines are looked at for its encoding."""
PLACE_BYTES = 1 << 16

_HOW_TO_CONVERT = (
    (b"%PDF", "a PDF", "ask for the table behind it as CSV or XLSX"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (b"ORC", "an ORC file", "convert it with pyarrow: pq.write_table(orc.read_table(FILE), 'feed.parquet')"),
    (b"Obj\x01", "an Avro file", "convert it to Parquet or JSON lines"),
    (b"FEA1", "a Feather file of version 1", "write it again with pyarrow.feather.write_feather (version 2)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it"),
    (b"\x89PNG", "a picture", "name the table"),
    (b"\xff\xd8\xff", "a picture", "name the table"),
    (b"GIF8", "a picture", "name the table"),
    (b"\x89HDF", "an HDF5 file", "convert it to Parquet with pandas"),
    (b"\x93NUMPY", "a NumPy file", "convert it to Parquet"),
    (b"\x80\x04\x95", "a Python pickle", "write it as Parquet or CSV"),
    (b"\x80\x05\x95", "a Python pickle", "write it as Parquet or CSV"),
    (b"{\\rtf", "a rich text document", "save it as CSV"),
    (b"\x7fELF", "a program", "name the table"),
)
_WANTED = "wanted CSV, TSV, JSON, RSS, Atom or other XML, Parquet, Arrow, or a workbook (.xlsx, .xls, .ods)"


def open_source(file: CatalogFile) -> Source:
    """Open a file of a catalog, whatever its name: compression, format, encoding, delimiter and header are found.

    Raises:
        CatalogError: it cannot be read; the message says how to convert it where that is known.
    """
    packed = unpack(file)
    path = packed.path
    start = packed.head(512)
    if not start:
        raise CatalogError(f"{path}: the file is empty, wanted a table of products")
    for magic, what, advice in _HOW_TO_CONVERT:
        if start.startswith(magic):
            raise CatalogError(f"{path}: found {what}, {_WANTED}: {advice}")
    if start[257:262] == b"ustar":
        raise CatalogError(f"{path}: found a tar archive, {_WANTED}: unpack it")
    if start.startswith(b"PAR1"):
        return ParquetSource(packed)
    if start.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return ArrowSource(packed)
    if start.startswith(b"PK\x03\x04"):
        return _open_document(packed)
    if start.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return WorkbookSource(packed, format="xls")
    return _open_text(packed)


def _open_document(packed: Packed) -> Source:
    """A document of an office program, which is a zip archive."""
    names = names_in_zip(packed)
    if any(name.startswith("xl/") for name in names):
        return WorkbookSource(packed, format="xlsx")
    if "content.xml" in names:
        return WorkbookSource(packed, format="ods")
    if any(name.startswith("Index/") for name in names):
        raise CatalogError(f"{packed.path}: found a Numbers document, {_WANTED}: export it as CSV or XLSX")
    if any(name.startswith("word/") for name in names):
        raise CatalogError(f"{packed.path}: found a Word document, {_WANTED}: save its table as CSV")
    raise CatalogError(f"{packed.path}: found an archive inside of another, {_WANTED}: unpack it")


def _open_text(packed: Packed) -> Source:
    sample, is_whole = _sample(packed)
    encoding = encoding_of(sample, is_whole=is_whole)
    with packed.open() as stream:
        parts: list[str] = []
        for chunk in utf8_chunks(stream, encoding, tell=lambda kind, said: None):
            parts.append(chunk.decode())
            if sum(map(len, parts)) >= SAMPLE_BYTES:
                break
    text = "".join(parts)
    is_whole = is_whole and len(text) < SAMPLE_BYTES
    text = text[:SAMPLE_BYTES]
    start = text[:4096].lstrip("\ufeff \t\r\n")
    if not start and not text.strip():
        raise CatalogError(f"{packed.path}: the file is empty, wanted a table of products")
    controls = sum(
        character < " " and character not in "\t\r\n\x01\x1f\x1c\x1d\x1e\x0b\x0c" for character in text[:4096]
    )
    if controls + text[:4096].count("\ufffd") > 0.1 * len(text[:4096]):
        raise CatalogError(f"{packed.path}: found binary data, {_WANTED}")
    if re.match(r"<!doctype\s+html|<html\b|<head\b|<body\b", start, re.IGNORECASE):
        raise CatalogError(
            f"{packed.path}: found a web page (perhaps an error or login page), {_WANTED}: fetch the feed itself"
        )
    if is_whole and _is_toml(text):
        raise CatalogError(f"{packed.path}: found settings (TOML), {_WANTED}: a pipeline file goes behind --pipeline")
    if start.startswith("<"):
        if re.match(r"<\?xml|<!--|<!DOCTYPE|<[A-Za-z_][\w.:-]*[\s/>]", start):
            return XmlSource(packed, encoding=encoding, sample=text)
    elif re.match(r'\[\s*[\[{\]]|\{\s*["\'}]', start) or ("\n{" in text and are_json_lines(text, is_whole=is_whole)):
        return JsonSource(packed, encoding=encoding, sample=text, is_whole=is_whole)
    return DelimitedSource(packed, encoding=encoding, sample=text, is_whole=is_whole)


def _is_toml(text: str) -> bool:
    """Whether a text holds settings: TOML with a table in it. No feed is that."""
    if re.search(r"^\[[\w.\"'-]+\]\s*(#.*)?$", text, re.MULTILINE) is None:
        return False
    try:
        return bool(tomllib.loads(text.replace("\r\n", "\n")))
    except tomllib.TOMLDecodeError:
        return False


def _sample(packed: Packed) -> tuple[bytes, bool]:
    """A file's beginning, with lines from places all over it where that costs nothing; whether that is all of it."""
    with packed.open() as stream:
        sample = read_up_to(stream, SAMPLE_BYTES)
        is_whole = len(sample) < SAMPLE_BYTES
        if packed.layers or is_whole or b"\0" in sample[:64]:
            return sample, is_whole
        size = packed.local.stat().st_size
        for place in range(1, NUM_PLACES + 1):
            stream.seek(min(SAMPLE_BYTES + (size - SAMPLE_BYTES) * place // (NUM_PLACES + 1), size))
            lines = read_up_to(stream, PLACE_BYTES).split(b"\n")[1:-1]
            sample = sample[: sample.rfind(b"\n") + 1 or len(sample)] + b"\n".join(lines) + b"\n"
    return sample, is_whole
