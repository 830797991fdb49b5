"""What is shown of a new catalog: how it is read, what to know before the first run, and the next command."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from prodemb.cli.report.read import overview_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prodemb.job.init import Guess, Written


def guess_lines(guess: Guess) -> Iterator[str]:
    """How the catalog is read, and what to know before the first run."""
    yield from overview_lines(guess.overview)
    yield from guess.notes


def written_lines(written: Written) -> Iterator[str]:
    """What was written, what became of earlier files, and what to do next."""
    if written.kept:
        kept = " and ".join(f"{before} as {after}" for before, after in written.kept)
        undo = " && ".join(shlex.join(["mv", str(after), str(before)]) for before, after in written.kept)
        yield f"kept the earlier {kept}; to undo: {undo}"
    yield f"wrote {' and '.join(str(file) for file in written.files)}; check them, then run:"
    yield shlex.join(["prodemb", "run", *map(str, written.files)])
