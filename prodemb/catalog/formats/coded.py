"""Tables with dictionaries, cut so that no piece takes much once its dictionaries are the values they stand for."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.formats.source import BATCH_BYTES
from prodemb.catalog.pictures import is_list


def pieces(table: pa.Table) -> Iterator[pa.Table]:
    """The same rows in tables that take about `BATCH_BYTES` once their dictionaries are values, or have one row."""
    lengths = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        if holds(column.type, pa.types.is_dictionary):
            for start, chunk in zip(np.cumsum([0, *map(len, column.chunks)]), column.chunks, strict=False):
                lengths[start : start + len(chunk)] += _lengths(chunk)
    if lengths.sum() <= BATCH_BYTES:
        yield table
        return
    numbers = np.cumsum(lengths) // BATCH_BYTES
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), table.num_rows]
    for first, last in pairwise(bounds):
        # A slice of lists would have the values of all rows cast.
        yield table.take(pa.array(np.arange(first, last)))


def holds(kind: pa.DataType, is_kind: Callable[[pa.DataType], bool]) -> bool:
    """Whether a type is of a kind, or one inside of it is."""
    return is_kind(kind) or any(holds(kind.field(place).type, is_kind) for place in range(kind.num_fields))


def is_text_or_bytes(kind: pa.DataType) -> bool:
    are = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
    return any(is_kind(kind) for is_kind in are)


def _lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    """Bytes of each row's values that have a dictionary, of which no more is looked at than is used; 0 where null."""
    kind = column.type
    if pa.types.is_dictionary(kind) and is_text_or_bytes(kind.value_type):
        return _coded_lengths(column)
    if pa.types.is_struct(kind):
        return _sum_of((pc.struct_field(column, place) for place in range(kind.num_fields)), num_rows=len(column))
    if pa.types.is_map(kind):
        return _of_lists(_sum_of((column.keys, column.items), num_rows=len(column.keys)), column.offsets.to_numpy())
    if pa.types.is_fixed_size_list(kind):
        sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        return _of_lists(_lengths(column.flatten()), np.cumsum([0, *sizes]))
    if is_list(kind):
        return _of_lists(_lengths(column.values), column.offsets.to_numpy())
    return np.zeros(len(column), np.int64)


def _of_lists(lengths: npt.NDArray[np.int64], offsets: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    of_rows: npt.NDArray[np.int64] = np.diff(ends[offsets])
    return of_rows


def _sum_of(columns: Iterable[pa.Array], *, num_rows: int) -> npt.NDArray[np.int64]:
    return sum(map(_lengths, columns), np.zeros(num_rows, np.int64))


def _coded_lengths(coded: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    dictionary, indices = coded.dictionary, coded.indices
    if not len(dictionary):
        return np.zeros(len(coded), np.int64)
    is_large = pa.types.is_large_string(dictionary.type) or pa.types.is_large_binary(dictionary.type)
    offsets = np.frombuffer(dictionary.buffers()[1], np.int64 if is_large else np.int32)[dictionary.offset :]
    places = pc.fill_null(indices, 0).to_numpy(zero_copy_only=False)
    lengths: npt.NDArray[np.int64] = offsets[places + 1].astype(np.int64) - offsets[places]
    lengths[indices.is_null().to_numpy(zero_copy_only=False)] = 0
    return lengths
