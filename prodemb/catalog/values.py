"""Turning what catalog files hold into texts, and into pictures as paths or bytes."""

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

PATH_SEPARATOR = " > "
"""Stands between the parts of a list, as between the levels of a category path."""
EXACT_FLOAT = 2.0**53
"""Below this a float without a fraction is a whole number for certain."""
SEVERAL_ADDRESSES = re.compile(r"(https?://\S+?)[\s,;|]{1,3}https?://", re.IGNORECASE)
"""More than one address in a value; a comma alone may be part of an address."""

ImageKind = Literal["path", "bytes"]


def text_of(value: Any) -> str | None:
    """One value as text: whole floats without `.0`, lists joined with ` > `, objects as JSON, blank as None."""
    match value:
        case None:
            return None
        case str():
            text = value
        case bool():
            text = str(value).lower()
        case float():
            if math.isnan(value):
                return None
            text = str(int(value)) if value.is_integer() and abs(value) < EXACT_FLOAT else str(value)
        case bytes():
            text = _decoded(value)
        case list() | tuple():
            text = PATH_SEPARATOR.join(part for part in map(text_of, value) if part is not None)
        case dict():
            text = json.dumps(value, ensure_ascii=False, default=str)
        case _:
            text = str(value)
    return None if not text or text.isspace() else text


def image_path_of(value: Any) -> str | None:
    """The path or address of the first picture that a value names: a list, a JSON list in text, or a text."""
    if isinstance(value, dict):
        value = value.get("path") or value.get("url") or value.get("src")
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return image_path_of(json.loads(value))
        except (ValueError, RecursionError):
            return text_of(value)
    if isinstance(value, list):
        return next((path for path in map(image_path_of, value) if path is not None), None)
    text = text_of(value)
    if text is None:
        return None
    text = text.strip()
    several = SEVERAL_ADDRESSES.match(text)
    return several[1] if several else text


def texts(values: Iterable[Any], *, of: Callable[[Any], str | None] = text_of) -> pa.LargeStringArray:
    """A column of texts from Python values; lone surrogates, which no file can hold, become U+FFFD."""
    converted = [of(value) for value in values]
    try:
        return pa.array(converted, pa.large_string())
    except UnicodeEncodeError:
        whole = [text and text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in converted]
        return pa.array(whole, pa.large_string())


def as_text(column: pa.Array) -> pa.LargeStringArray:
    """An Arrow column of any type as texts; see `text_of`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_string())
    if pa.types.is_integer(kind):
        return column.cast(pa.large_string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return texts(python_values(column))
    if not is_valid_text(column):
        return texts(as_bytes(column).to_pylist())
    text = column.cast(pa.large_string())
    is_blank = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(text)), 0)
    return pc.if_else(is_blank, pa.scalar(None, pa.large_string()), text)


def python_values(column: pa.Array) -> list[Any]:
    """A column as Python values; a moment that Python cannot hold (nanoseconds, the year 10000) as Arrow writes it."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_python_value(scalar) for scalar in column]


def _python_value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    try:
        return scalar.cast(pa.string()).as_py()
    except pa.ArrowException:  # a time zone that nobody knows, or a moment inside a list or struct
        return getattr(scalar, "value", None)


def image_kind(kind: pa.DataType) -> ImageKind:
    """Whether an Arrow type of an image column holds bytes; a struct of Hugging Face (bytes, path) does."""
    if pa.types.is_dictionary(kind):
        return image_kind(kind.value_type)
    if _is_list(kind):
        return image_kind(kind.value_type)
    if pa.types.is_struct(kind):
        return "bytes" if kind.get_field_index("bytes") >= 0 else "path"
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return "bytes" if binary or pa.types.is_fixed_size_binary(kind) else "path"


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def as_images(column: pa.Array, *, kind: ImageKind) -> pa.Array:
    """An Arrow image column as large_string (paths, addresses) or large_binary; empty values become null."""
    if pa.types.is_dictionary(column.type):
        return as_images(column.dictionary_decode(), kind=kind)
    if kind == "path":
        if pa.types.is_struct(column.type) or _is_list(column.type):
            return texts(python_values(column), of=image_path_of)
        text = as_text(column)
        several = pc.match_substring_regex(text, r"^\s*\[|^\s|\s$|http.*[,;| ]\s*http")
        return texts(text.to_pylist(), of=image_path_of) if pc.any(several).as_py() else text
    if _is_list(column.type):
        column = pa.array([(each or [None])[0] for each in column.to_pylist()], column.type.value_type)
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.large_binary())
    data = column.cast(pa.large_binary())
    return pc.if_else(pc.equal(pc.binary_length(data), 0), pa.scalar(None, pa.large_binary()), data)


def split_path(paths: pa.Array, *, separator: str, num_levels: int) -> list[pa.Array]:
    """Category paths as one column a level; what lies deeper stays in the last one.

    Brackets and quotes around a path, where somebody printed a list, are taken off.
    """
    separator = separator.strip() or separator
    levels: list[list[str | None]] = [[] for _ in range(num_levels)]
    for path in paths.to_pylist():
        parts = [part.strip() for part in path.strip("[]\"'").split(separator)] if path else []
        parts = [part for part in parts if part]
        deepest = PATH_SEPARATOR.join(parts[num_levels - 1 :])
        for position, level in enumerate(levels):
            level.append(((deepest or None) if position == num_levels - 1 else None) or _at(parts, position))
    return [texts(level) for level in levels]


def is_valid_text(column: pa.Array) -> bool:
    """Whether a text column is UTF-8 throughout, which Parquet does not see to."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def as_bytes(column: pa.Array) -> pa.LargeBinaryArray:
    """A text column as the bytes it holds, whether they are text or not."""
    return column.cast(pa.large_binary())


def _at(parts: list[str], position: int) -> str | None:
    return parts[position] if position < len(parts) else None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
