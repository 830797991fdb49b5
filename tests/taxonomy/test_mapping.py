"""Shopify's categories become Google's by the published files, and only where the file is certain."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prodemb.core.errors import TaxonomyError
from prodemb.taxonomy.mapping import CategoryMapping, read_mapping
from prodemb.taxonomy.taxonomy import Taxonomy, Trace

TAXONOMY = Taxonomy(paths={166: "Clothes", 187: "Clothes > Shoes", 212: "Clothes > Shirts", 8: "Arts"})

TEXT = """\
# Shopify Product Taxonomy - Mapping shopify/2026-02 to google/2021-09-21
# Format:
# → {base taxonomy category name}
# ⇒ {mapped taxonomy category name}

→ Wear
⇒ Clothes

→ Wear > Feet > Boots
⇒ Clothes > Shoes

→ Clothes > Shoes
⇒ Arts

→ Wear > Two
⇒ Clothes > Shoes
⇒ Clothes > Shirts

→ Wear > None
"""


def rule(own: str, name: str, *google: tuple[str, str]) -> dict[str, Any]:
    category = {"id": f"gid://shopify/TaxonomyCategory/{own}", "full_name": name}
    return {
        "input": {"category": category},
        "output": {"category": [{"id": node, "full_name": path} for node, path in google]},
    }


RULES = [
    rule("aa", "Wear", ("166", "Clothes")),
    rule("aa-1-2", "Wear > Feet > Boots", ("gid://google/TaxonomyCategory/187", "Clothes > Shoes")),
    rule("aa-2", "Wear > Two", ("187", "Clothes > Shoes"), ("212", "Clothes > Shirts")),
    rule("aa-3", "Wear > None"),
    rule("aa-4", "Wear > Old", ("99", "Clothes > Corsets")),
]
GOOGLE = {"input_taxonomy": "shopify/2026-02", "output_taxonomy": "google/2021-09-21", "rules": RULES}
OTHER = {
    "input_taxonomy": "shopify/2025-01",
    "output_taxonomy": "shopify/2026-02",
    "rules": [rule("x", "X", ("1", "Y"))],
}


def mapping_of(folder: Path, content: object) -> CategoryMapping:
    path = folder / "mapping"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return read_mapping(path)


@pytest.mark.parametrize("content", [TEXT, {"version": "2026-02", "mappings": [OTHER, GOOGLE]}], ids=["text", "json"])
def test_full_paths_are_resolved_and_what_is_not_certain_is_not(tmp_path: Path, content: object) -> None:
    taxonomy = replace(TAXONOMY, mapping=mapping_of(tmp_path, content))
    assert taxonomy.trace("Wear > Feet > Boots") == Trace(node=187, found="as it is")
    assert taxonomy.resolve("wear>feet &gt; boots") == 187
    assert taxonomy.resolve("Wear") == 166
    for unknown in ("Wear > Feet", "Wear > Two", "Wear > None", "X", "Boots"):
        assert taxonomy.trace(unknown) == Trace(node=None, found="unknown")


def test_ids_are_resolved_where_the_file_has_them(tmp_path: Path) -> None:
    taxonomy = replace(TAXONOMY, mapping=mapping_of(tmp_path, {"mappings": [GOOGLE]}))
    assert taxonomy.resolve("gid://shopify/TaxonomyCategory/aa-1-2") == 187
    assert taxonomy.resolve("aa-1-2") == 187
    assert taxonomy.trace("gid://shopify/TaxonomyCategory/aa-4") == Trace(node=166, found="removed")
    assert taxonomy.resolve("gid://shopify/TaxonomyCategory/zz") is None


def test_what_is_googles_stays_googles(tmp_path: Path) -> None:
    taxonomy = replace(TAXONOMY, mapping=mapping_of(tmp_path, TEXT))
    for text, node in (("187", 187), ("Clothes > Shoes", 187), ("212 - Clothes > Shirts", 212), ("999", None)):
        assert taxonomy.resolve(text) == TAXONOMY.resolve(text) == node


def test_without_the_file_they_are_no_labels() -> None:
    assert TAXONOMY.resolve("gid://shopify/TaxonomyCategory/aa") is None
    assert TAXONOMY.resolve("Wear > Feet > Boots") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("166 - Clothes\n", "maps no category"),
        ("{", "cannot be read as a mapping"),
        ({"mappings": 3}, "cannot be read as a mapping"),
        ({"rules": []}, "cannot be read as a mapping"),
        ({"mappings": [OTHER]}, "found 0 mappings from Shopify to Google, wanted one"),
        ({"mappings": [GOOGLE, GOOGLE]}, "found 2 mappings"),
        ({"mappings": [GOOGLE | {"rules": []}]}, "maps no category"),
        ({"mappings": [GOOGLE | {"rules": [rule("aa", "Wear", ("x", "Clothes"))]}]}, "cannot be read as a mapping"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(TaxonomyError, match=message):
        mapping_of(tmp_path, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match=r"none\.txt: no such file; wanted Shopify's mapping to Google"):
        read_mapping(tmp_path / "none.txt")
