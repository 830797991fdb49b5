"""Which fine-tuning is done already: of just these products, or of products that have changed but little since."""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prodemb.core.errors import BusyError, ModelError
from prodemb.core.files import read_json, writing_to
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.data import Products
from prodemb.finetune.report import FinetuneReport
from prodemb.finetune.state import REPORT, hash_of, replaced_folder, state_folder, unfinished_folder
from prodemb.towers.checkpoint import Checkpoint, find_checkpoint

PRODUCTS = "products.npy"
"""The marks of the products that a checkpoint was made from, in its folder."""

RECIPE_VERSION = 3
"""Raise it when the same settings would come to train something else."""

_NOT_IN_RECIPE = {"out", "shards", "max_changed", "memory_gb", "save_every", "chunk_size", "processes", "tensorboard"}
"""Settings that do not decide what the weights become."""


def recipe_of(config: FinetuneConfig, *, checkpoint: Checkpoint) -> str:
    """The hash of how a checkpoint is made of products: not where it lies, nor how it is computed."""
    return hash_of(
        {
            "recipe": RECIPE_VERSION,
            "fingerprint": checkpoint.fingerprint,
            "config": config.model_dump(mode="json", exclude=_NOT_IN_RECIPE),
        }
    )


def key_of(recipe: str, *, products: Products) -> str:
    """The hash of what decides the new checkpoint."""
    return hash_of(
        {
            "recipe": recipe,
            "rows": products.rows_hash,
            "classes": [label.path for label in products.classes],
            "labels": hashlib.blake2b(products.index.tobytes(), digest_size=16).hexdigest(),
        }
    )


def finished(out: Path, *, key: str) -> FinetuneReport | None:
    """The report of the folder at `out`, where this very run has finished it and nobody has changed it since."""
    report = made(out)
    return report.model_copy(update={"was_done": True}) if report is not None and report.key == key else None


def usable(out: Path, *, key: str, recipe: str, products: Products, max_changed: float) -> FinetuneReport | None:
    """The report of the folder at `out`, where this very run, or this recipe of products little changed, has made it.

    A product has changed if no product of then had its id, its texts and its category. Those that are gone do not
    matter, nor do pictures.

    Args:
        max_changed: the largest share of changed products that is little.
    """
    report = made(out)
    if report is None or report.recipe != recipe:
        return None
    if report.key == key:
        return report.model_copy(update={"was_done": True})
    known = _read_marks(out)
    if known is None:
        return None
    changed = float(1 - np.isin(products.marks, known).mean())
    return report.model_copy(update={"changed": changed, "was_done": True}) if changed <= max_changed else None


def settle(out: Path) -> None:
    """Put a checkpoint at `out` where a run was killed between the two renames that end it: the new one, or the old.

    What another run is doing there just now is left to it.
    """
    new, old = unfinished_folder(out), replaced_folder(out)
    if out.exists() or not (new.exists() or old.exists()):
        return
    with suppress(BusyError), writing_to(state_folder(out)):
        whole = old if made(new) is None else new
        if whole.exists() and not out.exists():
            whole.rename(out)


def write_marks(folder: Path, *, products: Products) -> None:
    """Note in a checkpoint folder which products it is made from: eight bytes each."""
    np.save(folder / PRODUCTS, np.unique(products.marks))


def _read_marks(folder: Path) -> npt.NDArray[np.uint64] | None:
    try:
        marks = np.load(folder / PRODUCTS, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return marks if isinstance(marks, np.ndarray) and marks.dtype == np.uint64 else None


def made(out: Path) -> FinetuneReport | None:
    """The report of the folder at `out`, where it is finished and its checkpoint is the one that was written."""
    try:
        report = FinetuneReport.model_validate(read_json(out / REPORT))
        intact = find_checkpoint(str(out.absolute())).fingerprint == report.fingerprint
    except (FileNotFoundError, ValueError, ModelError):
        return None
    return report if intact else None
