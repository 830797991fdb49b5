"""The values of a catalog's columns, whatever type a file has for them, as plain texts."""

from collections.abc import Callable, Iterable
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.nested import parsed, texts_in
from prodemb.catalog.plain_text import plain_text, plain_texts, without_null_words

_WRITTEN_OUT = r"^\s*(?:\[|\{|\(\s*['\x22\[({])"
"""How the text of a list or an object starts."""


def as_texts(column: pa.Array, *, language: str | None = None) -> pa.LargeStringArray:
    """An Arrow column of any type as plain texts, (n,) large_string; null where a value is absent, empty or blank.

    Lists of texts are joined by a space, objects give their value, name or text, and where texts are in several
    languages one counts: `language`, or that of the first. Whole floats go without `.0`.
    """
    return plain_texts(raw_texts(column, of=lambda value: text_of(value, language=language)))


def text_of(value: Any, *, language: str | None = None) -> str | None:
    """One value as plain text."""
    texts = (plain_text(text) for text in texts_in(value, language=language))
    return " ".join(text for text in texts if text is not None) or None


def is_present(column: pa.Array) -> pa.BooleanArray:
    """(n,) whether each value is there, cheaply: markup around nothing is not seen through."""
    if not is_text(column.type):
        if pa.types.is_floating(column.type):
            return pc.and_(column.is_valid(), pc.invert(pc.fill_null(pc.is_nan(column), fill_value=True)))
        if pa.types.is_nested(column.type):
            return pa.array([bool(texts_in(value, language=None)) for value in python_values(column)], pa.bool_())
        return column.is_valid()
    series = pl.Series(values=decoded(column)).str.strip_chars()
    absent = without_null_words(series).is_null() | series.is_in(["[]", "{}"]).fill_null(value=True)
    return (~absent).to_arrow()


def raw_texts(column: pa.Array, *, of: Callable[[Any], str | None]) -> pa.LargeStringArray:
    """A column as texts that are not cleaned yet; lists and objects, also those written out in a text, through `of`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return raw_texts(column.dictionary_decode(), of=of)
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_string())
    if pa.types.is_integer(kind):
        return column.cast(pa.large_string())
    if not is_text(kind):
        return texts(python_values(column), of=of)
    text = decoded(column)
    is_written_out = pl.Series(values=text).str.contains(_WRITTEN_OUT).fill_null(value=False)
    if not is_written_out.any():
        return text
    cells = text.to_pylist()
    for place in is_written_out.arg_true():
        value = parsed(cells[place])
        cells[place] = cells[place] if isinstance(value, str) else of(value)
    return texts(cells, of=None)


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a text's."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def decoded(column: pa.Array) -> pa.LargeStringArray:
    """A text column as large_string; values that are not UTF-8, which Parquet does not see to, are read as cp1252."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if is_valid_text(column):
        return column.cast(pa.large_string())
    return texts([value and _decoded(value) for value in as_bytes(column).to_pylist()], of=None)


def texts(values: Iterable[Any], *, of: Callable[[Any], str | None] | None) -> pa.LargeStringArray:
    """A column of texts from Python values; lone surrogates, which no file can hold, become U+FFFD."""
    converted = [*values] if of is None else [of(_readable(value)) for value in values]
    try:
        return pa.array(converted, pa.large_string())
    except UnicodeEncodeError:
        whole = [text and text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in converted]
        return pa.array(whole, pa.large_string())


def python_values(column: pa.Array) -> list[Any]:
    """A column as Python values; a moment that Python cannot hold (nanoseconds, the year 10000) as Arrow writes it."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_python_value(scalar) for scalar in column]


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


def _python_value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    try:
        return scalar.cast(pa.string()).as_py()
    except pa.ArrowException:  # a time zone that nobody knows, or a moment inside a list or struct
        return getattr(scalar, "value", None)


def _readable(value: Any) -> Any:
    """A value with bytes in it made texts."""
    match value:
        case bytes():
            return _decoded(value)
        case list() | tuple():
            return [_readable(part) for part in value]
        case dict():
            return {str(key): _readable(part) for key, part in value.items()}
        case _:
            return value


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
