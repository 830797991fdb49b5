"""The encoding of a text file, found by its content, and its text as UTF-8 whatever it was."""

import codecs
import re
from collections.abc import Callable, Iterator
from typing import IO

import chardet

CHUNK_BYTES = 1 << 20
CANDIDATES = (
    "windows-1252 windows-1250 windows-1251 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257"
    " windows-1258 cp874 koi8-r iso-8859-2 iso-8859-5 iso-8859-7 macroman cp850 cp866 shift_jis cp932 euc-jp"
    " iso-2022-jp gb18030 big5 euc-kr cp949"
).split()
"""What spreadsheets and shops of some country write; with less to choose from, the detector needs less text."""
NEARLY_AS_GOOD = 0.6
"""Encodings with this share of the best one's confidence are told apart by how their text looks."""
_SUPERSETS = {"shift_jis": "cp932", "euc-kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252"}
_NOT_ASCII = re.compile(rb"[\x80-\xff]|\x1b\$")


def _repair(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are not UTF-8, read as cp1252, the habit of Western spreadsheets."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("prodemb.repair", _repair)


def encoding_of(sample: bytes, *, is_whole: bool) -> str:
    """The encoding of a text.

    Args:
        sample: the text's beginning, and lines from elsewhere in it.
        is_whole: whether it is all of the text, so that no character is cut off at its end.

    Returns:
        A name that Python knows; "utf-8-sig" also where the text is ASCII.
    """
    if (marked := _by_mark(sample) or _by_zeros(sample)) is not None:
        return marked
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=is_whole)
    except UnicodeDecodeError:
        pass
    else:
        # ISO-2022-JP is ASCII with escapes.
        return "iso2022_jp" if b"\x1b$" in sample and _decodes(sample, "iso2022_jp") else "utf-8-sig"
    lines = sample.split(b"\n")
    odd = [line for line in lines if _NOT_ASCII.search(line)]
    broken = sum(not _decodes(line, "utf-8") for line in odd)
    if broken * 2 < len(odd):
        return "utf-8-sig"  # here and there a byte that is not; `utf8_chunks` repairs it
    return _detected(b"\n".join(odd))


def _by_mark(start: bytes) -> str | None:
    if start[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    return "utf-8-sig" if start[:3] == codecs.BOM_UTF8 else None


def _by_zeros(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, by the zeros in what is ASCII: delimiters, digits, line ends."""
    sample = sample[: 1 << 16]
    if len(sample) < 4 or sample.count(0) < max(2, len(sample) // 20):
        return None
    units = len(sample) // 4
    whole = sample[: 4 * units]
    share = [whole[place::4].count(0) / units for place in range(4)]
    first, second = (share[0] + share[2]) / 2, (share[1] + share[3]) / 2
    if min(share[2:]) > 0.95 and share[0] < 0.1:
        encoding = "utf-32-le"
    elif min(share[:2]) > 0.95 and share[3] < 0.1:
        encoding = "utf-32-be"
    elif second > 0.1 and first < 0.05:
        encoding = "utf-16-le"
    elif first > 0.1 and second < 0.05:
        encoding = "utf-16-be"
    else:
        return None
    return encoding if _decodes(whole, encoding) else None


def _detected(lines: bytes) -> str:
    """The encoding that a detector gives lines that are not UTF-8, the more usual one where it is not sure."""
    found = chardet.detect_all(lines[:200_000], ignore_threshold=True, include_encodings=CANDIDATES)
    best = max((each["confidence"] or 0.0 for each in found), default=0.0)
    scored = []
    for place, each in enumerate(found):
        name = _python_name(each["encoding"] or "")
        if name and (each["confidence"] or 0.0) >= NEARLY_AS_GOOD * best:
            scored.append((_oddity(lines[:200_000], name), name != "cp1252", place, name))
    return min(scored)[-1] if scored else "cp1252"


def _python_name(encoding: str) -> str | None:
    name = encoding.lower()
    try:
        return codecs.lookup(_SUPERSETS.get(name, name)).name
    except LookupError:
        return None


def _oddity(lines: bytes, encoding: str) -> float:
    """Share of the characters beyond ASCII that nobody writes: capitals or signs inside a word, two scripts in one."""
    text = lines.decode(encoding, "replace")
    found = list(re.finditer(r"[^\x00-\x7f]", text))
    odd = 0
    for match in found[:20_000]:
        character = match[0]
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        is_inside = before.isalpha() and after.isalpha()
        is_greek_or_cyrillic = "\u0370" <= character <= "\u052f"
        odd += (
            character == "\ufffd"
            or "\x80" <= character <= "\x9f"
            or (character.isupper() and before.islower())
            or (encoding == "cp1252" and character in "ðýþÐÝÞ")  # far more often Turkish than Icelandic
            or (is_inside and not character.isalnum() and character not in "’‘´·‐\u2011\u00ad\u200c\u200d")
            or (
                is_greek_or_cyrillic
                and ((before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha()))
            )
        )
    return round(odd / max(1, len(found)), 1)


def _decodes(text: bytes, encoding: str) -> bool:
    try:
        text.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def utf8_chunks(stream: IO[bytes], encoding: str, *, tell: Callable[[str, str], None]) -> Iterator[bytes]:
    """A text as UTF-8, about `CHUNK_BYTES` at a time, each whole characters; without its mark and without NUL.

    Args:
        tell: called with a kind and a sentence when bytes were not what the encoding says.
    """
    errors = "prodemb.repair" if encoding == "utf-8-sig" else "replace"
    strict = codecs.getincrementaldecoder("utf-8" if encoding == "utf-8-sig" else encoding)("strict")
    lenient = codecs.getincrementaldecoder("utf-8" if encoding == "utf-8-sig" else encoding)(errors)
    is_first = True
    while True:
        raw = stream.read(CHUNK_BYTES)
        state = strict.getstate()
        try:
            text = strict.decode(raw, final=not raw)
        except UnicodeDecodeError:
            lenient.setstate(state)
            text = lenient.decode(raw, final=not raw)
            strict.setstate(lenient.getstate())
            was = "UTF-8" if encoding == "utf-8-sig" else encoding
            became = "are read as cp1252" if encoding == "utf-8-sig" else "are lost"
            tell("encoding", f"not {was} throughout; the bytes that are not {became}")
        if is_first and text:
            text, is_first = text.removeprefix("\ufeff"), False
        if "\0" in text:
            text = text.replace("\0", "")
            tell("nul", "holds NUL characters; they are left out")
        if text:
            yield text.encode("utf-8", "replace")
        if not raw:
            return
