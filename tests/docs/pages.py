"""The documentation as tests read it: pages, their fenced blocks, commands, code spans, tables and links."""

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command that a person types: what stands behind `$`, without comments."""
        lines = self.text.splitlines() if self.language == "console" else []
        return [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """The path from the repository's root."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        found = re.findall(r"^```(\w*)\n(.*?)^```$", self.text, flags=re.DOTALL | re.MULTILINE)
        return [Block(language=language, text=text) for language, text in found]

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.DOTALL | re.MULTILINE)

    @cached_property
    def spans(self) -> list[str]:
        """What stands in backticks outside of blocks."""
        return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", self.prose)]

    @cached_property
    def links(self) -> list[str]:
        """Targets of links and pictures."""
        return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", self.prose))

    @cached_property
    def anchors(self) -> set[str]:
        """What a link to this page may name behind `#`: its headings, as GitHub writes them."""
        headings = re.findall(r"^#+ (.+)$", self.prose, flags=re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}

    def first_column(self, header: str) -> list[str]:
        """The code spans in the first column of the table whose header row begins with `header`, top to bottom."""
        rows = self.prose[self.prose.index(f"| {header} |") :].split("\n\n")[0].splitlines()[2:]
        return [span for row in rows for span in re.findall(r"`([^`]+)`", row.split("|")[1])]


DOCS = [Page(path) for path in sorted((ROOT / "docs").glob("*.md"))]
README, CONTRIBUTING, CHANGELOG = (Page(ROOT / f"{name}.md") for name in ("README", "CONTRIBUTING", "CHANGELOG"))
PAGES = [README, CONTRIBUTING, CHANGELOG, *DOCS]
