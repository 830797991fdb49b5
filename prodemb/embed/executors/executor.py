"""What all engines of stage one have in common."""

from dataclasses import dataclass
from typing import Protocol

from prodemb.embed.plan import Plan
from prodemb.embed.worker import Callback, Timings


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the shards of a run were made; the shards themselves have gone to the callback."""

    timings: Timings
    """Of all workers."""
    num_workers: int
    device: str
    """What the towers ran on: "cpu" or "cuda"."""


class Executor(Protocol):
    """Makes shards. The files are the same whichever executor makes them."""

    def run(self, plan: Plan, *, callback: Callback) -> Outcome:
        """Make the shards of `plan.todo`, of which there is at least one.

        Raises:
            WorkerError: a worker died, or none could be had.
            ProdembError: what a worker raised.
        """
