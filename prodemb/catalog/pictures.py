"""Picture cells: of a list in any spelling the first picture, as a path, an address or its bytes."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.nested import parsed, plain_key
from prodemb.catalog.plain_text import is_null_word, unescaped
from prodemb.catalog.values import as_texts, decoded, is_text, python_values, texts

PictureKind = Literal["path", "bytes"]
"""Whether an image column holds paths and addresses, or pictures themselves."""

PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
PICTURE_NAME = re.compile(r"\.(?:jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic)$", re.IGNORECASE)
ADDRESS = re.compile(r"^\W{0,3}(?:https?:)?//", re.IGNORECASE)
DATA_ADDRESS = re.compile(r"^data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*?)(;base64)?,", re.IGNORECASE)

_SIZES = (
    "hi_res hires high_resolution xlarge extra_large large largest original full zoom big src url href link"
    " image_url image_link image src_url path file filename medium standard normal small thumb thumbnail"
).split()
"""The keys under which an object has its picture, the largest first."""
_CHOSEN_KEYS = ("main", "is_main", "ismain", "primary", "is_primary", "isprimary", "default", "is_default", "cover")
_FORMULA = re.compile(r"""^\s*=\s*[\w.]+\(\s*["\u201c]([^"\u201d]+)["\u201d]""")
_TAG = re.compile(r"""<img\b[^>]*?\bsrc\s*=\s*(?:"([^"]+)"|'([^']+)'|([^\s>]+))""", re.IGNORECASE)
_MARKDOWN = re.compile(r"^!?\[[^\]]*\]\(\s*<?([^)\s>]+)")
_NEXT_ADDRESS = re.compile(r"\s*[,;|\s]\s*[\"']?(?=(?:https?:)?//)", re.IGNORECASE)
_AFTER_NAME = re.compile(
    r"(\.(?:jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic)(?:\?[^\s,;|]*)?)[\"']?\s*[,;|\n]", re.IGNORECASE
)
_HOST = re.compile(r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}(?::\d+)?/\S", re.IGNORECASE)
_BASE64 = re.compile(r"^[A-Za-z0-9+/_\s-]{32,}={0,2}\s*$")
_LONGEST_NAME = 255
"""No file has a longer name."""
_SIMPLE = r"^[^\[{(<=&,;|\s\x22']+$"
"""Cells that are one path or address, as Rust's regular expressions put it."""


def as_pictures(column: pa.Array, *, kind: PictureKind) -> pa.Array:
    """An image column of any type as paths and addresses (large_string) or as bytes (large_binary).

    Null where there is no picture. With paths asked for, a picture that stands in the catalog itself becomes a data
    address; with bytes asked for, paths are null.
    """
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kind == "bytes":
        return _bytes_of(column)
    if not is_text(column.type):
        return texts([_address_of(picture_of(value)) for value in python_values(column)], of=None)
    series = pl.Series(values=decoded(column))
    is_odd = (~series.str.contains(_SIMPLE) | (series.str.len_bytes() <= 6) | _is_inline(series)).fill_null(value=False)
    is_odd |= _lacks_scheme(series)
    if not is_odd.any():
        return series.to_arrow(compat_level=pl.CompatLevel.oldest())
    cells = series.to_list()
    for place in is_odd.arg_true():
        cells[place] = _address_of(picture_of(cells[place]))
    return texts(cells, of=None)


def picture_of(value: Any) -> str | bytes | None:
    """The first picture of a value: its path or address, or its bytes; None where there is none.

    Of an object with several sizes the largest is taken, and of a list of sizes of one picture.
    """
    match value:
        case bytes():
            return value or None
        case str():
            return _of_text(value)
        case list():
            return _of_list(value)
        case dict():
            return _of_object(value)
        case _:
            return None


def holds_pictures(values: Sequence[str]) -> bool:
    """Whether texts are pictures themselves, all that are there: data addresses or base64."""
    found = [picture_of(value) for value in values]
    there = [each for each in found if each is not None]
    return bool(there) and all(isinstance(each, bytes) for each in there)


def kind_of(column: pa.DataType) -> PictureKind:
    """Whether an Arrow type of an image column holds bytes; a struct of Hugging Face (bytes, path) does."""
    if pa.types.is_dictionary(column) or is_list(column):
        return kind_of(column.value_type)
    if pa.types.is_struct(column):
        return "bytes" if column.get_field_index("bytes") >= 0 else "path"
    binary = pa.types.is_binary(column) or pa.types.is_large_binary(column) or pa.types.is_binary_view(column)
    return "bytes" if binary or pa.types.is_fixed_size_binary(column) else "path"


def is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a list's."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def data_of(address: str) -> bytes | None:
    """The bytes of a data address; None where it is none, or damaged."""
    found = DATA_ADDRESS.match(address)
    if found is None:
        return None
    rest = address[found.end() :]
    return _decoded_base64(rest) if found[3] else unquote_to_bytes(rest)


def _of_text(text: str) -> str | bytes | None:
    text = text.strip()
    if not text or is_null_word(text):
        return None
    if text[:5].lower() == "data:":
        return data_of(text) or text
    if (found := parsed(text)) is not text and not isinstance(found, str):
        return picture_of(found)
    if _BASE64.match(text):
        data = _decoded_base64(text)
        if data is not None and is_picture(data):
            return data
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]  # a list as PostgreSQL writes it
    text = unescaped(text).strip()
    for spelling in (_FORMULA, _TAG, _MARKDOWN):
        if found_address := spelling.search(text) if spelling is _TAG else spelling.match(text):
            return _of_text(next(part for part in found_address.groups() if part))
    text = _first_of(text).strip().strip("\"'<>").strip()
    if not text or is_null_word(text):
        return None
    if text[:5].lower() == "data:":
        return data_of(text) or text
    return f"https://{text}" if _HOST.match(text) and not _is_file_name(text) else text


def _first_of(text: str) -> str:
    """The first of several addresses or names in a text; a comma alone may be a part of one."""
    parts = [part for part in _NEXT_ADDRESS.split(text, maxsplit=1) if part.strip(" \"',;|")]
    text = parts[0].strip(" ,;|") if parts else text
    if (name := _AFTER_NAME.search(text)) and not ADDRESS.match(text[name.end() :]):
        return text[: name.end(1)]
    return text.split("\n")[0]


def _is_file_name(text: str) -> bool:
    """Whether what looks like a host is a file's name: `photo.jpg/...` is nobody's host."""
    return PICTURE_NAME.search(text.partition("/")[0]) is not None


def _of_list(parts: list[Any]) -> str | bytes | None:
    objects = [part for part in parts if isinstance(part, dict)]
    if chosen := next((part for part in objects if _is_chosen(part)), None):
        return _of_object(chosen) or _first(parts)
    if len(objects) > 1 and len(objects) == len(parts) and _are_sizes(objects):
        return _of_object(max(objects, key=_area)) or _first(parts)
    return _first(parts)


def _first(parts: list[Any]) -> str | bytes | None:
    return next((found for part in parts if (found := picture_of(part)) is not None), None)


def _of_object(value: dict[str, Any]) -> str | bytes | None:
    plain = {plain_key(key): part for key, part in value.items()}
    if isinstance(plain.get("bytes"), bytes) and plain["bytes"]:
        return bytes(plain["bytes"])
    for key in _SIZES:
        if key in plain and (found := picture_of(plain[key])) is not None:
            return found
    # A key that nobody foresaw: `image_url_large`, `main_src`.
    for key in _SIZES:
        for own, part in plain.items():
            is_like = key in own.split("_") and isinstance(part, str)
            if is_like and (ADDRESS.match(part) or PICTURE_NAME.search(part)):
                return picture_of(part)
    others = (part for part in plain.values() if isinstance(part, str | list | dict))
    return next((found for part in others if (found := _certain(part)) is not None), None)


def _certain(value: Any) -> str | bytes | None:
    """A picture under a key that says nothing: only where it cannot be anything else."""
    found = picture_of(value) if not isinstance(value, str) or len(value) > 3 else None
    is_certain = isinstance(found, bytes) or (
        found is not None and bool(ADDRESS.match(found) or PICTURE_NAME.search(found.partition("?")[0]))
    )
    return found if is_certain else None


def _is_chosen(value: dict[str, Any]) -> bool:
    plain = {plain_key(key): part for key, part in value.items()}
    flags = any(plain.get(key) in (True, 1, "1", "true", "True") for key in _CHOSEN_KEYS)
    return flags or str(plain.get("variant", plain.get("type", ""))).lower() in ("main", "primary")


def _are_sizes(objects: list[dict[str, Any]]) -> bool:
    """Whether objects are sizes of one picture: they differ in their size, and in nothing else of their names."""
    areas = {_area(each) for each in objects}
    return len(areas) == len(objects) and len({_stem(each) for each in objects}) == 1


def _area(value: dict[str, Any]) -> float:
    plain = {plain_key(key): part for key, part in value.items()}
    sides = [_number(plain.get(side)) for side in ("width", "height", "size")]
    there = [side for side in sides if side]
    if there:
        return there[0] * (there[1] if len(there) > 1 else there[0])
    name = str(plain.get("size") or plain.get("label") or plain.get("name") or plain.get("type") or "").lower()
    return -float(_SIZES.index(name)) if name in _SIZES else -float(len(_SIZES))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _stem(value: dict[str, Any]) -> str:
    """What the address of a size has in common with those of the others."""
    address = _of_object(value)
    if not isinstance(address, str):
        return repr(address)
    plain = {plain_key(key): str(part) for key, part in value.items()}
    for own in (plain.get(side) for side in ("width", "height", "size", "label", "name")):
        if own and len(own) > 1:
            address = address.replace(own, "")
    return re.sub(r"[\W_]+|" + "|".join(word for word in _SIZES if len(word) > 4), "", address.lower())


def is_picture(data: bytes) -> bool:
    """Whether bytes begin as those of a picture do."""
    return data.startswith(PICTURE_STARTS) or data[4:8] == b"ftyp"


def is_base64(text: str) -> bool:
    """Whether a text is base64, rather than the path of a file: long, without a dot, with letters of both cases."""
    is_mixed = all(any(test(letter) for letter in text[:500]) for test in (str.isupper, str.islower, str.isdigit))
    return len(text) > _LONGEST_NAME and is_mixed and _BASE64.match(text) is not None


def _decoded_base64(text: str) -> bytes | None:
    plain = re.sub(r"\s+", "", text).replace("-", "+").replace("_", "/").replace("%2B", "+").replace("%2F", "/")
    plain = plain.replace("%3D", "=").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _address_of(picture: str | bytes | None) -> str | None:
    if not isinstance(picture, bytes):
        return picture
    return f"data:;base64,{base64.b64encode(picture).decode()}"


def _is_inline(series: pl.Series) -> pl.Series:
    """Long cells without a dot, which may be base64; data addresses are seen by their comma."""
    return (series.str.len_bytes() > 64) & ~series.str.contains(".", literal=True)


def _lacks_scheme(series: pl.Series) -> pl.Series:
    starts = r"(?i)^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}(?::\d+)?/"
    return series.str.contains(starts).fill_null(value=False)


def _bytes_of(column: pa.Array) -> pa.LargeBinaryArray:
    if is_list(column.type):
        column = pa.array([(each or [None])[0] for each in column.to_pylist()], column.type.value_type)
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes") if column.type.get_field_index("bytes") >= 0 else as_texts(column)
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.large_binary())
    if is_text(column.type):
        found = (picture_of(value) if value else None for value in decoded(column).to_pylist())
        return pa.array([each if isinstance(each, bytes) else None for each in found], pa.large_binary())
    data = column.cast(pa.large_binary())
    return pc.if_else(pc.equal(pc.binary_length(data), 0), pa.scalar(None, pa.large_binary()), data)
