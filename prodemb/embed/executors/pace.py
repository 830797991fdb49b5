"""How fast a sample goes through stage one where a run would be made: on this machine, or by a Ray cluster's worker."""

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from prodemb.core.device import choose_device
from prodemb.core.files import nearest_folder
from prodemb.embed.executors.ray import for_cluster
from prodemb.embed.pace import Round, measure_pace
from prodemb.embed.plan import Plan, ShardTask
from prodemb.towers.load import choose_dtype, load_towers
from prodemb.towers.reference import check_against_reference
from prodemb.towers.text_encoder import load_text_encoder
from prodemb.workers.cluster import Layout, connected, device_of, lay_out, resources
from prodemb.workers.job import Listener, Seat
from prodemb.workers.ray import RaySettings, run_on_ray


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A sample, embedded by one worker."""

    sample: Round | None
    """None where there are no products."""
    loading_s: float
    """How long it took to load the towers."""
    dim: int
    """Numbers in a vector of CLIP's."""
    text_dim: int
    """Numbers in a vector of the text encoder; 0 without one."""
    device: str
    dtype: str
    host: str
    """The machine's name."""


@dataclass(frozen=True, kw_only=True)
class ClusterUse:
    """What a run would have of a Ray cluster."""

    num_machines: int
    """Of the cluster."""
    num_workers: int
    num_cores: int
    """Of each worker."""
    num_gpus: int
    """Of each worker."""


def pace_here(plan: Plan, *, sample: pa.Table) -> Pace:
    """Embed a sample in this process.

    Args:
        sample: products with their pictures, in any order.

    Raises:
        ModelError: the checkpoint cannot be loaded, its vectors are not transformers' own, or a tower failed.
        ImagesError: a picture was not ready in time.
    """
    config = plan.config
    started = time.perf_counter()
    towers = load_towers(plan.checkpoint, device=config.device, dtype=config.dtype)
    check_against_reference(towers)
    text_encoder = None
    if plan.text_checkpoint is not None:
        text_encoder = load_text_encoder(plan.text_checkpoint, device=config.device, dtype=config.dtype)
    loading_s = time.perf_counter() - started
    device = choose_device(config.device)
    return Pace(
        sample=measure_pace(plan, towers=towers, sample=sample, text_encoder=text_encoder),
        loading_s=loading_s,
        dim=towers.dim,
        text_dim=0 if text_encoder is None else text_encoder.dim,
        device=str(device),
        dtype=str(choose_dtype(config.dtype, device=device)).removeprefix("torch."),
        host=socket.gethostname(),
    )


def pace_on_ray(plan: Plan, *, sample: pa.Table) -> tuple[Pace, ClusterUse]:
    """Look at a cluster, and have one of its workers embed a sample, with the cores that it would have in a run.

    Raises:
        ConfigError, WorkerError: as `run_on_ray`.
        ModelError, ImagesError: as `pace_here`.
    """
    config = plan.config
    with connected(config.ray_address, table="embed") as ray:
        nodes = resources(ray)
        device = device_of(nodes, wanted=config.device)
        layout = lay_out(
            nodes, with_gpus=device == "cuda", num_workers=config.workers, num_tasks=max(1, len(plan.todo))
        )
        outcome = run_on_ray(
            lambda device: _Sampling(_for_measuring(plan, device=device, layout=layout), sample),
            [ShardTask(index=0, start=0, stop=sample.num_rows)],
            settings=RaySettings(table="embed", address=config.ray_address, num_workers=1, device=config.device),
            folder=nearest_folder(Path(config.out)),
            inputs=[each.folder for each in (plan.checkpoint, plan.text_checkpoint) if each is not None],
            listener=_Silent(),
            layout=layout,
        )
    (pace,) = outcome.results
    return pace, ClusterUse(
        num_machines=len(nodes),
        num_workers=layout.num_workers,
        num_cores=layout.num_cores,
        num_gpus=layout.num_gpus,
    )


def _for_measuring(plan: Plan, *, device: Literal["cpu", "cuda"], layout: Layout) -> Plan:
    """The plan as an actor gets it, which has no shards to make and takes nothing from an earlier set."""
    plan = for_cluster(plan, device=device)
    threads = min(plan.config.decode_workers or layout.num_cores, max(layout.num_cores, 1))
    return replace(plan, config=plan.config.model_copy(update={"decode_workers": threads}), reuse=None, old=None)


@dataclass(frozen=True)
class _Sampling:
    """The job of the one worker that embeds a sample."""

    noun: ClassVar[str] = "sample"
    plan: Plan
    sample: pa.Table

    def work(self, tasks: Iterable[ShardTask], *, seat: Seat, listener: Listener) -> Pace:
        seat.take_cores()
        pace = None
        for task in tasks:
            pace = pace_here(self.plan, sample=self.sample)
            listener.on_done(task.index, os.getpid())
        assert pace is not None, "there is one task"
        return pace


class _Silent:
    """A listener that needs not be told anything."""

    def on_start(self, value: Any) -> None: ...

    def on_part(self, index: int, value: Any) -> None: ...

    def on_done(self, index: int, value: Any) -> None: ...
