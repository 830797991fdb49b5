"""The Google taxonomy: reading its files, walking it, resolving what feeds carry, fetching it."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.errors import TaxonomyError
from prodemb.taxonomy.mapping import read_mapping
from prodemb.taxonomy.taxonomy import (
    Found,
    Taxonomy,
    Trace,
    fetch_taxonomy,
    parse_taxonomy,
    read_taxonomy,
    sample_taxonomy,
)

OFFICIAL = Path(__file__).parents[3] / "shared/data/google_taxonomy/taxonomy-with-ids.en-US.txt"
"""Development data beside the checkout, where there is some."""

LINES = """\
# Google_Product_Taxonomy_Version: 2021-09-21
166 - Apparel & Accessories
1604 - Apparel & Accessories > Clothing
2271 - Apparel & Accessories > Clothing > Dresses
187 - Apparel & Accessories > Shoes
783 - Media
"""


@pytest.fixture
def taxonomy(tmp_path: Path) -> Taxonomy:
    path = tmp_path / "taxonomy-with-ids.en-US.txt"
    path.write_text(LINES, encoding="utf-8")
    return read_taxonomy(path)


def test_walks_the_tree(taxonomy: Taxonomy) -> None:
    assert taxonomy.version == "2021-09-21"
    assert taxonomy.ids == (166, 1604, 2271, 187, 783)
    assert taxonomy.roots == (166, 783)
    assert taxonomy.leaves == (2271, 187, 783)
    assert taxonomy.children(166) == (1604, 187)
    assert taxonomy.children(187) == ()
    assert taxonomy.ancestors(2271) == (166, 1604)
    assert taxonomy.ancestors(783) == ()
    assert taxonomy.parent(187) == 166
    assert taxonomy.parent(166) is None
    assert taxonomy.path_of(2271) == "Apparel & Accessories > Clothing > Dresses"
    assert [taxonomy.depth(node) for node in taxonomy.ids] == [1, 2, 3, 2, 1]
    assert len(taxonomy) == 5
    assert 187 in taxonomy
    assert 5 not in taxonomy


@pytest.mark.parametrize(
    ("label", "node"),
    [
        ("187", 187),
        (" 187 ", 187),
        ("187.0", 187),
        ("Apparel & Accessories > Shoes", 187),
        ("apparel &  accessories>SHOES", 187),
        ("Apparel &amp; Accessories &gt; Shoes", 187),
        ("187 - Apparel & Accessories > Shoes", 187),
        ("188", None),
        ("Shoes", None),
        ("", None),
    ],
)
def test_resolves_what_feeds_carry(taxonomy: Taxonomy, label: str, node: int | None) -> None:
    assert taxonomy.resolve(label) == node


OLDER = Taxonomy(
    paths={166: "Mode", 187: "Mode > Schuhe", 9: "Mode > Altes", 10: "Mode > Altes > Korsetts", 99: "Weg", 5: "Weg > A"}
)


@pytest.mark.parametrize(
    ("label", "node", "found"),
    [
        ("187", 187, "as it is"),
        ("187 - Apparel & Accessories > Shoes", 187, "as it is"),
        ("187 - Apparel & Accessories > Footwear", 187, "renamed"),
        ("Mode > Schuhe", 187, "renamed"),
        ("10", 166, "removed"),
        ("mode>altes>korsetts", 166, "removed"),
        ("10 - Mode > Altes > Korsetts", 166, "removed"),
        ("8888 - Apparel & Accessories > Shoes > Clogs", 187, "removed"),
        ("8888 - Apparel & Accessories > Shoes", 187, "removed"),
        ("Apparel & Accessories > Spats > Left", 166, "removed"),
        ("5", None, "unknown"),
        ("8888", None, "unknown"),
        ("8888 - Nowhere > Else", None, "unknown"),
        ("Shoes", None, "unknown"),
    ],
)
def test_labels_of_another_version_are_traced(taxonomy: Taxonomy, label: str, node: int | None, found: Found) -> None:
    assert replace(taxonomy, of_labels=OLDER).trace(label) == Trace(node=node, found=found)


def test_without_the_other_version_only_what_the_label_says_helps(taxonomy: Taxonomy) -> None:
    assert taxonomy.trace("10").found == "unknown"
    assert taxonomy.trace("Mode > Schuhe").found == "unknown"
    assert taxonomy.trace("10 - Apparel & Accessories > Corsets") == Trace(node=166, found="removed")


@given(st.text())
def test_resolves_any_text_to_a_node_or_none(label: str) -> None:
    node = sample_taxonomy().resolve(label)
    assert node is None or node in sample_taxonomy()


@pytest.mark.parametrize("ask", [Taxonomy.path_of, Taxonomy.parent, Taxonomy.ancestors, Taxonomy.children])
def test_unknown_id_is_named(taxonomy: Taxonomy, ask: Any) -> None:
    with pytest.raises(TaxonomyError, match=r"taxonomy-with-ids.en-US.txt: no category id 999; wanted one of its 5"):
        ask(taxonomy, 999)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1 - A\nrubbish", "line 2: found 'rubbish', wanted `id - A > B`"),
        ("1 - A\n2 - A > ", "line 2: found '2 - A >', wanted"),
        ("1 - A\nx - A > B", "line 2: found 'x - A > B'"),
        ("1 - A\n1 - B", "line 2: id 1 stands twice: 'A' and 'B'"),
        ("1 - A\n2 - A", "ids 1 and 2 have one path: 'A'"),
        ("1 - A\n2 - B > C", "id 2: no line for its parent 'B'"),
        ("", "holds no node"),
        ("# Google_Product_Taxonomy_Version: 2021-09-21\n", "holds no node"),
        ("1 - A\n" + "z" * 500, "line 2: found 'zzz"),
        ("1 - A\n" + "9" * 5000 + " - B", "line 2: found '999"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(TaxonomyError) as error:
        read_taxonomy(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert len(str(error.value)) < 200 + len(str(path))


@pytest.mark.parametrize("digits", ["9" * 5000, "²", "9" * 19])
def test_digits_that_are_no_id_are_unknown(digits: str) -> None:
    for label in (digits, f"{digits}.0", f"{digits} - Things"):
        assert sample_taxonomy().resolve(label) is None


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match="no such file"):
        read_taxonomy(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaxonomyError, match="cannot be read as UTF-8"):
        read_taxonomy(tmp_path / "binary.txt")


@given(st.text())
def test_any_text_is_a_taxonomy_or_a_taxonomy_error(text: str) -> None:
    try:
        taxonomy = parse_taxonomy(text.splitlines(), source="wild")
    except TaxonomyError:
        return
    assert all(taxonomy.resolve(str(node)) == node for node in taxonomy.ids)


def test_windows_files_read_the_same(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "windows.txt"
    path.write_bytes(b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode())
    assert read_taxonomy(path).paths == taxonomy.paths
    assert read_taxonomy(path).version == taxonomy.version


def test_sample_taxonomy_is_whole() -> None:
    taxonomy = sample_taxonomy()
    assert len(taxonomy.roots) >= 10
    assert len(taxonomy.leaves) >= 48
    assert taxonomy.path_of(187) == "Apparel & Accessories > Shoes"
    assert all(taxonomy.resolve(taxonomy.path_of(node)) == node for node in taxonomy.ids)


@pytest.mark.skipif(not OFFICIAL.exists(), reason="Google's own file is not at hand")
def test_sample_taxonomy_is_a_part_of_googles() -> None:
    official = read_taxonomy(OFFICIAL)
    sample = sample_taxonomy()
    assert sample.version == official.version
    assert all(official.path_of(node) == path for node, path in sample.paths.items())
    assert all(official.ancestors(node) == sample.ancestors(node) for node in sample.ids)


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = {
            "/taxonomy.en-US.txt": (200, LINES.encode()),
            "/page.en-US.txt": (200, b"<html>Sorry</html>"),
            "/bytes.en-US.txt": (200, b"\xff\xfe"),
        }.get(self.path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_fetches_a_locale(server: str, tmp_path: Path, taxonomy: Taxonomy) -> None:
    out = tmp_path / "new" / "taxonomy.txt"
    fetched = fetch_taxonomy("en-US", out=out, url=f"{server}/taxonomy.{{locale}}.txt")
    assert fetched.paths == taxonomy.paths == read_taxonomy(out).paths


@pytest.mark.parametrize(
    ("locale", "address", "message"),
    [
        ("en-US", "/none.{locale}.txt", "answered 404"),
        ("en-US", "/page.{locale}.txt", "line 1: found '<html>Sorry</html>'"),
        ("en-US", "/bytes.{locale}.txt", "not UTF-8"),
        ("../../x", "/taxonomy.{locale}.txt", "locale: found '../../x', wanted a form like 'en-US'"),
    ],
)
def test_a_failed_fetch_leaves_no_file(server: str, tmp_path: Path, locale: str, address: str, message: str) -> None:
    with pytest.raises(TaxonomyError, match=message.replace(".", r"\.")):
        fetch_taxonomy(locale, out=tmp_path / "taxonomy.txt", url=server + address)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "thesis.txt"
    out.write_text("years of work")
    with pytest.raises(TaxonomyError, match=r"thesis\.txt: is no taxonomy and is not replaced"):
        fetch_taxonomy("en-US", out=out, url="http://127.0.0.1:9/{locale}")
    assert out.read_text() == "years of work"


def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Answers) as http:
        port = http.server_port
    with pytest.raises(TaxonomyError, match=f"127.0.0.1:{port}/x: cannot be fetched"):
        fetch_taxonomy("en-US", out=tmp_path / "taxonomy.txt", url=f"http://127.0.0.1:{port}/x")


@pytest.mark.parametrize("read", [read_taxonomy, read_mapping])
def test_a_pipe_and_a_file_without_end_are_an_error(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TaxonomyError, match=r"pipe: cannot be read .* is no regular file"):
        read(tmp_path / "pipe")
    with (tmp_path / "sparse.txt").open("wb") as file:
        file.truncate(10**12)
    wanted = r"sparse.txt: cannot be read .* found 1,000,000,000,000 bytes, wanted at most 134,217,728"
    with pytest.raises(TaxonomyError, match=wanted):
        read(tmp_path / "sparse.txt")


def test_an_id_of_thousands_of_digits_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("9" * 5000 + " - Arts\n")
    with pytest.raises(TaxonomyError, match=r"line 1: found '9{80}…', wanted"):
        read_taxonomy(tmp_path / "t.txt")
    assert sample_taxonomy().resolve("9" * 5000) is None


@pytest.mark.parametrize(("start", "found"), [("", "unknown"), ("Apparel & Accessories>", "removed")])
def test_a_label_of_thousands_of_levels_is_resolved_at_once(start: str, found: Found) -> None:
    label = start + ">".join(["x"] * 32_000)
    started = time.process_time()
    assert sample_taxonomy().trace(label) == Trace(node=166 if start else None, found=found)
    assert time.process_time() - started < 1
