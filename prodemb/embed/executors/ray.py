"""The workers of a Ray cluster: actors, each with towers of its own, that make shards for as long as they live.

Ray starts the actors and says which of them died; everything else is as with processes. The actors and this process
share one file system: they write the files of shards, and this process alone writes the manifest. No wait is without
an end: actors are asked again and again what they have to tell, an actor that does not answer is given up, and so is a
cluster whose head does not.
"""

import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prodemb.core.children import own_signals
from prodemb.core.device import choose_device, fastest_dtype
from prodemb.core.errors import ConfigError, WorkerError
from prodemb.core.files import temporary_name
from prodemb.core.text import one_line
from prodemb.embed.executors.actor import VERSIONS, Actor
from prodemb.embed.executors.crew import KEPT, POLL_SECONDS, Message, run_crew
from prodemb.embed.executors.executor import Outcome
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.worker import Callback, Seat

logger = logging.getLogger(__name__)

RETRIES = 2
"""How often the shards of a dead actor are given to another one."""
PATIENCE_SECONDS = 600.0
"""How long no actor at all may answer, such as while others use the cluster, or machines are added to it."""
SILENT_SECONDS = 300.0
"""An actor that has answered before and then not for so long is given up; Ray notices dead machines earlier."""
HEAD_SECONDS = 20.0
"""How long the cluster's head may be away. After 60 s Ray would end this process without a word to it."""
END_SECONDS = 5.0
"""How long killed actors may take to end."""


class RayExecutor:
    """Makes shards by actors. Those that die are replaced, and their shards made by others."""

    def __init__(self, address: str | None) -> None:
        """
        Args:
            address: `[embed] ray_address`.
        """
        self._address = address

    def run(self, plan: Plan, *, callback: Callback) -> Outcome:
        """See `Executor`.

        Raises:
            ConfigError: Ray is not installed, there is no such cluster, or its machines do not see the same files.
        """
        with _connected(self._address) as ray:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            with_gpus = plan.config.device != "cpu" and any(node.get("GPU", 0) >= 1 for node in nodes)
            if plan.config.device == "cuda" and not with_gpus:
                raise ConfigError("[embed] device: found 'cuda', but no machine of the Ray cluster has a GPU")
            layout = lay_out(nodes, with_gpus=with_gpus, num_workers=plan.config.workers, num_shards=len(plan.todo))
            crew = _Actors(ray, _for_cluster(plan, on_cuda=with_gpus), layout=layout)
            num_workers = layout.num_workers
            timings = run_crew(crew, plan, num_workers=num_workers, retries=RETRIES, callback=callback)
            return Outcome(timings=timings, num_workers=num_workers, device="cuda" if with_gpus else "cpu")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How many actors a cluster is asked for, and what each one takes of its machine."""

    num_workers: int
    num_cores: int
    num_gpus: int


def lay_out(
    nodes: Sequence[Mapping[str, float]], *, with_gpus: bool, num_workers: int | None, num_shards: int
) -> Layout:
    """As many actors as are wanted or else one per GPU, without GPUs one per machine; as many cores for each as fit.

    Args:
        nodes: the resources of each machine, `CPU` and `GPU`.
        num_workers: as set.

    Raises:
        ConfigError: not even one actor fits.
    """

    def capacity(num_cores: int) -> int:
        by_cores = [int(node.get("CPU", 0)) // num_cores for node in nodes]
        if not with_gpus:
            return sum(by_cores)
        return sum(min(cores, int(node.get("GPU", 0))) for cores, node in zip(by_cores, nodes, strict=True))

    default = sum(int(node.get("GPU", 0)) if with_gpus else node.get("CPU", 0) >= 1 for node in nodes)
    wanted, most = min(num_workers or default, num_shards), capacity(1)
    if not most:
        raise ConfigError("found no core in the Ray cluster that workers may use, wanted at least one")
    if wanted > most:
        logger.warning("the Ray cluster has room for %d workers, not for %d", most, wanted)
    num_workers = min(wanted, most)
    most_cores = max(int(node.get("CPU", 0)) for node in nodes)
    num_cores = next(cores for cores in range(most_cores, 0, -1) if capacity(cores) >= num_workers)
    return Layout(num_workers=num_workers, num_cores=num_cores, num_gpus=int(with_gpus))


def _for_cluster(plan: Plan, *, on_cuda: bool) -> Plan:
    """The plan as actors get it: with one device and number format for machines of any kind."""
    chosen: dict[str, str] = {"device": "cuda" if on_cuda else "cpu"}
    if plan.config.dtype == "auto" and not on_cuda:
        chosen["dtype"] = str(fastest_dtype(choose_device("cpu"))).removeprefix("torch.")
    return replace(plan, config=plan.config.model_copy(update=chosen)).for_worker()


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; a Ray that was not started here runs on afterwards.

    Raises:
        ConfigError: Ray is not installed, or there is no such cluster.
    """
    # Ray reports who uses it, and prints what its own processes say of dead ones.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "[embed] engine: found 'ray', but ray is not installed; wanted pip install 'prodemb[ray]'"
        ) from None
    if ray.is_initialized():  # by a program that calls us
        found = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", found):
            raise ConfigError(f"[embed] ray_address: found {address!r}, but this process is connected to {found}")
        yield ray
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"include_dashboard": False} if where == "local" else {}
    wanted = "wanted the address host:port of one that this machine is part of"
    if where not in ("auto", "local") and not _Head(where).is_there():  # Ray would try for minutes
        raise ConfigError(f"Ray: found no cluster at {where!r}; {wanted}")
    try:
        with own_signals():
            ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR, **options)
    except Exception as error:
        ray.shutdown()
        raise ConfigError(f"Ray: found no cluster at {where!r} ({one_line(error)}); {wanted}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


@dataclass
class _Hired:
    """An actor, as this process knows it."""

    actor: Any
    last_words: Path
    """What it writes to its stderr. It is there before the actor is, which shows that both see the same files."""
    answers: list[ShardTask | None] = field(default_factory=list)
    """To shards it has asked for."""
    call: Any = None
    """The one it is answering."""
    host: str = ""
    heard_at: float | None = None


class _Actors:
    """A crew of actors."""

    def __init__(self, ray: Any, plan: Plan, *, layout: Layout) -> None:
        self._ray, self._plan, self._layout = ray, ray.put(plan), layout
        self._folder = plan.folder.place.absolute()
        self._models = [each.folder.absolute() for each in (plan.checkpoint, plan.text_checkpoint) if each is not None]
        self._kind = ray.remote(Actor).options(
            num_cpus=layout.num_cores,
            num_gpus=layout.num_gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        self._hired: dict[int, _Hired] = {}
        self._fallen: dict[int, str] = {}
        self._heard_at = time.monotonic()
        self._head = _Head(ray.get_runtime_context().gcs_address)

    def start(self, rank: int) -> None:
        self._head.wait()
        last_words = self._folder / temporary_name(f"worker-{rank}")
        last_words.touch()
        paths = (last_words, *self._models)
        seat = Seat(rank=rank, num_workers=self._layout.num_workers, num_cores=self._layout.num_cores)
        actor = self._kind.remote(self._plan, seat=seat, home=Path.cwd(), paths=paths, versions=VERSIONS)
        self._hired[rank] = _Hired(actor=actor, last_words=last_words)

    def receive(self, timeout: float) -> list[tuple[int, Message]]:
        self._head.wait()
        calls = {}
        for rank, hired in self._hired.items():
            if hired.call is None:
                hired.call, hired.answers = hired.actor.exchange.remote(hired.answers), []
            calls[hired.call] = rank
        ready, _ = self._ray.wait(list(calls), num_returns=1, timeout=timeout)
        now = time.monotonic()
        received = []
        for rank in map(calls.__getitem__, ready):
            hired = self._hired[rank]
            call, hired.call = hired.call, None
            try:
                hired.host, messages = self._ray.get(call, timeout=SILENT_SECONDS)
            except self._ray.exceptions.RayError as error:
                self._fallen[rank] = _cause_of_death(rank, hired, error)
                continue
            hired.heard_at = self._heard_at = now
            received += [(rank, message) for message in messages]
        for rank, hired in self._hired.items():
            if hired.heard_at is not None and now - hired.heard_at > SILENT_SECONDS:
                self._fallen[rank] = f"{_name(rank, hired)} has not answered for {SILENT_SECONDS:.0f} s"
        if now - self._heard_at > PATIENCE_SECONDS:
            cores, gpus = self._layout.num_cores, self._layout.num_gpus
            raise WorkerError(
                f"no worker of the Ray cluster has answered for {PATIENCE_SECONDS:.0f} s; each wanted {cores} cores"
                f"{' and a GPU' if gpus else ''} of a machine, which others may use; {KEPT}"
            )
        return received

    def answer(self, rank: int, task: ShardTask | None) -> None:
        self._hired[rank].answers.append(task)

    def fallen(self) -> dict[int, str]:
        fallen, self._fallen = self._fallen, {}
        return fallen

    def end(self, rank: int) -> None:
        hired = self._hired.pop(rank, None)
        if hired is None:
            return
        hired.last_words.unlink(missing_ok=True)
        if not self._head.is_there():
            return
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(hired.actor)
            if hired.call is not None and hired.heard_at is not None:
                self._ray.wait([hired.call], timeout=END_SECONDS)  # it comes to nothing once the actor is dead


class _Head:
    """The head of a cluster. What Ray is asked to do with actors waits for it without an end, so it is asked before."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._seen_at = -POLL_SECONDS
        self._is_gone = False

    def is_there(self) -> bool:
        """Whether it answers; once it was given up it is not asked again."""
        if self._is_gone:
            return False
        if time.monotonic() - self._seen_at < POLL_SECONDS:
            return True
        host, _, port = self._address.rpartition(":")
        with (
            suppress(OSError, OverflowError, ValueError),
            socket.create_connection((host, int(port)), timeout=POLL_SECONDS),
        ):
            self._seen_at = time.monotonic()
            return True
        return False

    def wait(self) -> None:
        """Return once it answers.

        Raises:
            WorkerError: it does not for too long.
        """
        until = time.monotonic() + HEAD_SECONDS
        while not self.is_there():
            if time.monotonic() > until:
                self._is_gone = True
                raise WorkerError(f"the head of the Ray cluster at {self._address} does not answer any more; {KEPT}")
            time.sleep(POLL_SECONDS)


def _name(rank: int, hired: _Hired) -> str:
    return f"prodemb worker {rank}{f' on {hired.host}' if hired.host else ''}"


def _cause_of_death(rank: int, hired: _Hired, error: Exception) -> str:
    """How an actor died as Ray knows it, and what it wrote last itself."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    known = [line for line in lines if line.startswith("The actor is dead because ")]
    cause = known[0].removeprefix("The actor is dead because ").split(". ")[0] if known else lines[-1].strip()
    said = ""
    with suppress(OSError):
        words = [line for line in hired.last_words.read_text(errors="replace").splitlines() if line.strip()]
        fatal = [line for line in words if line.startswith("Fatal Python error")]
        said = "".join(f": {line.strip()}" for line in (fatal or words)[-1:])
    return f"{_name(rank, hired)} died: {cause}{said or '; possibly out of memory'}"
