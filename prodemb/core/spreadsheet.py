"""CSV for people: cells that no spreadsheet runs as a formula, and that are read back as they were."""

import re

import polars as pl

from prodemb.core.text import FORMULA_MARK

_BEGIN = r"(^|[;,\t\r\n])"
"""Where a cell begins, or would where a spreadsheet splits at another mark than the file's."""
_RISKY = rf"(?:(?:[^\S\t\r\n]|\uFEFF)*{FORMULA_MARK}|[\t\r\n'])"
"""What gets an apostrophe before it there: a formula, or what would be read back as something else."""
_TO_ESCAPE = re.compile(rf"{_BEGIN}(?={_RISKY})")
_ESCAPED = re.compile(rf"{_BEGIN}'(?={_RISKY})")


def escaped(cells: pl.Series) -> pl.Series:
    """Cells, (n,) string, as they may be written to a CSV file.

    What a spreadsheet would run as a formula (it begins with = + - @, also after spaces) gets an apostrophe in front,
    at the beginning of a cell and behind each mark at which another spreadsheet may split; and so does what begins with
    an apostrophe there. `unescaped` takes it off again.
    """
    return _replaced(cells, where=f"{_BEGIN}{_RISKY}", pattern=_TO_ESCAPE, by=r"\1'")


def unescaped(cells: pl.Series) -> pl.Series:
    """Cells, (n,) string, as they were before `escaped`."""
    return _replaced(cells, where=f"{_BEGIN}'", pattern=_ESCAPED, by=r"\1")


def _replaced(cells: pl.Series, *, where: str, pattern: re.Pattern[str], by: str) -> pl.Series:
    """Replace a pattern in the few cells that `where` finds; polars itself cannot look ahead."""
    places = cells.str.contains(where).fill_null(False).arg_true()
    changed = [pattern.sub(by, cell) for cell in cells[places]]
    return cells.scatter(places, changed) if changed else cells
