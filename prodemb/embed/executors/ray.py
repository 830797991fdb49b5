"""The workers of a Ray cluster."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from prodemb.core.device import choose_device, fastest_dtype
from prodemb.embed.executors.executor import Outcome
from prodemb.embed.executors.job import EmbedJob, Told, fingerprints_of
from prodemb.embed.index import lent_index
from prodemb.embed.plan import Plan
from prodemb.embed.worker import Callback, Timings
from prodemb.storage.address import Place
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
        with lent_index(plan) as lent:
            return self._run(lent, callback=callback)

    def _run(self, plan: Plan, *, callback: Callback) -> Outcome:
        config, folder = plan.config, plan.folder.place
        fingerprints = None if isinstance(folder, Path) else fingerprints_of(plan)
        outcome = run_on_ray(
            lambda device: EmbedJob(for_cluster(plan, device=device), fingerprints=fingerprints),
            plan.todo,
            settings=RaySettings(
                table="embed", address=self._address, num_workers=config.workers, device=config.device
            ),
            folder=folder if isinstance(folder, Path) else None,
            inputs=inputs_of(plan),
            listener=Told(callback),
        )
        return Outcome(timings=sum(outcome.results, Timings()), num_workers=outcome.num_workers, device=outcome.device)


def inputs_of(plan: Plan) -> list[Place]:
    """What each machine must see. Of a set in a bucket that is what is named by a path: all else it has or fetches."""
    if plan.folder.is_local:
        return [each.folder for each in (plan.checkpoint, plan.text_checkpoint) if each is not None]
    models = [Path(name) for name in (plan.config.model, plan.config.text_model) if name is not None]
    return [*(each.path for each in plan.catalog.files), *(each for each in models if each.is_dir())]


def for_cluster(plan: Plan, *, device: Literal["cpu", "cuda"]) -> Plan:
    """The plan as actors get it: with one device and number format for machines of any kind."""
    chosen: dict[str, str] = {"device": device}
    if plan.config.dtype == "auto" and device == "cpu":
        chosen["dtype"] = str(fastest_dtype(choose_device("cpu"))).removeprefix("torch.")
    return replace(plan, config=plan.config.model_copy(update=chosen)).for_worker()
