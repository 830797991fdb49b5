"""How a step reports how far it is, without knowing who shows it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

ProgressCallback = Callable[[int, int | None], None]
"""Called with how many units are done and how many there are in all; None where that is not known."""

Progress = Callable[[str], AbstractContextManager[ProgressCallback]]
"""Opens a display with a title, for as long as a step runs: `with progress("Scoring") as on_progress: ...`."""


@contextmanager
def no_progress(_title: str) -> Iterator[ProgressCallback]:
    """The display that shows nothing."""
    yield lambda _done, _total: None
