"""What a killed run resumes from: model, optimizer, best weights and curve, one file beside the checkpoint folder."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from prodemb.core.bounded import check_tensor_header
from prodemb.core.files import replacing
from prodemb.core.folders import MARKER
from prodemb.finetune.report import Curve, FinetuneReport

LOG = "log.jsonl"
"""The log's file, beside the state and then in the checkpoint folder."""
STATE = "state.safetensors"
NEW, OLD = "new", "old"
"""The folders of the checkpoint that is about to be published, and of the one that it replaces."""

Weights = dict[str, Tensor]


def state_folder(out: Path) -> Path:
    """Where an unfinished run keeps its state: beside the checkpoint folder."""
    return out.with_name(f"{out.name}.state")


class StateFile:
    """The state of one run. It is of this run if it holds the same hash of inputs.

    A run that is to make a finished checkpoint again (`overwrite`) resumes only from a state of such a run; any other
    run also resumes from that.
    """

    def __init__(self, folder: Path, *, inputs: str, overwrite: bool) -> None:
        """
        Args:
            inputs: the hash of the run's inputs.
        """
        self.log = folder / LOG
        """The log's file."""
        self._path = folder / STATE
        self._inputs, self._overwrite = inputs, overwrite

    def save(self, parts: Mapping[str, Weights], *, curve: Curve) -> None:
        """Write tensors by part and name, whole or not at all."""
        tensors = {
            f"{part}/{name}": tensor.detach().cpu().contiguous()
            for part, named in parts.items()
            for name, tensor in named.items()
        }
        metadata = {"inputs_hash": self._inputs, "overwrite": str(self._overwrite), "curve": curve.model_dump_json()}
        with replacing(self._path) as temporary:
            save_file(tensors, temporary, metadata=metadata)

    def load(self) -> tuple[dict[str, Weights], Curve] | None:
        """What `save` wrote, or None where no whole state of this run is there."""
        metadata = _metadata(self._path)
        is_of_overwrite = metadata.get("overwrite") == str(True)
        if metadata.get("inputs_hash") != self._inputs or (self._overwrite and not is_of_overwrite):
            return None
        self._overwrite = is_of_overwrite
        parts: dict[str, Weights] = {}
        with safe_open(self._path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118
                part, _, name = key.partition("/")
                parts.setdefault(part, {})[name] = file.get_tensor(key)
        return parts, Curve.model_validate_json(metadata["curve"])


def remove_state(folder: Path) -> None:
    """Remove what a run kept in its state folder, and the folder where nothing else is in it.

    What cannot be removed, such as a mapped file on NFS, is left to the next run.
    """
    for name in (NEW, OLD):
        shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(OSError):
        for name in (STATE, LOG, MARKER):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def is_unfinished(folder: Path, *, report: FinetuneReport) -> bool:
    """Whether a state folder holds the state of a run that may still be resumed.

    Args:
        report: of the finished checkpoint; a state of the same inputs is resumed only by a run that makes it again.
    """
    metadata = _metadata(folder / STATE)
    if not metadata or metadata["inputs_hash"] != report.inputs_hash:
        return bool(metadata)
    return metadata["overwrite"] == str(True) and Curve.model_validate_json(metadata["curve"]) != report.curve


def _metadata(path: Path) -> dict[str, str]:
    """A state file's metadata; empty where the file is missing or damaged."""
    try:
        check_tensor_header(path)
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
        Curve.model_validate_json(found["curve"])
    except (FileNotFoundError, SafetensorError, LookupError, ValueError):
        return {}
    return found if {"inputs_hash", "overwrite"} <= found.keys() else {}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Weights:
    """The optimizer's state as `parameter.slot`, parameters by number."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{slot}": tensor for number, slots in state.items() for slot, tensor in slots.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, *, tensors: Weights) -> None:
    """Load what `optimizer_tensors` returned into an optimizer of the same parameters."""
    state: dict[int, Weights] = {}
    for key, tensor in tensors.items():
        number, slot = key.split(".")
        state.setdefault(int(number), {})[slot] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
