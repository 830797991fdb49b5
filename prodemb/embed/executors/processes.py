"""Several workers on this machine: one process each."""

from prodemb.embed.executors.executor import Outcome
from prodemb.embed.executors.job import EmbedJob, Told
from prodemb.embed.plan import Plan
from prodemb.embed.worker import Callback, Timings
from prodemb.workers.processes import run_in_processes


class ProcessExecutor:
    """Makes shards by several processes. One that dies ends the run."""

    def __init__(self, num_workers: int, *, device: str) -> None:
        self._num_workers, self._device = num_workers, device

    def run(self, plan: Plan, *, callback: Callback) -> Outcome:
        """See `Executor` and `run_in_processes`."""
        outcome = run_in_processes(
            EmbedJob(plan.for_worker()),
            plan.todo,
            num_workers=self._num_workers,
            device=self._device,
            listener=Told(callback),
        )
        return Outcome(timings=sum(outcome.results, Timings()), num_workers=outcome.num_workers, device=outcome.device)
