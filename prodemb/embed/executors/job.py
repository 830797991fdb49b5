"""Making shards, as several workers do it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from prodemb.catalog.budget import PictureCounts
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.worker import Callback, Timings, embed_shards
from prodemb.shards.format import ShardRecord, ShardSchema
from prodemb.workers.job import Listener, Seat


@dataclass(frozen=True)
class EmbedJob:
    """A worker's part of a run of stage one."""

    noun: ClassVar[str] = "shard"
    plan: Plan
    """See `Plan.for_worker`."""

    def work(self, tasks: Iterable[ShardTask], *, seat: Seat, listener: Listener) -> Timings:
        """Make shards."""
        return embed_shards(self.plan, tasks=tasks, seat=seat, callback=_Telling(listener))


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
