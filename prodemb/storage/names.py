"""What the local copies of this process are copies of, so that people are told addresses. It imports nothing heavy."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prodemb.storage.address import Place

_names: dict[str, str] = {}
"""Addresses, and paths of copied folders, by local paths."""


def name_copy(path: Path, address: "Place") -> Path:
    """Remember what a local path is a copy of."""
    _names[str(path)] = str(address)
    return path


def named(text: str) -> str:
    """A text for people with addresses in place of the local copies of them that it names."""
    for path, address in _names.items():
        text = text.replace(path, address)
    return text
