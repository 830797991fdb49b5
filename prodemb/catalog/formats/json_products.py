"""Where in a JSON object the products are: in an array, or in an object of objects that are alike."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prodemb.catalog.formats.header import is_known
from prodemb.catalog.formats.json_values import BadValueError, JsonPath, OpenValues
from prodemb.catalog.formats.text import TooLongError

MAX_SEARCHED_CHARS = 64 << 20
"""Text of an object in which the array of its products is looked for."""
MAX_PATH = 6
NUM_LOOKED_AT = 50
MAX_KNOWN_OF_PAGE = 2
"""A row has more names that are known than a page of rows has ("page", "total")."""
_PRODUCTS = re.compile(
    r"^(products?|items?|offers?|listings?|catalog(ue)?|goods|articles?|artikel|produkte|produits|productos|prodotti"
    r"|results?|data|rows|records|entries|hits|nodes|edges|value|товары)$",
    re.IGNORECASE,
)
_PARTS = re.compile(
    r"variant|image|picture|photo|media|option|categor|tax|shipping|attribute|filter|facet|review|link|store|brand|vendor",
    re.IGNORECASE,
)


@dataclass
class Place:
    """Objects that may be the products, somewhere in an object."""

    path: JsonPath
    is_map: bool
    keys: dict[str, int] = field(default_factory=dict)
    num: int = 0

    def add(self, keys: Mapping[str, Any]) -> None:
        self.num += 1
        if self.num <= NUM_LOOKED_AT:
            for key in list(keys)[:200]:
                self.keys[key] = self.keys.get(key, 0) + 1

    @property
    def is_alike(self) -> bool:
        """Whether most keys come in most of the objects."""
        looked_at = min(self.num, NUM_LOOKED_AT)
        return sum(self.keys.values()) >= 0.5 * looked_at * max(1, len(self.keys))

    def is_likely(self, others: list[set[str]]) -> bool:
        """Whether it may hold the products, beside the keys of the objects that follow the one that it is in."""
        is_single = len(others) > 1 and bool(self.path) and not any(self.path[0] in keys for keys in others)
        return not is_single and (self.num > 2 or any(map(is_known, self.keys)) or self.is_named)

    @property
    def is_named(self) -> bool:
        """Whether its name is one of products."""
        return bool(self.path) and bool(_PRODUCTS.match(self.path[-1]))

    def score(self) -> float:
        known = sum(is_known(key) for key in self.keys)
        score = min(known, 8) + math.log10(self.num + 1) + 3 * self.is_named
        return score - 4 * any(bool(_PARTS.search(each)) for each in self.path) - (2 if self.is_map else 0)


class Finder:
    """Looks through an object for arrays of objects, and for objects of objects that are alike."""

    def __init__(self, values: OpenValues) -> None:
        self._values = values
        self.places: list[Place] = []

    def best(self, *, of_lines: bool) -> Place | None:
        """The place that looks most like products in the object that begins here; None where that is a row itself.

        Args:
            of_lines: the object is a line of JSON lines.
        """
        known, is_one_of_many, others = 0, of_lines, list[set[str]]()
        try:
            first = self._in_object(())
            known = sum(is_known(key) for key, start in first.items() if start not in "{[")
            if self._values.next_character() in ("{", ","):
                # Objects one after another are rows where they are alike, and not pages that hold the rows.
                others = [each for each in (self._next_document() for _ in range(3)) if each is not None]
                keys = set(first)
                alike = [len(keys & each) * 2 >= len(keys | each) for each in others]
                is_one_of_many = known > MAX_KNOWN_OF_PAGE and any(alike)
            else:
                is_one_of_many = False
        except (BadValueError, TooLongError):
            pass
        # Of pages more than the first one holds products.
        best = max((place for place in self.places if place.is_likely(others)), key=Place.score, default=None)
        return best if best is not None and not is_one_of_many and best.score() > known else None

    def _next_document(self) -> set[str] | None:
        while self._values.next_character() == ",":
            self._values.pass_by()
        if self._values.next_character() != "{":
            return None
        value = self._values.value()
        return set(value) if isinstance(value, dict) else None

    def _in_object(self, path: JsonPath) -> dict[str, Any]:
        """Look through an object, and give its keys with what each is."""
        children = Place(path, is_map=True)
        keys: dict[str, Any] = {}
        for key in self._values.members():
            character = self._values.next_character()
            if len(keys) < 1_000:
                keys[key] = character
            if self._values.num_chars > MAX_SEARCHED_CHARS:
                break
            if character == "{" and len(path) < MAX_PATH and len(children.keys) < 10_000:
                children.add(self._in_object((*path, key)))
            elif character == "[":
                self._in_array((*path, key))
            else:
                self._values.skip_value()
        if children.num >= 3 and children.num >= 0.8 * len(keys) and children.is_alike:
            self.places.append(children)
        return keys

    def _in_array(self, path: JsonPath) -> None:
        place = Place(path, is_map=False)
        for value in self._values.elements():
            if isinstance(value, dict):
                # {"node": {...}}: what counts is inside.
                inside = next(iter(value.values())) if len(value) == 1 else None
                place.add(inside if isinstance(inside, dict) else value)
            if self._values.num_chars > MAX_SEARCHED_CHARS:
                break
        if place.num:
            self.places.append(place)
