"""Values of the brand field that are no brand: UNKNOWN (junk) and UNBRANDED (explicitly none)."""

import re
from dataclasses import dataclass
from typing import Literal

from prodemb.aliases.normalise import words_of
from prodemb.aliases.vocabulary import (
    AUDIENCES,
    COLOUR_SHADES,
    COLOURS,
    COLOURS_OR_NAMES,
    FIT_SHADES,
    FITS,
    MATERIALS,
    PATTERNS,
    SIZE_SHADES,
    SIZES,
    UNBRANDED_PHRASES,
    UNKNOWN_PHRASES,
)

UNKNOWN = "UNKNOWN"
"""The canonical value of junk: there may be a brand, but the supplied string does not name it."""

UNBRANDED = "UNBRANDED"
"""The canonical value of strings that say that there is no brand."""

JunkRule = Literal[
    "placeholder", "unbranded", "url", "number", "colour", "fit", "size", "audience", "pattern", "material"
]

_URL = re.compile(r"https?:|://|\bwww\.|^[\w.+-]+@[\w-]+\.\w+$", re.IGNORECASE)
_FIXED: tuple[JunkRule, ...] = ("placeholder", "unbranded", "url")
"""Rules that hold however often and wherever a string stands."""
_JOINING = frozenset({"and", "et", "und", "y", "e", "with"})
_NUMBER = re.compile(r"\d+")
_MEASURE = re.compile(r"\d+(?:x\d+)*(?:cm|mm|ml|kg|gms?|gb|tb|mb|mah|x*l|pcs?|inch|in|oz|lbs?|yr?s?|ltr|watt)?")


@dataclass(frozen=True, slots=True)
class Junk:
    """Why a supplied string is no brand, and whether it may still be one (`4711`, `Orange`)."""

    canonical: str
    rule: JunkRule
    may_be_name: bool

    @property
    def depends_on_use(self) -> bool:
        """Whether it is a word of the language that a maker could have taken for its name."""
        return self.rule not in _FIXED


def find_junk(text: str) -> Junk | None:
    """The junk rule that `text` falls under, or None where it may be a brand.

    A rule applies only where every word of the value is in its vocabulary: "Red" is junk and "Red Tape" is not.
    """
    if text.strip() == r"\N":  # a database's null
        return Junk(UNKNOWN, "placeholder", may_be_name=False)
    if _URL.search(text.strip()):
        return Junk(UNKNOWN, "url", may_be_name=False)
    words = words_of(text)
    phrase = " ".join(words)
    if not words or phrase in UNKNOWN_PHRASES:
        return Junk(UNKNOWN, "placeholder", may_be_name=False)
    if phrase in UNBRANDED_PHRASES:
        return Junk(UNBRANDED, "unbranded", may_be_name=False)
    rule = _vocabulary_rule(words)
    if rule is None:
        return None
    several = len(words) > 1 and rule in ("audience", "pattern")
    doubtful = several or rule in ("number", "material") or (rule == "colour" and not COLOURS.issuperset(words))
    return Junk(UNKNOWN, rule, may_be_name=doubtful)


def _vocabulary_rule(words: tuple[str, ...]) -> JunkRule | None:
    """The vocabulary that covers all words, numbers are allowed besides."""
    if all(_NUMBER.fullmatch(word) for word in words):
        return "number"
    others = {word for word in words if not _MEASURE.fullmatch(word)}
    if not others:
        return "size"
    numbered = not others.issuperset(words)
    colours = COLOURS | COLOURS_OR_NAMES
    # A conjunction between two colours is none at the front: "And Red" is red by And.
    if others & colours and others <= colours | COLOUR_SHADES | PATTERNS and words[0] not in _JOINING:
        return "colour"
    if others & FITS and others <= FITS | FIT_SHADES | AUDIENCES | COLOURS:
        return "fit"
    if others <= SIZES | SIZE_SHADES and (others & SIZES or numbered):
        return "size"
    if others & AUDIENCES and others <= AUDIENCES | {"for"}:
        return "audience"
    if others & PATTERNS and others <= PATTERNS | AUDIENCES:
        return "pattern"
    if others & MATERIALS and others <= MATERIALS | COLOURS | PATTERNS:
        return "material"
    return None
