"""The checkpoint folder that fine-tuning makes: whether it is done already, and how a new one takes its place."""

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from prodemb.cards.readme import README, is_readme_settled, own_readme, warn_if_stale, write_readme
from prodemb.core.bounded import read_json
from prodemb.core.errors import BusyError, ConfigError, ModelError, OutputError
from prodemb.core.files import write_json
from prodemb.core.folders import holding
from prodemb.core.inputs import inputs_hash
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.data import LabelledProducts
from prodemb.finetune.log import draw_curves
from prodemb.finetune.report import FinetuneReport
from prodemb.finetune.state import LOG, NEW, OLD, is_unfinished, remove_state, state_folder
from prodemb.towers.checkpoint import FINETUNE_REPORT, Checkpoint, find_checkpoint
from prodemb.towers.load import Towers, save_checkpoint

CURVES = "curves.png"
ROW_HASHES = "products.npy"
"""The hashes of the products that a checkpoint was made from, in its folder."""

VERSION = 4
"""Raise it when the same settings would come to train something else."""

_NOT_HASHED = {
    "out",
    "shards",
    "max_changed",
    "memory_gb",
    "save_steps",
    "mini_batch_size",
    "workers",
    "engine",
    "ray_address",
    "tensorboard",
}
"""Settings that do not decide what the weights become."""


@dataclass(frozen=True, kw_only=True)
class InputHashes:
    """What decides a checkpoint, as hashes; they are kept in its report."""

    settings: str
    """Of the original checkpoint and the settings."""
    inputs: str
    """Of these and the catalog."""

    @classmethod
    def of(cls, config: FinetuneConfig, *, checkpoint: Checkpoint, products: LabelledProducts) -> Self:
        """Hash what a run starts from."""
        settings = inputs_hash(
            version=VERSION,
            fingerprint=checkpoint.fingerprint,
            config=config.model_dump(mode="json", exclude=_NOT_HASHED),
        )
        inputs = inputs_hash(
            settings=settings,
            rows=products.catalog_hash,
            classes=[label.path for label in products.classes],
            labels=hashlib.sha256(products.index.tobytes()).hexdigest(),
        )
        return cls(settings=settings, inputs=inputs)


def check_out(out: Path, *, checkpoint: Checkpoint) -> None:
    """Check that the checkpoint folder may be replaced.

    Raises:
        ConfigError: it is the checkpoint that is to be fine-tuned, or it holds something else.
    """
    if out.resolve() == checkpoint.folder.resolve():
        raise ConfigError(
            f"[finetune] out: found {str(out)!r}, which is the checkpoint to fine-tune; wanted another folder, "
            "since the original stays as it is"
        )
    if out.exists() and not (out.is_dir() and ((out / FINETUNE_REPORT).exists() or not any(out.iterdir()))):
        raise ConfigError(
            f"[finetune] out: {out} holds something that fine-tuning did not write; wanted a new or an empty folder"
        )


def finished_report(out: Path) -> FinetuneReport | None:
    """The report of the folder at `out`, where it is finished and its checkpoint is the one that was written."""
    try:
        report = FinetuneReport.model_validate(read_json(out / FINETUNE_REPORT))
        intact = find_checkpoint(str(out.absolute())).fingerprint == report.fingerprint
    except (FileNotFoundError, ValueError, ModelError):
        return None
    return report if intact else None


def usable_report(
    out: Path, *, hashes: InputHashes, products: LabelledProducts, max_changed: float
) -> FinetuneReport | None:
    """The report of the folder at `out`, where it was made from the same inputs, or with few products changed since.

    A product has changed if no product of then had its id, its texts and its category. Those that are gone do not
    count, nor do pictures. A checkpoint that has learned from a product of the test part is not usable.

    Args:
        max_changed: the largest share of changed products that still is few.
    """
    report = finished_report(out)
    if report is None or report.settings_hash != hashes.settings:
        return None
    if report.inputs_hash == hashes.inputs:
        return report.model_copy(update={"was_done": True})
    known = _read_row_hashes(out)
    # What was learned from may be held out by now, where the catalog itself says what is.
    if known is None or np.isin(products.test_hashes, known).any():
        return None
    changed = float(1 - np.isin(products.row_hashes, known).mean())
    return report.model_copy(update={"changed": changed, "was_done": True}) if changed <= max_changed else None


def write_checkpoint(towers: Towers, *, out: Path) -> str:
    """Write the towers into a folder from which `publish` goes on, and return their fingerprint."""
    new = _new(out)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    save_checkpoint(towers, new)
    return find_checkpoint(str(new.absolute())).fingerprint


def publish(report: FinetuneReport, *, out: Path, products: LabelledProducts, catalog: str) -> FinetuneReport:
    """Add report, log, curves and README to what `write_checkpoint` wrote, and let it take the place of `out`.

    Returns the report as it was written.

    The old folder is moved aside and goes with the state folder; a kill in between is repaired by `settle`. What
    somebody else put into the old folder is copied to the new one.

    Args:
        catalog: its name, for people.
    """
    new, old = _new(out), _old(out)
    shutil.copyfile(state_folder(out) / LOG, new / LOG)
    np.save(new / ROW_HASHES, np.unique(products.row_hashes))
    draw_curves(report.curve, new / CURVES, title=f"{report.model}, {report.num_train:,} products")
    values = {"report": report, "catalog": catalog}
    if own_readme(out):
        write_readme(new, "fine_tuned", values)
    else:
        warn_if_stale(out, "fine_tuned", values)
    files = (FINETUNE_REPORT, *sorted(path.name for path in new.iterdir()))
    report = report.model_copy(update={"files": files})
    write_json(new / FINETUNE_REPORT, report.model_dump(mode="json", exclude={"changed", "was_done"}))
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        _keep_foreign_files(out, new=new, files=files)
        out.rename(old)
    new.rename(out)
    return report


def settle_readme(report: FinetuneReport, *, out: Path, catalog: str) -> None:
    """Write the README of a finished checkpoint where it is missing, and warn of one that is of an earlier checkpoint.

    Args:
        catalog: its name, for people.
    """
    if is_readme_settled(out):
        return
    values = {"report": report, "catalog": catalog}
    if own_readme(out):
        write_readme(out, "fine_tuned", values)
    else:
        warn_if_stale(out, "fine_tuned", values)


def _keep_foreign_files(out: Path, *, new: Path, files: tuple[str, ...]) -> None:
    """Copy what a checkpoint folder holds besides the checkpoint.

    Args:
        files: of the new checkpoint.
    """
    try:
        own = {*files, *FinetuneReport.model_validate(read_json(out / FINETUNE_REPORT)).files}
    except (OSError, ValueError):
        own = {*files}
    if not own_readme(out):
        own.discard(README)
    for path in out.iterdir():
        if path.name in own:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True)
        else:
            shutil.copy2(path, new / path.name, follow_symlinks=False)


def settle(out: Path) -> None:
    """Give `out` a checkpoint where a run was killed between the two renames of `publish`: the new one, or the old.

    What another run is doing there right now is left to it.
    """
    new, old = _new(out), _old(out)
    if out.exists() or not (new.exists() or old.exists()):
        return
    with suppress(BusyError), holding(state_folder(out), kind="training state"):
        whole = old if finished_report(new) is None else new
        if whole.exists() and not out.exists():
            whole.rename(out)


def clear_leftovers(out: Path, *, report: FinetuneReport) -> None:
    """Remove the state folder that the run that made `out` has left, where it was killed before it removed it.

    The state of another run stays, and that of one that makes the same again, because it may be resumed.
    """
    state = state_folder(out)
    if state.exists():
        with suppress(BusyError, OutputError), holding(state, kind="training state"):
            if not is_unfinished(state, report=report):
                remove_state(state)


def _new(out: Path) -> Path:
    return state_folder(out) / NEW


def _old(out: Path) -> Path:
    return state_folder(out) / OLD


def _read_row_hashes(folder: Path) -> npt.NDArray[np.uint64] | None:
    try:
        found = np.load(folder / ROW_HASHES, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if isinstance(found, np.ndarray) and found.dtype == np.uint64 else None
