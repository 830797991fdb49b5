"""Compressed files and archives, known by their first bytes: gzip, bzip2, xz, zstd, lz4 and zip."""

import bz2
import gzip
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa

from prodemb.catalog.files import CatalogFile, local_file, place_of
from prodemb.core.errors import CatalogError
from prodemb.core.regular import NotRegularError, open_regular
from prodemb.storage.address import Place

MAX_LAYERS = 3
MAX_UNPACKED_BYTES = 64 << 30
"""What a format that is not read front to back (Parquet, a workbook) may take on disk when it is unpacked."""
MAX_BESIDE_BYTES = 32 << 20
"""Of a picture in an archive: more than is let in, so that one that is cut is refused for its size."""
HEAD_BYTES = 8

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_NO_TABLE = frozenset(
    ".jpg .jpeg .png .gif .webp .bmp .tif .tiff .avif .heic .svg .ico .pdf .doc .docx .html .htm .css .js .md .mp4 .db"
    " .ini .url .nfo .log .sha256 .md5".split()
)
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException, RuntimeError)
"""What unpacking raises; a zip's RuntimeError is its password."""


@dataclass(frozen=True)
class Packed:
    """A file and the layers of compression around its content, outer first; it can be opened any number of times."""

    file: CatalogFile
    layers: tuple[str, ...] = ()
    member: str | None = None
    """The table's name in a zip archive."""

    @property
    def path(self) -> Place:
        """Where the file lies, for people."""
        return place_of(self.file)

    @property
    def local(self) -> Path:
        """The file, or its copy in the local cache."""
        return local_file(self.file)

    @property
    def compression(self) -> str | None:
        """The layers in words; None without any."""
        return " + ".join(self.layers) or None

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The content, to be read from its start.

        Raises:
            CatalogError: the file cannot be read, also where that shows only later.
        """
        try:
            with ExitStack() as stack:
                stream: Any = stack.enter_context(open_regular(self.local))
                for layer in self.layers:
                    stream = stack.enter_context(self._unpacked(stream, layer, stack))
                yield stream
        except NotRegularError:
            raise CatalogError(
                f"{self.path}: is no regular file, wanted one that can be read again and again"
            ) from None
        except _DAMAGED as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise CatalogError(f"{self.path}: cannot be read: {said}") from error

    def _unpacked(self, stream: Any, layer: str, stack: ExitStack) -> Any:
        match layer:
            case "gzip":
                return gzip.GzipFile(fileobj=stream)
            case "bzip2":
                return bz2.BZ2File(stream)
            case "xz":
                return lzma.LZMAFile(stream)
            case "zip":
                archive = stack.enter_context(zipfile.ZipFile(stream))
                assert self.member is not None
                return archive.open(self.member)
            case _:
                return pa.CompressedInputStream(pa.PythonFile(stream, "r"), layer)

    def head(self, num_bytes: int) -> bytes:
        """The first bytes of the content."""
        with self.open() as stream:
            return read_up_to(stream, num_bytes)

    @contextmanager
    def open_on_disk(self) -> Iterator[Path]:
        """The content as a file that can be read from any place: the file itself, or an unpacked copy of it."""
        if not self.layers:
            yield self.local
            return
        with tempfile.TemporaryDirectory(prefix="prodemb-") as folder:
            copy = Path(folder, "unpacked")
            with self.open() as stream, copy.open("wb") as file:
                while part := stream.read(1 << 20):
                    file.write(part)
                    if file.tell() > MAX_UNPACKED_BYTES:
                        raise CatalogError(f"{self.path}: more than {MAX_UNPACKED_BYTES:,} bytes unpacked: unpack it")
            yield copy

    def read_beside(self, name: str) -> bytes | None:
        """What another file of the zip archive holds: by its path, or by its path beside the table."""
        if self.member is None:
            return None
        wanted = PurePosixPath(name.replace("\\", "/"))
        with self.local.open("rb") as file, zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            for path in (PurePosixPath(self.member).parent / wanted, wanted):
                if str(path) in names:
                    with archive.open(str(path)) as member:
                        return member.read(MAX_BESIDE_BYTES)
        return None


def unpack(file: CatalogFile) -> Packed:
    """Find the layers of compression around a file's content.

    Raises:
        CatalogError: it cannot be read, or an archive in it does not hold one table.
    """
    packed = Packed(file)
    for _ in range(MAX_LAYERS):
        head = packed.head(HEAD_BYTES)
        layer = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
        if layer is None:
            break
        if layer == "zip":
            if packed.layers:
                break
            member = _table_in(packed)
            if member is None:
                break
            packed = Packed(file, (layer,), member)
        else:
            packed = Packed(file, (*packed.layers, layer), packed.member)
    return packed


def _table_in(packed: Packed) -> str | None:
    """The name of the one table in a zip archive; None where the archive is itself a document, as a workbook is."""
    try:
        with zipfile.ZipFile(packed.local) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            names = [each.filename for each in members]
    except (zipfile.BadZipFile, OSError) as error:
        raise CatalogError(f"{packed.path}: not a zip archive that can be read: {error}") from error
    if is_document(names):
        return None
    tables = [
        name
        for name in names
        if PurePosixPath(name).suffix.lower() not in _NO_TABLE
        and not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    ]
    if len(tables) > 1:
        # Remarks beside the table (readme.txt) are none where others look like tables by their names.
        told = [name for name in tables if not PurePosixPath(name).stem.lower().startswith(("readme", "license"))]
        tables = told or tables
    if len(tables) != 1:
        found = ", ".join(sorted(tables)[:5]) + (", ..." if len(tables) > 5 else "")
        raise CatalogError(
            f"{packed.path}: found {len(tables)} tables in this zip archive{f' ({found})' if tables else ''}, wanted "
            "one: unpack it and name the file, or the folder where the files are one catalog"
        )
    return tables[0]


def names_in_zip(packed: Packed) -> list[str]:
    """The names in a zip archive that is the content itself."""
    with packed.open_on_disk() as place:
        try:
            with zipfile.ZipFile(place) as archive:
                return archive.namelist()
        except (zipfile.BadZipFile, OSError) as error:
            raise CatalogError(f"{packed.path}: not a zip archive that can be read: {error}") from error


def is_document(names: list[str]) -> bool:
    """Whether a zip archive is a document of an office program by the names in it."""
    return bool({"[Content_Types].xml", "mimetype", "content.xml"}.intersection(names)) or any(
        name.startswith(("xl/", "Index/")) for name in names
    )


def read_up_to(stream: IO[bytes], num_bytes: int) -> bytes:
    """As many bytes as there are, at most `num_bytes`; a stream may give fewer at a time."""
    parts = []
    while num_bytes > 0 and (part := stream.read(num_bytes)):
        parts.append(part)
        num_bytes -= len(part)
    return b"".join(parts)
