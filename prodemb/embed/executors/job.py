"""Making shards, as several workers do it."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from prodemb.catalog.budget import PictureCounts
from prodemb.core.errors import ModelError
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.worker import Callback, Timings, embed_shards
from prodemb.shards.format import ShardRecord, ShardSchema
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.workers.job import Listener, Seat


@dataclass(frozen=True)
class EmbedJob:
    """A worker's part of a run of stage one."""

    noun: ClassVar[str] = "shard"
    plan: Plan
    """See `Plan.for_worker`."""
    fingerprints: tuple[str, ...] | None = None
    """`fingerprints_of` the plan, where each machine has or fetches checkpoints and the index of the earlier set of its
    own; None where it sees those of the machine that the command runs on."""

    def work(self, tasks: Iterable[ShardTask], *, seat: Seat, listener: Listener) -> Timings:
        """Make shards.

        Raises:
            ModelError: another checkpoint has the name here.
        """
        plan = self.plan if self.fingerprints is None else on_this_machine(self.plan, wanted=self.fingerprints)
        return embed_shards(plan, tasks=tasks, seat=seat, callback=_Telling(listener))


def fingerprints_of(plan: Plan) -> tuple[str, ...]:
    """Those of the checkpoint and of the text encoder, if any."""
    return tuple(each.fingerprint for each in (plan.checkpoint, plan.text_checkpoint) if each is not None)


def on_this_machine(plan: Plan, *, wanted: tuple[str, ...]) -> Plan:
    """The plan with checkpoints and index as they lie here; they are fetched where they do not yet.

    Args:
        wanted: `fingerprints_of` the plan where the command runs.

    Raises:
        ModelError: another checkpoint has the name here.
    """
    config = plan.config
    found = replace(
        plan,
        checkpoint=find_checkpoint(config.model, revision=config.revision, truncate_dim=config.truncate_dim),
        text_checkpoint=config.text_checkpoint(),
        reuse=None if plan.reuse is None else plan.reuse.fetched(),
    )
    if fingerprints_of(found) != wanted:
        raise ModelError(
            f"Ray worker on {socket.gethostname()}: found {config.model} with the fingerprint "
            f"{' and '.join(fingerprints_of(found))}; wanted {' and '.join(wanted)}, as where the command runs"
        )
    return found


class _Telling:
    """The callback of a worker: what it is told the listener hears."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def on_start(self, schema: ShardSchema) -> None:
        self._listener.on_start(schema)

    def on_window(self, index: int, num_products: int, pictures: PictureCounts) -> None:
        self._listener.on_part(index, (num_products, pictures))

    def on_shard(self, index: int, record: ShardRecord) -> None:
        self._listener.on_done(index, record)


class Told:
    """What workers tell, passed on to the callback of the run."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def on_start(self, value: ShardSchema) -> None:
        """The first worker has loaded its towers."""
        self._callback.on_start(value)

    def on_part(self, index: int, value: tuple[int, PictureCounts]) -> None:
        """A window went to the towers."""
        self._callback.on_window(index, *value)

    def on_done(self, index: int, value: ShardRecord) -> None:
        """A shard is complete."""
        self._callback.on_shard(index, value)
