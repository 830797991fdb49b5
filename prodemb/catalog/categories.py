"""Category cells taken apart: of several paths the first, and of its levels the first three."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from prodemb.catalog.nested import parsed, texts_in
from prodemb.catalog.plain_text import is_null_word, plain_text
from prodemb.catalog.values import is_text, python_values, raw_texts, texts

LEVELS = ("cat1", "cat2", "cat3")
LEVEL_SEPARATORS = (">>>", ">>", "->", "=>", ">", "»", "›", "→", "::", "|", "/", "\\", ";", ",")
"""What may stand between the levels of a path, the surest first."""
SURE_SEPARATORS = LEVEL_SEPARATORS[:9]
"""Those that stand in no category's name."""
PATH_SEPARATORS = ("||", "|", ";", "\n", ",")
"""What may stand between several paths of one product."""


@dataclass(frozen=True, kw_only=True)
class CategoryRule:
    """How a column's category cells are taken apart."""

    levels: str | None = None
    """What stands between the levels of a path; None where a cell names one level."""
    paths: str | None = None
    """What stands between several paths in a cell; None where there is one."""

    def path_of(self, value: Any) -> list[str]:
        """The levels of a value's first path. A list holds a level each, or whole paths where it has them."""
        if isinstance(value, str):
            value = parsed(value)
        if isinstance(value, list) and any(isinstance(part, list) for part in value):
            value = next((part for part in value if isinstance(part, list) and part), None)
        if isinstance(value, str):
            return self._levels_of(value)
        parts = [part for part in texts_in(value, language=None) if part.strip() and not is_null_word(part.strip())]
        if any(self._holds_levels(part) for part in parts):
            return self._levels_of(parts[0])
        return [level for part in parts if (level := plain_text(part)) is not None]

    def _holds_levels(self, text: str) -> bool:
        if self.levels is not None:
            return self.levels in (plain_text(text) or "")
        return any(mark in (plain_text(text) or "") for mark in SURE_SEPARATORS) or text.startswith("/")

    def _levels_of(self, text: str) -> list[str]:
        if self.paths is not None:
            # Before entities are resolved, whose semicolons would part them.
            text = _shown(_parts(_hidden(text), self.paths)[0])
        text = (plain_text(text) or "").replace("\\,", ",")
        levels = self.levels or ("/" if text.startswith("/") and text.count("/") > 1 else None)
        names = text.split(levels) if levels else [text]
        plain = (name.strip(" \"'") for name in names)
        return [name for name in plain if name and not is_null_word(name)]


def split_categories(column: pa.Array, *, rule: CategoryRule, num_levels: int = 3) -> list[pa.LargeStringArray]:
    """A column of category cells, of any type, as one column per level, the top first; what lies deeper is left out."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_nested(column.type):
        paths = [rule.path_of(value) for value in python_values(column)]
    else:
        # Categories repeat: each distinct cell is taken apart once.
        text = raw_texts(column, of=str) if not is_text(column.type) else column
        coded = text.dictionary_encode()
        distinct = [rule.path_of(value) for value in python_values(coded.dictionary)]
        paths = [[] if place is None else distinct[place] for place in coded.indices.to_pylist()]
    return [
        texts([path[level] if level < len(path) else None for path in paths], of=None) for level in range(num_levels)
    ]


def category_rule(values: Sequence[str]) -> CategoryRule:
    """What stands between paths and levels in some cells of a category column.

    A mark separates levels where the level before it is shared, as branches of a tree are: the same level comes again
    with others behind it, and what stands behind it has always the same before it. Marks that stand between other
    things, such as a product's several collections, separate paths of which one counts.
    """
    cells = [*dict.fromkeys(text for value in values for text in _cells_of(value))]
    if not cells:
        return CategoryRule()
    levels = _level_separator(cells)
    others = [mark for mark in PATH_SEPARATORS if mark != levels and not (levels and mark in levels)]
    paths = next((mark for mark in others if _separates_paths(mark, cells, levels=levels)), None)
    if paths is not None and levels is None:
        levels = _level_separator([_parts(cell, paths)[0].strip() for cell in cells])
    return CategoryRule(levels=levels, paths=paths)


def _cells_of(value: str) -> Iterable[str]:
    """The texts of a cell that may have to be taken apart."""
    found = parsed(value)
    if isinstance(found, list) and any(isinstance(part, list) for part in found):
        return
    parts = [found] if isinstance(found, str) else texts_in(found, language=None)
    for part in parts:
        if (plain := plain_text(part)) is not None:
            yield plain


def _level_separator(cells: Sequence[str]) -> str | None:
    for mark in LEVEL_SEPARATORS:
        holding = [cell for cell in cells if mark in cell.strip(mark)]
        if not holding:
            continue
        if mark == "\\" and not any("\\," in cell for cell in holding) and len(holding) >= 0.3 * len(cells):
            return mark
        if mark in SURE_SEPARATORS:
            if len(holding) >= 0.1 * len(cells):
                return mark
            continue
        least = 0.8 if mark == "," else 0.3
        if len(holding) >= max(2, least * len(cells)) and _is_tree(holding, mark, cells=cells):
            return mark
    return None


def _is_tree(holding: Sequence[str], mark: str, *, cells: Sequence[str]) -> bool:
    """Whether a mark stands between levels: what follows it has one thing before it, and that comes more than once."""
    paths = [_split(cell, mark) for cell in holding]
    above: dict[str, set[str]] = {}
    for path in paths:
        if len(path) > 1:
            above.setdefault(path[1], set()).add(path[0])
    if not above:
        return False
    firsts = [_split(cell, mark)[0] for cell in cells if _split(cell, mark)]
    shared = sum(firsts.count(path[0]) > 1 for path in paths if path) / len(paths)
    single = sum(len(parents) == 1 for parents in above.values()) / len(above)
    return shared >= 0.5 and single >= 0.7


def _separates_paths(mark: str, cells: Sequence[str], *, levels: str | None) -> bool:
    """Whether a mark stands between whole paths: what follows it begins as cells do."""
    holding = [cell for cell in cells if mark in cell.strip(mark)]
    if not holding:
        return False
    if mark in ("||", "|", "\n"):
        return True
    firsts = {_first(_parts(cell, mark)[0], levels) for cell in cells}
    follows = [_first(part, levels) for cell in holding for part in _parts(cell, mark)[1:] if part.strip()]
    if mark == ";" and levels is None:
        return len(holding) >= 0.2 * len(cells) or any(part in firsts for part in follows)
    known = sum(part in firsts for part in follows)
    return known >= 0.5 * max(1, len(follows)) if levels else known >= 0.8 * max(1, len(follows))


def _first(path: str, levels: str | None) -> str:
    parts = _split(path, levels) if levels else [path.strip()]
    return parts[0] if parts else ""


def _split(text: str, mark: str) -> list[str]:
    return [part for each in text.split(mark) if (part := each.strip())]


def _parts(text: str, mark: str) -> list[str]:
    """A text at a mark that no backslash stands before, as WooCommerce escapes the commas of names."""
    return re.split(rf"(?<!\\){re.escape(mark)}", text)


_SEMICOLON = "\ue000"


def _hidden(text: str) -> str:
    """Entities with their semicolons put out of the way."""
    return re.sub(r"(&(?:#?\w{1,31}));", rf"\1{_SEMICOLON}", text)


def _shown(text: str) -> str:
    return text.replace(_SEMICOLON, ";")
