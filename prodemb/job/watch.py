"""How a step shows its progress."""

from collections.abc import Callable
from contextlib import AbstractContextManager

Advance = Callable[[int, int | None], None]
"""Called with what is done and what there is in all; None where that is not known."""

Watch = Callable[[str], AbstractContextManager[Advance]]
"""Opens a progress display with this title."""
