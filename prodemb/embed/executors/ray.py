"""The workers of a Ray cluster."""

from dataclasses import replace
from typing import Literal

from prodemb.core.device import choose_device, fastest_dtype
from prodemb.embed.executors.executor import Outcome
from prodemb.embed.executors.job import EmbedJob, Told
from prodemb.embed.plan import Plan
from prodemb.embed.worker import Callback, Timings
from prodemb.workers.ray import RaySettings, run_on_ray


class RayExecutor:
    """Makes shards by actors, each with towers of its own. Those that die are replaced."""

    def __init__(self, address: str | None) -> None:
        """
        Args:
            address: `[embed] ray_address`.
        """
        self._address = address

    def run(self, plan: Plan, *, callback: Callback) -> Outcome:
        """See `Executor` and `run_on_ray`."""
        config = plan.config
        outcome = run_on_ray(
            lambda device: EmbedJob(for_cluster(plan, device=device)),
            plan.todo,
            settings=RaySettings(
                table="embed", address=self._address, num_workers=config.workers, device=config.device
            ),
            folder=plan.folder,
            inputs=[each.folder for each in (plan.checkpoint, plan.text_checkpoint) if each is not None],
            listener=Told(callback),
        )
        return Outcome(timings=sum(outcome.results, Timings()), num_workers=outcome.num_workers, device=outcome.device)


def for_cluster(plan: Plan, *, device: Literal["cpu", "cuda"]) -> Plan:
    """The plan as actors get it: with one device and number format for machines of any kind."""
    chosen: dict[str, str] = {"device": device}
    if plan.config.dtype == "auto" and device == "cpu":
        chosen["dtype"] = str(fastest_dtype(choose_device("cpu"))).removeprefix("torch.")
    return replace(plan, config=plan.config.model_copy(update=chosen)).for_worker()
