"""One value that unpacks to far more than may be held costs its row, in bounded memory."""

import bz2
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

LONG_MIB = 400
MEMORY = 1_400 << 20
"""Address space of the reader; its libraries take most of it (about 900 MiB)."""
PROGRAM = f"""
import json, os, resource, sys
from pathlib import Path
from prodemb.catalog.formats import open_source
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
source = open_source(Path(sys.argv[1]))
rows = [row for batch in source.batches() for row in batch.table.to_pylist()]
print(json.dumps([[row["id"] for row in rows], dict(source.skipped.by_reason)]), flush=True)
os._exit(0)  # threads of libraries that still end may abort a process that goes at once
"""
RSS = b"<rss><channel><item><id>1</id><title>a</title></item><item><id>2</id><title>"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"id,title,brand\n1,Mug,Acme\n2,", b",Acme\n3,Cup,Acme\n"),
        (b'id,title,brand\n1,Mug,Acme\n2,"', b'",Acme\n3,Cup,Acme\n'),
        (b'{"id": 1, "title": "a"}\n{"id": 2, "title": "', b'"}\n{"id": 3, "title": "c"}\n'),
        (b'[{"id": 1, "title": "a"}, {"id": 2, "title": "', b'"}, {"id": 3, "title": "c"}]'),
        (RSS, b"</title></item><item><id>3</id><title>c</title></item></channel></rss>"),
        (RSS + b"<![CDATA[", b"]]></title></item><item><id>3</id><title>c</title></item></channel></rss>"),
    ],
    ids=["csv", "csv in quotes", "json lines", "json array", "xml", "xml in CDATA"],
)
def test_a_value_of_hundreds_of_megabytes_costs_its_row(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "feed.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(before)
        for _ in range(LONG_MIB):
            file.write(b"x" * (1 << 20))
        file.write(after)
    run = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [["1", "3"], {"longer than 67,108,864 bytes": 1}]


def test_a_header_of_hundreds_of_megabytes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv.bz2"
    path.write_bytes(bz2.compress(b"id,title" + b"x" * (100 << 20) + b"\n1,Mug\n"))
    run = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=False)
    assert "its first line is longer than 1,048,576 bytes" in run.stderr
