"""XML feeds: RSS, Atom and others that repeat a record; what is broken costs its record, what attacks is refused."""

from pathlib import Path
from typing import Any

import pytest

from prodemb.catalog.formats import open_source
from prodemb.catalog.formats.source import Source
from prodemb.core.errors import CatalogError

G = 'xmlns:g="http://base.google.com/ns/1.0"'


def opened(path: Path, content: str | bytes) -> tuple[Source, list[dict[str, Any]]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = open_source(path)
    return source, [row for batch in source.batches() for row in batch.table.to_pylist()]


def rss(*items: str, spaces: str = G) -> str:
    inside = "".join(f"<item>{item}</item>" for item in items)
    return f'<?xml version="1.0"?>\n<rss {spaces} version="2.0"><channel><title>Shop</title>{inside}</channel></rss>'


def item(number: int, more: str = "") -> str:
    return f"<g:id>{number}</g:id><title>Mug {number}</title>{more}"


def test_google_merchant_rss(tmp_path: Path) -> None:
    more = (
        "<g:title>Better</g:title><description><![CDATA[<p>a & b</p>]]></description>"
        "<g:product_type>A &gt; B</g:product_type><g:product_type>C</g:product_type>"
        "<g:additional_image_link>u</g:additional_image_link><g:mpn> </g:mpn>"
        "<g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping><link>https://x?a=1&amp;b=2</link>"
    )
    source, rows = opened(tmp_path / "feed", rss(item(1, more), item(2)))
    assert source.format == "rss"
    assert rows[0] == {
        "id": "1",
        "title": "Better",
        "description": "<p>a & b</p>",
        "product_type": '["A > B","C"]',
        "additional_image_link": "u",
        "mpn": None,
        "shipping": '{"country":"DE","price":"4 EUR"}',
        "link": "https://x?a=1&b=2",
    }
    assert rows[1]["title"] == "Mug 2"


def test_atom_with_its_own_and_googles_names(tmp_path: Path) -> None:
    entries = (
        "<entry><id>tag:x</id><g:id>1</g:id><title>Mug</title><summary>Holds a cup.</summary>"
        '<link rel="alternate" href="https://x/1"/></entry>'
        "<entry><g:id>2</g:id><g:title>Cup</g:title><g:description>Holds tea.</g:description><g:link>https://x/2</g:link>"
        "</entry>"
    )
    content = f'<feed xmlns="http://www.w3.org/2005/Atom" {G}><title>Shop</title><id>t</id>{entries}</feed>'
    source, rows = opened(tmp_path / "feed", content)
    assert source.format == "atom"
    assert [(row["id"], row["title"], row["description"]) for row in rows] == [
        ("1", "Mug", "Holds a cup."),
        ("2", "Cup", "Holds tea."),
    ]
    assert rows[1]["link"] == "https://x/2"


@pytest.mark.parametrize(
    "content",
    [
        "<products><product><sku>1</sku><name>Mug</name></product><product><sku>2</sku><name>Cup</name></product></products>",
        '<shop><offers><offer sku="1"><name>Mug</name></offer><offer sku="2"><name>Cup</name></offer></offers></shop>',
        '<t><row sku="1" name="Mug"/><row sku="2" name="Cup"/></t>',
        "<Catalog><Categories><Category><Id>7</Id></Category></Categories><Items><ITEM><sku>1</sku><name>Mug</name></ITEM>"
        "<ITEM><sku>2</sku><name>Cup</name></ITEM></Items></Catalog>",
        '\n <?xml version="1.0"?><!-- x --><!DOCTYPE a><a><b><sku>1</sku><name>Mug</name><b2><sku>9</sku></b2></b>'
        "<b><sku>2</sku><name>Cup</name></b></a>",
    ],
)
def test_other_xml_that_repeats_a_record(tmp_path: Path, content: str) -> None:
    _, rows = opened(tmp_path / "feed", content)
    assert [(row["sku"], row["name"]) for row in rows] == [("1", "Mug"), ("2", "Cup")]


def test_nested_values(tmp_path: Path) -> None:
    more = (
        "<images><image>u</image><image>v</image></images><one><images><image>w</image></images></one>"
        '<param name="Colour">red</param><param name="Size">M</param><photo url="p" width="3"/>'
        '<name xml:lang="de">Tasse</name><name xml:lang="en">Mug</name><text>a <b>bold</b> word</text>'
    )
    _, rows = opened(tmp_path / "feed", rss(item(1, more), item(2)))
    assert rows[0]["images"] == '["u","v"]'
    assert rows[0]["one"] == '{"images":["w"]}'
    assert rows[0]["param"] == '[{"name":"Colour","value":"red"},{"name":"Size","value":"M"}]'
    assert rows[0]["photo"] == '{"url":"p","width":"3"}'
    assert rows[0]["name"] == '[{"language":"de","value":"Tasse"},{"language":"en","value":"Mug"}]'
    assert rows[0]["text"] == "a  bold  word"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251", "koi8-r", "shift_jis", "gb18030"])
def test_encodings_by_declaration_and_content(tmp_path: Path, encoding: str) -> None:
    title = {"shift_jis": "木の椅子", "gb18030": "陶瓷马克杯"}.get(
        encoding, "Кружка" if encoding != "utf-8" else "Tasse é"
    )
    content = rss(f"<g:id>1</g:id><title>{title}</title>", item(2)).replace(
        '"1.0"', f'"1.0" encoding="{encoding.removesuffix("-sig")}"', 1
    )
    _, rows = opened(tmp_path / "feed", content.encode(encoding))
    assert rows[0]["title"] == title


@pytest.mark.parametrize(
    ("broken", "title"),
    [
        ("<g:id>x</g:id><title>Salt & Pepper</title>", "Salt & Pepper"),
        ("<g:id>x</g:id><title>Caf&eacute; &nbsp;&copy;</title>", "Café \u00a0©"),
        ("<g:id>x</g:id><title>a\x0bb&#11;</title>", "ab "),
        ("<g:id>x</g:id><title>a</titel>", None),
        ("<g:id>x</g:id><title>a < b", None),
    ],
)
def test_what_is_not_well_formed_is_mended_or_costs_its_record(tmp_path: Path, broken: str, title: str | None) -> None:
    source, rows = opened(tmp_path / "feed", rss(item(1), broken, item(3)))
    found = {row["id"]: row["title"] for row in rows}
    assert found == {"1": "Mug 1", "3": "Mug 3"} | ({"x": title} if title else {})
    assert source.skipped.count == (title is None)


def test_a_record_that_is_not_closed_costs_that_record(tmp_path: Path) -> None:
    content = rss(item(1), item(2), item(3)).replace("Mug 2</title></item>", "Mug 2</title>", 1)
    source, rows = opened(tmp_path / "feed", content)
    assert [row["id"] for row in rows] == ["1", "3"]
    assert source.skipped.by_reason == {"its XML element is not closed": 1}
    source, rows = opened(tmp_path / "feed", rss(item(1), item(2))[:-40])
    assert [row["id"] for row in rows] == ["1"]


def test_a_prefix_that_nobody_declares_is_read(tmp_path: Path) -> None:
    _, rows = opened(tmp_path / "feed", rss(item(1), item(2), spaces=""))
    assert [row["id"] for row in rows] == ["1", "2"]


def test_another_prefix_for_googles_names(tmp_path: Path) -> None:
    content = rss(item(1), item(2)).replace("g:", "base:").replace("xmlns:g=", "xmlns:base=")
    _, rows = opened(tmp_path / "feed", content)
    assert [row["id"] for row in rows] == ["1", "2"]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 20))


@pytest.mark.parametrize(
    "declared",
    [
        f'<!ENTITY l0 "ha">{LAUGHS}',
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        '<!ENTITY x "y">',
        '<!ENTITY % p SYSTEM "https://example.com/x.dtd"> %p;',
    ],
)
def test_entities_are_refused(tmp_path: Path, declared: str) -> None:
    content = rss("<g:id>1</g:id><title>&x;&l19;</title>", item(2)).replace(
        "<rss", f"<!DOCTYPE rss [{declared}]><rss", 1
    )
    with pytest.raises(CatalogError, match="declares an XML entity"):
        opened(tmp_path / "feed", content)


def test_a_document_type_inside_is_no_way_round(tmp_path: Path) -> None:
    bad = '<g:id>x</g:id><title><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>&x;</title>'
    source, rows = opened(tmp_path / "feed", rss(item(1), bad, item(3)))
    assert [row["id"] for row in rows] == ["1", "3"]
    assert source.skipped.count == 1


@pytest.mark.parametrize("is_cdata", [False, True])
def test_a_record_that_is_too_long_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cdata: bool) -> None:
    monkeypatch.setattr("prodemb.catalog.formats.xml_scanner.MAX_ROW_BYTES", 100_000)
    text = "x</title>" * 400_000 if is_cdata else "x" * 3_000_000
    long = f"<title>{f'<![CDATA[{text}]]>' if is_cdata else text}</title>"
    source, rows = opened(tmp_path / "feed", rss(item(1), long, item(3)))
    assert [row["id"] for row in rows] == ["1", "3"]
    assert source.skipped.count == 1


def test_records_nested_too_deep_are_skipped(tmp_path: Path) -> None:
    source, rows = opened(tmp_path / "feed", rss(item(1), item(2, "<x>" * 99 + "</x>" * 99), item(3)))
    assert [row["id"] for row in rows] == ["1", "3"]
    assert source.skipped.by_reason == {"nested more than 50 deep": 1}
