"""How the bytes of a file, or the values of a JSON text, are changed."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DataObject

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def changed(data: DataObject, content: bytes) -> bytes:
    """A file with a few bytes changed, added, repeated or gone."""
    edited = bytearray(content)
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(edited)))
        match data.draw(st.integers(0, 5)):
            case 0 | 1:
                edited[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
            case 2:
                edited[place:place] = data.draw(st.binary(max_size=12))
            case 3:
                del edited[place : place + data.draw(st.integers(1, 40))]
            case 4:
                edited[place:place] = edited[place : place + data.draw(st.integers(1, 60))]
            case _:
                del edited[place:]
    return bytes(edited)


def changed_json(data: DataObject, values: Any, *, leaf: st.SearchStrategy[Any] = json_values) -> Any:
    """JSON with one value somewhere in it replaced by another one out of `leaf`."""
    if isinstance(values, dict) and values and data.draw(st.integers(0, 3)):
        key = data.draw(st.sampled_from(sorted(values)))
        return values | {key: changed_json(data, values[key], leaf=leaf)}
    if isinstance(values, list) and values and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(values) - 1))
        return [*values[:place], changed_json(data, values[place], leaf=leaf), *values[place + 1 :]]
    return data.draw(leaf)
