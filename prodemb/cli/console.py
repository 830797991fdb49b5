"""The console that tables are printed on."""

from typing import Any

from rich.console import Console
from rich.text import Text

from prodemb.core.text import for_terminal
from prodemb.storage.names import named


class TableConsole(Console):
    """Shows names as they are: no markup, no emoji codes, and nothing that controls the terminal."""

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """A cell, title or caption."""
        return super().render_str(for_terminal(named(text)), **how)
