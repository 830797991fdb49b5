"""What is shown of a new catalog: the guessed columns, what to know before the first run, and the next command."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from prodemb.core.features import CATALOG_COLUMNS
from prodemb.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prodemb.job.init import Guess, Written

_FETCH = (
    "to use all of it, run `prodemb taxonomy FILE`, which downloads it, and set [train] taxonomy in category.toml to "
    "FILE"
)


def guess_lines(guess: Guess) -> Iterator[str]:
    """Which column was taken for which, and what to know before the first run."""
    width = max(len(column.own) for column in guess.columns)
    for column in guess.columns:
        yield f"{column.own:<{width}}  ->  {column.standard:<18}  ({column.reason})"
    found = {column.standard for column in guess.columns}
    if missing := [name for name in CATALOG_COLUMNS if name not in found]:
        yield f"not found: {', '.join(missing)}"
    if guess.unused:
        yield f"not used: {', '.join(guess.unused)}"
    if guess.bad_ids:
        yield f"{guess.own('product_id')!r}: {guess.bad_ids}; such rows are skipped (bad_ids in [catalog])"
    yield from _image_lines(guess)
    yield from _label_lines(guess)
    if not found & {"brand", "brand_label"}:
        yield "no column holds brands, so no brand head can be trained"


def _image_lines(guess: Guess) -> Iterator[str]:
    if guess.image_root is not None:
        yield f"pictures found in {guess.image_root}"
    if guess.missing_image is not None:
        yield (
            f"none of the first pictures of {guess.own('image')!r} ({guess.missing_image!r}) was found beside the "
            "catalog; set image_root in [catalog] to their folder"
        )


def _label_lines(guess: Guess) -> Iterator[str]:
    if guess.own("google_category_id") is None:
        yield (
            "no column holds ids or paths of the Google product taxonomy, so categories will be zero-shot, from the "
            f"names of the part of the taxonomy that comes with prodemb; {_FETCH}; to train a head, add a column "
            "google_category_id with the categories of some products"
        )
    elif guess.num_unknown_labels:
        yield (
            f"{guess.num_unknown_labels:,} of the first {counted(guess.num_labels, 'value')} of google_category_id "
            f"are not in the part of the taxonomy that comes with prodemb, and would be ignored; {_FETCH}"
        )


def written_lines(written: Written) -> Iterator[str]:
    """What was written, what became of earlier files, and what to do next."""
    if written.kept:
        kept = " and ".join(f"{before} as {after}" for before, after in written.kept)
        undo = " && ".join(shlex.join(["mv", str(after), str(before)]) for before, after in written.kept)
        yield f"kept the earlier {kept}; to undo: {undo}"
    yield f"wrote {' and '.join(str(file) for file in written.files)}; check them, then run:"
    yield shlex.join(["prodemb", "run", *map(str, written.files)])
