"""How a step reports how far it is, without knowing who shows it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

ProgressCallback = Callable[[int, int | None], None]
"""Called with how many units are done and how many there are in all; None where that is not known."""

Progress = Callable[[str], AbstractContextManager[ProgressCallback]]
"""Opens a display with a title, for as long as a step runs: `with progress("Scoring") as on_progress: ...`."""
