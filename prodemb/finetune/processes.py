"""The processes that fine-tune together, one per device: each has a share of every batch, all have equal weights."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from prodemb.core.device import DeviceName, choose_device
from prodemb.core.errors import ConfigError
from prodemb.core.files import temporary_name

Value = TypeVar("Value")

TIMEOUT = timedelta(hours=2)
"""How long the others wait for the first process, which alone validates and saves."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among all of them; by default the only one. Every method is called by all processes at once."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that validates, writes and reports."""
        return self.rank == 0

    def share(self, num_items: int) -> slice:
        """Which of `num_items` items are this process's own; the shares differ by one at most."""
        return slice(num_items * self.rank // self.count, num_items * (self.rank + 1) // self.count)

    def gather(self, own: Tensor, *, num_items: int) -> Tensor:
        """The vectors of all processes in the order of the items, (num_items, d), without a graph.

        Args:
            own: (k, d), of this process's share.
        """
        if self.count == 1:
            return own.detach()
        # All processes but one add zeros to each row.
        vectors = own.new_zeros(num_items, own.shape[1])
        vectors[self.share(num_items)] = own.detach()
        dist.all_reduce(vectors)
        return vectors

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every parameter the sum of its gradients in all processes; none where no process has one."""
        if self.count == 1:
            return
        listed = list(parameters)
        counts = torch.tensor([float(parameter.grad is not None) for parameter in listed], device=listed[0].device)
        dist.all_reduce(counts)
        moved = [parameter for parameter, count in zip(listed, counts.tolist(), strict=True) if count]
        # One message, because hundreds of small ones are slow.
        total = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in moved])
        dist.all_reduce(total)
        for parameter, part in zip(moved, torch.split(total, [p.numel() for p in moved]), strict=True):
            parameter.grad = part.view_as(parameter)

    def from_first(self, value: Value) -> Value:
        """The value that the first process passes; those of the others are ignored."""
        held = [value]
        if self.count > 1:
            dist.broadcast_object_list(held, src=0)
        return held[0]

    def of_all(self, value: Value) -> list[Value]:
        """The values that the processes pass, by rank."""
        held = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(held, value)
        return held

    def leave(self) -> None:
        """Part from the others, for what the first does alone afterwards."""
        if self.count > 1:
            dist.destroy_process_group()


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error says that another process does not answer, as those raise that are left when one of them dies.

    NCCL and the store raise torch's own errors, gloo a plain one that names the line of its source (torch 2.13).
    """
    if type(error) is RuntimeError:
        return re.search(r"/gloo/(transport|rendezvous)/", str(error)) is not None
    return isinstance(error, dist.DistError)


def is_launched() -> bool:
    """Whether a launcher (`accelerate launch`, torchrun) has started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first_process() -> bool:
    """Whether this is the only process, or the first of those that a launcher has started."""
    return not is_launched() or int(os.environ["RANK"]) == 0


def local_rank() -> int:
    """This process's number among those on its machine: which of several devices is its own."""
    return int(os.environ["LOCAL_RANK"]) if is_launched() else 0


def join_processes(device: DeviceName) -> Processes:
    """Meet the other processes that the launcher has started; alone there is nobody to meet."""
    if not is_launched():
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=choose_device(device).type == "cpu", timeout=TIMEOUT)
    return Processes(rank=state.process_index, count=state.num_processes)


def check_alike(inputs: str, *, processes: Processes) -> None:
    """Check that all processes are about to do the same as the first one.

    Args:
        inputs: the hash of what this one is about to do.

    Raises:
        ConfigError: some are about to do something else; in all processes.
    """
    found = processes.of_all(inputs)
    if num_others := sum(each != found[0] for each in found):
        raise ConfigError(
            f"[finetune]: {num_others} of {processes.count} processes find another catalog, taxonomy or checkpoint, or "
            "other settings, than the first one; wanted the same everywhere, pictures with the same times too (if the "
            "catalog was changed while they read it, run again)"
        )


def check_shared(folder: Path, *, processes: Processes) -> None:
    """Check that all processes see the first one's folder, because all of them read the state in it.

    Args:
        folder: the first process can write there.

    Raises:
        ConfigError: some do not; in all processes.
    """
    # A name that nobody has looked up before, so that no file system remembers that it was not there.
    probe = folder / str(processes.from_first(temporary_name("probe")))
    if processes.is_first:
        probe.touch()
    processes.from_first(None)
    num_blind = processes.of_all(probe.exists()).count(False)
    if processes.is_first:
        probe.unlink()
    if num_blind:
        raise ConfigError(
            f"[finetune] out: {num_blind} of {processes.count} processes do not see the first one's {folder}; wanted "
            "one file system for all machines, with the catalog and this folder at the same paths"
        )
