"""One worker: this process."""

from prodemb.embed.executors.executor import Outcome
from prodemb.embed.plan import Plan
from prodemb.embed.worker import Callback, embed_shards
from prodemb.workers.job import Seat


class LocalExecutor:
    """Makes one shard after another."""

    def __init__(self, *, device: str) -> None:
        self._device = device

    def run(self, plan: Plan, *, callback: Callback) -> Outcome:
        """See `Executor`."""
        timings = embed_shards(plan, tasks=plan.todo, seat=Seat(), callback=callback)
        return Outcome(timings=timings, num_workers=1, device=self._device)
