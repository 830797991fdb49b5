"""Comparison keys and well-formed spellings of brand names: Unicode repair, marks, legal suffixes, transliteration."""

import functools
import html
import re
import unicodedata
from typing import Literal

import ftfy
from anyascii import anyascii

from prodemb.aliases.vocabulary import LEGAL_FORMS_UNSPACED, LEGAL_PHRASES, LEGAL_PREFIXES, LEGAL_SUFFIXES

SpellingRule = Literal[
    "exact", "case", "marks", "mojibake", "punctuation-spacing", "legal_suffix", "transliteration", "unlike"
]
"""What makes two spellings one name, the mildest first."""

SPELLING_SCORES: dict[SpellingRule, float] = {
    "exact": 1.0,
    "case": 1.0,
    "marks": 1.0,
    "mojibake": 0.99,
    "punctuation-spacing": 0.98,
    "legal_suffix": 0.98,
    "transliteration": 0.95,
    "unlike": 0.0,
}

_MARKS = re.compile(r"[®™©℠℗Ⓡⓒ]|\((?:r|tm|c|sm)\)", re.IGNORECASE)
_TOKEN = re.compile(r"(?:[^\W\d_]\.){2,}|(?:[^\W\d_]\.)+[^\W\d_](?![^\W_])|[^\W_]+(?:['’`´ʼ][^\W_]+)*")
_ASCII_NOISE = re.compile(r"[^a-z0-9]+")
_ARTICLES = frozenset({"the", "a", "an", "le", "la", "les", "el", "los", "il", "der", "die", "das"})
LONGEST = 2_000
"""Characters of a name or title that are read."""
_TRAILING = " \t,;:/&(-–—|"


def repair(text: str) -> str:
    """Undo mojibake and HTML entities, drop ® ™ © and their ASCII forms, and fold to NFKC with single spaces.

    Only the first `LONGEST` characters are read: a description in the brand field must not take a minute.
    """
    text = text[:LONGEST]
    if "&" in text and ";" in text:
        text = html.unescape(text)
    if not text.isascii():
        # Marks go after ftfy, which needs them (é arrives as Ã©), and before NFKC, which spells ™ out as TM.
        text = unicodedata.normalize("NFKC", _MARKS.sub(" ", ftfy.fix_text(text)))
    return " ".join(_MARKS.sub(" ", text).split())


@functools.lru_cache(maxsize=65_536)
def _fold(token: str) -> str:
    """One word in lower-case ASCII letters and digits; empty where it has none."""
    if not token.isascii():
        token = anyascii(token.casefold())
    return _ASCII_NOISE.sub("", token.lower())


def _spans(text: str) -> list[tuple[str, int, int]]:
    """The folded words of a repaired text with their positions; "and" and `&` between two words are left out."""
    # Vowel signs and other marks belong to their word, but Python's \w leaves them out.
    masked = text if text.isascii() else "".join("x" if unicodedata.category(c)[0] == "M" else c for c in text)
    found = [(match.start(), match.end()) for match in _TOKEN.finditer(masked)]
    folded = [(_fold(text[start:end]), start, end) for start, end in found]
    last = len(folded) - 1
    return [span for index, span in enumerate(folded) if span[0] and (span[0] != "and" or index in (0, last))]


def words_of(text: str) -> tuple[str, ...]:
    """The folded words of any text, with legal suffixes; titles and names are compared in this form."""
    return tuple(word for word, _, _ in _spans(repair(text)))


def _legal_words(words: tuple[str, ...]) -> int:
    """How many of the last words are a legal form; at least one word of the name is left."""
    keep = len(words)
    while keep > 1:
        cut = next((size for size in (5, 4, 3, 2, 1) if _is_legal(words[:keep], size=size)), 0)
        rest = words[: keep - cut]
        if not cut or all(word in _ARTICLES for word in rest):
            break
        keep -= cut
    return len(words) - keep


def _is_legal(words: tuple[str, ...], *, size: int) -> bool:
    """Whether the last `size` words are one legal form, and something comes before them."""
    if size >= len(words):
        return False
    tail = words[-size:]
    if size == 1:
        # "The Honest Company" is a name as it stands, "Honest Company" may be one with its legal form.
        return tail[0] in LEGAL_SUFFIXES and not (tail[0] == "company" and words[0] == "the")
    spelled_out = all(len(word) == 1 for word in tail) and "".join(tail) in LEGAL_SUFFIXES
    return " ".join(tail) in LEGAL_PHRASES or spelled_out


def _without_unspaced_form(text: str) -> str:
    """Without a legal form of a script that puts no space beside it (有限公司, 株式会社), behind the name or before."""
    for form in LEGAL_FORMS_UNSPACED:
        bare = text if form.endswith(")") else text.rstrip(" )）")
        if bare.endswith(form) and len(bare) > len(form) + 1:
            return bare.removesuffix(form).rstrip(" (（")
        if text.startswith(form) and len(text) > len(form) + 1:
            return text.removeprefix(form).lstrip(" )）")
    return text


def _has_legal_prefix(words: tuple[str, ...]) -> bool:
    """Whether the first word is a legal form and a name of more than two letters follows."""
    return len(words) > 1 and words[0] in LEGAL_PREFIXES and len(words[1]) > 2


def brand_words(text: str) -> tuple[str, ...]:
    """The folded words of a brand name without its legal forms."""
    words = tuple(word for word, _, _ in _spans(_without_unspaced_form(repair(text))))
    return words[_has_legal_prefix(words) : len(words) - _legal_words(words)]


def normalise_brand(text: str) -> str:
    """The key under which spellings of one brand are equal: "NIKE®", "Nike, Inc." and "nike" all give "nike".

    Mojibake repair (ftfy), NFKC, marks, case, punctuation, spacing, legal suffixes at the end, and transliteration
    (anyascii). The key holds only a-z and 0-9 and is empty where the text has no letter or digit. Idempotent.
    """
    return "".join(brand_words(text))


def tidy_spelling(text: str) -> str:
    """The text as a name to show: repaired, without marks and legal suffixes, otherwise as the partner wrote it."""
    repaired = _without_unspaced_form(repair(text))
    spans = _spans(repaired)
    words = tuple(word for word, _, _ in spans)
    legal = _legal_words(words)
    if legal:
        repaired = repaired[: spans[-legal][1]].rstrip(_TRAILING)
    if _has_legal_prefix(words[: len(words) - legal]):
        repaired = repaired[spans[1][1] :]
    return repaired.strip(" \t,;:/|\"'`*_-«»“”„") or repaired


def spelling_rule(supplied: str, *, canonical: str) -> SpellingRule:
    """The mildest rule under which the two are one name; "unlike" where no rule of spelling makes them one."""
    if supplied == canonical:
        return "exact"
    if " ".join(supplied.split()).casefold() == canonical.casefold():
        return "case"
    unmarked = " ".join(_MARKS.sub(" ", supplied).split()).casefold()
    if unmarked == _MARKS.sub(" ", canonical).strip().casefold():
        return "marks"
    repaired, wanted = repair(supplied).casefold(), repair(canonical).casefold()
    if repaired == wanted:
        return "mojibake"
    if _letters(repaired) == _letters(wanted):
        return "punctuation-spacing"
    if _letters(tidy_spelling(supplied).casefold()) == _letters(tidy_spelling(canonical).casefold()):
        return "legal_suffix"
    return "transliteration" if normalise_brand(supplied) == normalise_brand(canonical) else "unlike"


def _letters(text: str) -> str:
    """Letters, digits and their marks alone."""
    return "".join(c for c in text if c.isalnum() or unicodedata.category(c)[0] == "M")


def choose_spelling(spellings: dict[str, int]) -> str:
    """The canonical spelling of one name from its supplied spellings and their numbers of products.

    The most frequent tidy spelling, but mixed case before SHOUTING and before all lower case where a fair part of the
    products has it: a fifth, or a third for words of at most four letters, which may be abbreviations (HP, ASUS).
    """
    tidy: dict[str, int] = {}
    for supplied, products in spellings.items():
        spelling = tidy_spelling(supplied)
        tidy[spelling] = tidy.get(spelling, 0) + products
    best = max(tidy, key=lambda spelling: (tidy[spelling], _form(spelling), spelling))
    if _form(best) == 2:
        return best
    total = sum(tidy.values())
    fair = total / 3 if best.isupper() and sum(c.isalpha() for c in best) <= 4 else total / 5
    mixed = [spelling for spelling in tidy if _form(spelling) == 2 and tidy[spelling] >= fair]
    return max(mixed, key=lambda spelling: (tidy[spelling], spelling), default=best)


def _form(spelling: str) -> int:
    """2 for mixed case or no case at all, 1 for all upper case, 0 for all lower case."""
    if spelling.isupper():
        return 1
    return 0 if spelling.islower() else 2
