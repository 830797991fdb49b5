"""A file is what its content says, under any name and compression."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog.formats import open_source
from prodemb.core.errors import CatalogError

ROWS = [{"id": "007", "title": "Mug, blue", "brand": "Acme"}, {"id": "008", "title": "Pañuelo > été", "brand": "Zoë"}]
COLUMNS = list(ROWS[0])


def delimited(delimiter: str, *, encoding: str = "utf-8", above: str = "") -> bytes:
    lines = [COLUMNS, *(list(row.values()) for row in ROWS)]
    quoted = [[f'"{cell}"' if delimiter in cell else cell for cell in line] for line in lines]
    return (above + "\r\n".join(delimiter.join(line) for line in quoted) + "\r\n").encode(encoding)


def xml(kind: str) -> bytes:
    items = "".join(
        f"<{kind}><g:id>{row['id']}</g:id><title>{row['title'].replace('>', '&gt;')}</title>"
        f"<g:brand>{row['brand']}</g:brand></{kind}>"
        for row in ROWS
    )
    if kind == "item":
        return f'<rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>x</title>{items}</channel></rss>'.encode()
    return (
        f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">'
        f"<title>x</title>{items}</feed>"
    ).encode()


def written(write: Callable[[pa.Table, io.BytesIO], None]) -> bytes:
    buffer = io.BytesIO()
    write(pa.Table.from_pylist(ROWS), buffer)
    return buffer.getvalue()


def ipc(
    make: Callable[[io.BytesIO, pa.Schema], pa.ipc.RecordBatchFileWriter],
) -> Callable[[pa.Table, io.BytesIO], None]:
    def write(table: pa.Table, buffer: io.BytesIO) -> None:
        with make(buffer, table.schema) as writer:
            writer.write_table(table)

    return write


CONTENTS = {
    "csv": delimited(","),
    "csv with a mark": delimited(",", encoding="utf-8-sig"),
    "semicolons": delimited(";"),
    "bars": delimited("|"),
    "tabs": delimited("\t"),
    "sep": delimited(";", above="sep=;\r\n"),
    "utf-16": delimited("\t", encoding="utf-16"),
    "utf-16 without a mark": delimited(",", encoding="utf-16-be"),
    "cp1252": delimited(";", encoding="cp1252"),
    "json lines": "\n".join(map(json.dumps, ROWS)).encode(),
    "json lines with commas": ",\n".join(map(json.dumps, ROWS)).encode(),
    "json array": json.dumps(ROWS).encode(),
    "json array in utf-16": json.dumps(ROWS, ensure_ascii=False).encode("utf-16"),
    "json array, pretty": json.dumps(ROWS, indent=2, ensure_ascii=False).encode(),
    "json array of lines": ("[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n").encode(),
    "json objects, pretty": "\n".join(json.dumps(row, indent=1) for row in ROWS).encode(),
    "json in an object": json.dumps({"count": 2, "meta": {"tags": [{"id": 1}]}, "products": ROWS}).encode(),
    "json of edges": json.dumps({"data": {"products": {"edges": [{"node": row} for row in ROWS]}}}).encode(),
    "json of lists": json.dumps([COLUMNS, *(list(row.values()) for row in ROWS)]).encode(),
    "rss": xml("item"),
    "atom": xml("entry"),
    "parquet": written(pq.write_table),
    "arrow file": written(ipc(pa.ipc.new_file)),
    "arrow stream": written(ipc(pa.ipc.new_stream)),
    "feather": written(pyarrow.feather.write_feather),
}


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/feed.txt", content)
        archive.writestr("export/pics/1.jpg", b"\xff\xd8\xff picture")
        archive.writestr("__MACOSX/export/._feed.txt", b"x")
    return buffer.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: bytes(pa.compress(content, codec="zstd", asbytes=True)),
    "lz4": lambda content: bytes(pa.compress(content, codec="lz4", asbytes=True)),
    "zip": zipped,
}


def rows_of(path: Path) -> list[dict[str, object]]:
    return [row for batch in open_source(path).batches() for row in batch.table.select(COLUMNS).to_pylist()]


@pytest.mark.parametrize("kind", CONTENTS)
def test_each_kind_gives_the_same_rows_under_a_wrong_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "feed.pdf"
    path.write_bytes(CONTENTS[kind])
    assert rows_of(path) == ROWS


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("kind", ["csv", "json array", "rss", "parquet", "arrow file"])
def test_each_compression_is_found(tmp_path: Path, kind: str, packer: str) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(PACKERS[packer](CONTENTS[kind]))
    assert rows_of(path) == ROWS
    assert open_source(path).compression == packer


def test_what_lies_beside_a_table_in_an_archive_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "feed.zip"
    path.write_bytes(zipped(CONTENTS["csv"]))
    source = open_source(path)
    assert source.read_beside("pics/1.jpg") == b"\xff\xd8\xff picture"
    assert source.read_beside("pics/2.jpg") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n \n", "empty"),
        (b"%PDF-1.7 ...", "PDF.*ask for the table"),
        (b"SQLite format 3\0" + bytes(100), "SQLite.*export the table as CSV"),
        (b"Obj\x01" + bytes(100), "Avro.*Parquet"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "web page"),
        (b'# prodemb run\ntarget = "brand"\n[catalog]\npath = "feed.csv"\n', "settings .TOML.*--pipeline"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
        (bytes(range(256)) * 8, "binary data|cannot|found"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"PAR1" + bytes(100), "Parquet"),
        (b"ARROW1" + bytes(100), "Arrow"),
        (b'<!DOCTYPE r [<!ENTITY x "y">]><r><a><b>1</b></a><a><b>2</b></a></r>', "entity"),
        (b"[]", "no JSON object"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=said) as caught:
        rows_of(path)
    assert str(path) in str(caught.value)


def test_several_tables_in_an_archive_are_named(tmp_path: Path) -> None:
    path = tmp_path / "feed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "id,title\n1,a\n")
        archive.writestr("b.csv", "id,title\n1,a\n")
    with pytest.raises(CatalogError, match=r"found 2 tables .*\(a\.csv, b\.csv\).* unpack"):
        open_source(path)


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd"])
def test_a_cut_off_file_is_named(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "feed.csv"
    content = b"id,title\n" + b"".join(b"%d,Mug %d\n" % (number, number * number) for number in range(100_000))
    packed = PACKERS[packer](content)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CatalogError, match=r"feed\.csv: cannot be read"):
        rows_of(path)


@given(st.binary(max_size=400), st.sampled_from(sorted(CONTENTS)), st.booleans(), st.integers(0, 2_000))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_rows_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, kind: str, instead: bool, place: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    content = CONTENTS[kind]
    path.write_bytes(content[:place] + noise + content[place + (len(noise) if instead else 0) :])
    try:
        source = open_source(path)
        first, again = ([(batch.rows.tolist(), batch.table) for batch in source.batches(max_rows=3)] for _ in range(2))
    except CatalogError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert first == again
