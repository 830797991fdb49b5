"""Shopify's own categories as Google's, by the mapping files that Shopify publishes."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodemb.core.errors import TaxonomyError
from prodemb.core.regular import read_regular
from prodemb.taxonomy.paths import plain_path

MAX_FILE_BYTES = 64 << 20
"""Of a file of a taxonomy or a mapping; the largest that is published has 5 MB."""

_FROM, _TO = "→", "⇒"
"""How the lines of the text form begin: a category of Shopify, then the category of Google that it is."""

_WANTED = "wanted Shopify's mapping to Google, a file like shopify_2026-02_to_google_2021-09-21.txt or .json"


@dataclass(frozen=True, kw_only=True)
class CategoryMapping:
    """Which category of Google each category of Shopify is."""

    by_id: dict[str, str]
    """A Google category ("166 - Apparel & Accessories") by Shopify's id ("aa-1"); only the JSON form has ids."""
    by_path: dict[str, str]
    """A Google category, as an id with its path or as a path, by Shopify's full path (`plain_path`)."""

    def google(self, text: str) -> str | None:
        """The Google category of a Shopify id ("gid://shopify/TaxonomyCategory/aa-1", "aa-1") or full path, or None."""
        return self.by_id.get(_id_of(text)) or self.by_path.get(plain_path(text))


def read_mapping(path: Path) -> CategoryMapping:
    """Read a mapping from Shopify to Google as Shopify publishes it, JSON or text, told apart by content.

    A category that is mapped to none or to several of Google's is left out: it would be no certain label.

    Raises:
        TaxonomyError: there is no such file, or it holds no such mapping, or several.

    Source: github.com/Shopify/product-taxonomy, `dist/en/integrations/google`.
    """
    try:
        text = read_regular(path, max_bytes=MAX_FILE_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise TaxonomyError(f"{path}: no such file; {_WANTED}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TaxonomyError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    if not text.lstrip().startswith("{"):
        by_id, by_path = {}, _parsed_lines(text.splitlines())
    else:
        try:
            rules = [*_rules(json.loads(text), source=str(path))]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            found = f"{type(error).__name__}: {error}"
            raise TaxonomyError(f"{path}: cannot be read as a mapping ({found}); {_WANTED}") from None
        by_id = {_id_of(own): google for own, _, google in rules}
        by_path = {plain_path(name): google for _, name, google in rules}
    if not by_path:
        raise TaxonomyError(f"{path}: maps no category; {_WANTED}")
    return CategoryMapping(by_id=by_id, by_path=by_path)


def _rules(content: Any, *, source: str) -> Iterator[tuple[str, str, str]]:
    """Shopify's id and full path, and Google's category, of each rule of the JSON form."""
    mappings = [
        mapping
        for mapping in content["mappings"]
        if mapping["input_taxonomy"].startswith("shopify/") and mapping["output_taxonomy"].startswith("google/")
    ]
    if len(mappings) != 1:
        raise TaxonomyError(f"{source}: found {len(mappings)} mappings from Shopify to Google, wanted one")
    for rule in mappings[0]["rules"]:
        own, theirs = rule["input"]["category"], rule["output"]["category"] or []
        if len(theirs) == 1:
            google = theirs[0]
            yield own["id"], own["full_name"], f"{int(_id_of(str(google['id'])))} - {google['full_name']}"


def _parsed_lines(lines: Iterable[str]) -> dict[str, str]:
    """Google's path by Shopify's, from the text form."""
    found: dict[str, list[str]] = {}
    below: list[str] = []
    for line in lines:
        mark, name = line[:1], line[1:].strip()
        if mark == _FROM:
            below = found.setdefault(plain_path(name), [])
        elif mark == _TO and name:
            below.append(name)
    return {path: names[0] for path, names in found.items() if len(names) == 1}


def _id_of(text: str) -> str:
    """What an id of the form gid://shopify/TaxonomyCategory/aa-1 ends in."""
    return text.strip().rpartition("/")[2].casefold()
