"""What a fine-tuning run leaves on disk: the state it goes on from after a kill, and the finished checkpoint folder."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from prodemb.core.config import Config
from prodemb.core.errors import BusyError, ConfigError, OutputError
from prodemb.core.files import TEMPORARY_SUFFIX, replacing, write_json, write_text, writing_to
from prodemb.finetune.validate import Validation
from prodemb.towers.checkpoint import Checkpoint, find_checkpoint
from prodemb.towers.load import Towers, save_checkpoint

LOG = "log.jsonl"
"""The log's file, beside the state and then in the checkpoint folder."""
PICTURE = "curves.png"
"""The curves in the checkpoint folder."""
REPORT = "finetune.json"
"""The report's file in the checkpoint folder, and the mark that the folder is done."""

Weights = dict[str, Tensor]


class Epoch(Config):
    """One pass over the training products."""

    epoch: int
    last_step: int
    """Steps done after it, since the start of training."""
    loss: float
    """Mean over its steps."""
    validation: Validation | None
    """None where no validation product is labelled."""
    seconds: float


class Curve(Config):
    """How training went so far."""

    step_losses: tuple[float, ...] = ()
    epochs: tuple[Epoch, ...] = ()

    @property
    def best_epoch(self) -> Epoch:
        """The first epoch with the best score; the last one where nothing was validated. There must be one."""
        scored = [epoch for epoch in self.epochs if epoch.validation is not None]
        return max(
            scored, key=lambda epoch: epoch.validation.score if epoch.validation else 0.0, default=self.epochs[-1]
        )

    @property
    def epochs_since_best(self) -> int:
        """How many epochs have not been better."""
        return len(self.epochs) - 1 - self.best_epoch.epoch if self.epochs else 0


def hash_of(parts: dict[str, Any]) -> str:
    """A hash of everything that decides what comes out: 32 hexadecimal digits."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def state_folder(out: Path) -> Path:
    """Where an unfinished run keeps its state: beside the checkpoint folder."""
    return out.with_name(f"{out.name}.state")


class StateStore:
    """The state of one run: the latest weights with their optimizer, and the best weights so far."""

    def __init__(self, folder: Path, *, key: str) -> None:
        self._folder, self._key = folder, key

    def save(self, *, weights: Weights, optimizer: Weights, curve: Curve) -> None:
        """Write the latest state, whole or not at all; best weights that are no longer the best go."""
        tensors = {f"weights.{name}": tensor for name, tensor in weights.items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in optimizer.items()}
        _write(self._latest, tensors=tensors, metadata={"key": self._key, "curve": curve.model_dump_json()})
        for path in self._folder.glob("best-*.safetensors"):
            if not curve.epochs or path != self._best(curve.best_epoch.epoch):
                path.unlink()

    def load(self) -> tuple[Weights, Weights, Curve] | None:
        """Weights, optimizer tensors and curve, or None where no state of this very run is there."""
        found = _read(self._latest, key=self._key)
        if found is None:
            return None
        tensors, metadata = found
        weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
        optimizer = {name.removeprefix("optimizer."): t for name, t in tensors.items() if name.startswith("optimizer.")}
        return weights, optimizer, Curve.model_validate_json(metadata["curve"])

    def is_of_another(self) -> bool:
        """Whether a state of another run is there."""
        try:
            with safe_open(self._latest, framework="pt") as file:
                return bool((file.metadata() or {}).get("key") != self._key)
        except (FileNotFoundError, SafetensorError):
            return False

    def save_best(self, *, weights: Weights, epoch: int) -> None:
        """Write the best weights so far; the ones before stay until `save` has written a state that knows these."""
        _write(self._best(epoch), tensors=weights, metadata={"key": self._key})

    def load_best(self, *, epoch: int) -> Weights | None:
        """The weights after `epoch`, where `save_best` wrote them."""
        found = _read(self._best(epoch), key=self._key)
        return found[0] if found is not None else None

    def save_near(self, near: Tensor, *, epoch: int) -> None:
        """Write which categories are near to each other in this epoch."""
        _write(self._near, tensors={"near": near}, metadata={"key": self._key, "epoch": str(epoch)})

    def load_near(self, *, epoch: int) -> Tensor | None:
        """What `save_near` wrote for this epoch, if it did."""
        found = _read(self._near, key=self._key)
        return found[0]["near"] if found is not None and found[1]["epoch"] == str(epoch) else None

    @property
    def log(self) -> Path:
        """The log's file."""
        return self._folder / LOG

    @property
    def _latest(self) -> Path:
        return self._folder / "latest.safetensors"

    @property
    def _near(self) -> Path:
        return self._folder / "near.safetensors"

    def _best(self, epoch: int) -> Path:
        return self._folder / f"best-{epoch}.safetensors"


def _write(path: Path, *, tensors: Weights, metadata: dict[str, str]) -> None:
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(ready, temporary, metadata=metadata)


def _read(path: Path, *, key: str) -> tuple[Weights, dict[str, str]] | None:
    """A state file's tensors and metadata, unless it is missing, damaged or of another run."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            if metadata.get("key") != key:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (FileNotFoundError, SafetensorError):
        return None


def optimizer_tensors(optimizer: torch.optim.Optimizer, *, parameters: Mapping[str, Tensor]) -> Weights:
    """The optimizer's tensors as `name|slot`."""
    return {
        f"{name}|{slot}": value
        for name, parameter in parameters.items()
        for slot, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, *, tensors: Weights, parameters: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    for key, value in tensors.items():
        name, slot = key.rsplit("|", 1)
        parameter = parameters[name]
        # AdamW keeps its step count on the CPU.
        optimizer.state[parameter][slot] = value if slot == "step" else value.to(parameter.device)


def check_out(out: Path, *, checkpoint: Checkpoint) -> None:
    """Hold that the checkpoint folder may be replaced.

    Raises:
        ConfigError: it is the checkpoint that is to be fine-tuned, or it holds something else.
    """
    if out.resolve() == checkpoint.folder.resolve():
        raise ConfigError(
            f"[finetune] out: found {str(out)!r}, which is the checkpoint to fine-tune; wanted another folder, "
            "since the original stays as it is"
        )
    if out.exists() and not (out.is_dir() and ((out / REPORT).exists() or not any(out.iterdir()))):
        raise ConfigError(
            f"[finetune] out: {out} holds something that fine-tuning did not write; wanted a new or an empty folder"
        )


def begin_again(folder: Path, *, key: str) -> None:
    """Forget the state of a run that was not asked to make its checkpoint again; one that was goes on from its own.

    Args:
        folder: this process alone writes to it.
        key: of the run that begins.
    """
    mark = again_mark(folder)
    if mark.exists() and mark.read_text(encoding="utf-8") == key:
        return
    for path in folder.glob("*.safetensors"):
        path.unlink()
    write_text(mark, key)


def again_mark(folder: Path) -> Path:
    """The file in a state folder that says that its run makes again what was there, and which run that is."""
    return folder / "again"


def publish(towers: Towers, *, out: Path) -> str:
    """Write the towers as a checkpoint folder beside `out`, named as temporary, and return its fingerprint.

    `put_in_place` is what gives it its name, once the report is in it.
    """
    temporary = unfinished_folder(out)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_checkpoint(towers, temporary)
    return find_checkpoint(str(temporary.absolute())).fingerprint


def put_in_place(report: dict[str, Any], *, out: Path) -> None:
    """Add the report to what `publish` wrote, and let it take the place of `out`."""
    temporary = unfinished_folder(out)
    write_json(temporary / REPORT, report)
    old = replaced_folder(out)
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    temporary.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def clear_leftovers(out: Path, *, key: str) -> None:
    """Remove what the run that made `out` left beside it, where it was killed right behind its last rename.

    The state of another run stays, and of one that makes the same again: it may go on.

    Args:
        key: of the run that made `out`.
    """
    folders = (replaced_folder(out), unfinished_folder(out), state_folder(out))
    if not any(folder.exists() for folder in folders):
        return
    with suppress(BusyError, OutputError), writing_to(state_folder(out)):
        state = state_folder(out)
        if StateStore(state, key=key).is_of_another() or again_mark(state).exists():
            return
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def replaced_folder(out: Path) -> Path:
    """Where `put_in_place` moves what stood at `out`, and then removes it."""
    return out.with_name(f"{out.name}.old{TEMPORARY_SUFFIX}")


def unfinished_folder(out: Path) -> Path:
    """Where `publish` writes what `put_in_place` renames to `out`."""
    return out.with_name(f"{out.name}.new{TEMPORARY_SUFFIX}")
