"""The processes that fine-tune together, one a device: each has a share of every batch and the same weights."""

import multiprocessing
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from prodemb.core.device import DeviceName, choose_device
from prodemb.core.errors import ConfigError
from prodemb.core.files import TEMPORARY_SUFFIX

Value = TypeVar("Value")

PATIENCE = timedelta(hours=2)
"""How long the others wait for the first process, which alone validates and saves."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among all of them; by default the only one."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that validates, writes and reports."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` items are this process's own; the shares differ by one at most."""
        return self._share_of(self.rank, count=count)

    def gather(self, own: Tensor, *, count: int) -> Tensor:
        """The vectors of all processes in the order of the items, (count, d), without a graph.

        Args:
            own: (k, d), of this process's share.
        """
        own = own.detach()
        if self.count == 1:
            return own
        from accelerate.utils import gather

        shares = [self._share_of(rank, count=count) for rank in range(self.count)]
        lengths = [share.stop - share.start for share in shares]
        # A collective wants the same shape of everybody.
        padded = own.new_zeros(max(lengths), own.shape[1])
        padded[: len(own)] = own
        parts = gather(padded).split(max(lengths))
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every parameter the sum of its gradients in all processes; none where no process has one."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        trained = list(parameters)
        has = torch.tensor([parameter.grad is not None for parameter in trained], device=trained[0].device)
        somewhere = (reduce(has.float(), reduction="sum") > 0).tolist()
        moved = [parameter for parameter, found in zip(trained, somewhere, strict=True) if found]
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in moved]
        # One message, for hundreds of small ones are slow.
        total = reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduction="sum")
        for parameter, part in zip(moved, total.split([p.numel() for p in moved]), strict=True):
            parameter.grad = part.view_as(parameter)

    def from_first(self, value: Value) -> Value:
        """What the first process hands in; the others' own does not matter."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        held = [value]
        broadcast_object_list(held)
        return held[0]

    def of_all(self, value: Value) -> list[Value]:
        """What each process hands in, by rank."""
        if self.count == 1:
            return [value]
        from accelerate.utils import gather_object

        found: list[Value] = gather_object([value])
        return found

    def wait(self) -> None:
        """Go on once all are here."""
        self.from_first(None)

    def leave(self) -> None:
        """Part from the others, for what the first does alone afterwards."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().destroy_process_group()

    def _share_of(self, rank: int, *, count: int) -> slice:
        return slice(count * rank // self.count, count * (rank + 1) // self.count)


def is_launched() -> bool:
    """Whether a launcher (`accelerate launch`, torchrun) has started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_started_here() -> bool:
    """Whether `launch` has started this process from within the command, which has read and told the same before."""
    return is_launched() and multiprocessing.parent_process() is not None


def is_first_process() -> bool:
    """Whether this is the only process, or the first of those that a launcher has started."""
    return not is_launched() or int(os.environ["RANK"]) == 0


def local_rank() -> int:
    """This process's number among those on its machine: which of several devices is its own."""
    return int(os.environ["LOCAL_RANK"]) if is_launched() else 0


def check_alike(key: str, *, processes: Processes) -> None:
    """Hold that all processes are about to do the same as the first one; all ask at once.

    Args:
        key: what this one is about to do.

    Raises:
        ConfigError: some are about to do something else; in all processes.
    """
    keys = processes.of_all(key)
    if num_others := sum(found != keys[0] for found in keys):
        raise ConfigError(
            f"[finetune]: {num_others} of {processes.count} processes find another catalog, taxonomy or checkpoint, or "
            "other settings, than the first one; wanted the same everywhere, pictures with the same times too (if the "
            "catalog was changed while they read it, run again)"
        )


def check_shared(folder: Path, *, processes: Processes, device: torch.device) -> None:
    """Hold that all processes see the first one's folder, for all of them read the state in it; all ask at once.

    Args:
        folder: the first process can write there.
        device: where this process's tensors are.

    Raises:
        ConfigError: some do not; in all processes.
    """
    if processes.count == 1:
        return
    # A name that nobody has looked up before, so that no file system remembers that it was not there.
    mark = folder / f"{processes.from_first(uuid.uuid4().hex)}{TEMPORARY_SUFFIX}"
    if processes.is_first:
        mark.touch()
    processes.wait()
    sees = processes.gather(torch.tensor([[float(mark.exists())]], device=device), count=processes.count)
    if processes.is_first:
        mark.unlink()
    if num_blind := processes.count - int(sees.sum()):
        raise ConfigError(
            f"[finetune] out: {num_blind} of {processes.count} processes do not see the first one's {folder}; wanted "
            "one file system for all machines, with the catalog and this folder at the same paths"
        )


def join_processes(device: DeviceName) -> Processes:
    """Meet the other processes that the launcher has started; alone there is nobody to meet."""
    if not is_launched():
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=choose_device(device).type == "cpu", timeout=PATIENCE)
    return Processes(rank=state.process_index, count=state.num_processes)
