"""The workers of a Ray cluster: actors, each with what it works with loaded, that do tasks for as long as they live.

Ray starts the actors and says which of them died; everything else is as with processes. The actors and this process
share one file system: they write the files that tasks make, and this process alone says which of them count. No wait is
without an end: actors are asked again and again what they have to tell, an actor that does not answer is given up, and
so is a cluster whose head does not.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from prodemb.core.device import DeviceName
from prodemb.core.errors import WorkerError
from prodemb.core.files import temporary_name
from prodemb.workers.actor import VERSIONS, Actor
from prodemb.workers.cluster import Head, Layout, connected, device_of, lay_out, resources
from prodemb.workers.crew import run_crew
from prodemb.workers.job import Job, Listener, Message, Outcome, Seat, Task, kept

RETRIES = 2
"""How often the tasks of a dead actor are given to another one."""
PATIENCE_SECONDS = 600.0
"""How long no actor at all may answer, such as while others use the cluster, or machines are added to it."""
SILENT_SECONDS = 300.0
"""An actor that has answered before and then not for so long is given up; Ray notices dead machines earlier."""
END_SECONDS = 5.0
"""How long killed actors may take to end."""


@dataclass(frozen=True, kw_only=True)
class RaySettings:
    """Which cluster a run has, and how much of it."""

    table: str
    """Of the settings, for messages: "embed"."""
    address: str | None
    """As for `prodemb.workers.cluster.connected`."""
    num_workers: int | None
    """By default one per GPU, and without any one per machine."""
    device: DeviceName


def run_on_ray(
    job_for: Callable[[Literal["cpu", "cuda"]], Job],
    tasks: Sequence[Task],
    *,
    settings: RaySettings,
    folder: Path,
    inputs: Sequence[Path],
    listener: Listener,
    layout: Layout | None = None,
) -> Outcome:
    """Have tasks done by actors. Those that die are replaced, and their tasks done by others.

    Args:
        job_for: the job on this kind of device, which is one for machines of any kind.
        folder: of the run's output; each actor must see it. Its last words are a temporary file in it.
        inputs: files or folders that each machine must see too.
        layout: what each worker takes of its machine, where that is known; of the workers no more than there are tasks.

    Raises:
        ConfigError: Ray is not installed, there is no such cluster, or its machines do not see the same files.
        WorkerError: too many actors died, or none could be had.
        ProdembError: what an actor raised.
    """
    with connected(settings.address, table=settings.table) as ray:
        nodes = resources(ray)
        device = device_of(nodes, wanted=settings.device)
        layout = layout or lay_out(
            nodes, with_gpus=device == "cuda", num_workers=settings.num_workers, num_tasks=len(tasks)
        )
        job, num_workers = job_for(device), min(layout.num_workers, len(tasks))
        layout = replace(layout, num_workers=num_workers)
        crew = _Actors(ray, job, layout=layout, folder=folder, inputs=inputs)
        results = run_crew(crew, tasks, num_workers=num_workers, retries=RETRIES, listener=listener, noun=job.noun)
        return Outcome(results=results, num_workers=num_workers, device=device)


@dataclass
class _Hired:
    """An actor, as this process knows it."""

    actor: Any
    last_words: Path
    """What it writes to its stderr. It is there before the actor is, which shows that both see the same files."""
    answers: list[Task | None] = field(default_factory=list)
    """To what it has asked for."""
    call: Any = None
    """The one it is answering."""
    host: str = ""
    heard_at: float | None = None


class _Actors:
    """A crew of actors."""

    def __init__(self, ray: Any, job: Job, *, layout: Layout, folder: Path, inputs: Sequence[Path]) -> None:
        self._ray, self._job, self._layout = ray, ray.put(job), layout
        self._kept = kept(job.noun)
        self._folder, self._inputs = folder.absolute(), [path.absolute() for path in inputs]
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
        self._head = Head(ray.get_runtime_context().gcs_address, kept=self._kept)

    def start(self, rank: int) -> None:
        self._head.wait()
        last_words = self._folder / temporary_name(f"worker-{rank}")
        last_words.touch()
        paths = (last_words, *self._inputs)
        seat = Seat(rank=rank, num_workers=self._layout.num_workers, num_cores=self._layout.num_cores)
        actor = self._kind.remote(self._job, seat=seat, home=Path.cwd(), paths=paths, versions=VERSIONS)
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
                self._fallen[rank] = cause_of_death(_name(rank, hired), str(error), last_words=hired.last_words)
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
                f"{' and a GPU' if gpus else ''} of a machine, which others may use; {self._kept}"
            )
        return received

    def answer(self, rank: int, task: Task | None) -> None:
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


def _name(rank: int, hired: _Hired) -> str:
    return f"prodemb worker {rank}{f' on {hired.host}' if hired.host else ''}"


def cause_of_death(name: str, said: str, *, last_words: Path) -> str:
    """How a worker died as Ray knows it, and what it wrote last itself.

    Args:
        said: what Ray's error says.
        last_words: the file that took the worker's stderr.
    """
    lines = [line for line in said.splitlines() if line.strip()] or ["for no known reason"]
    known = [line for line in lines if line.startswith("The actor is dead because ")]
    cause = known[0].removeprefix("The actor is dead because ").split(". ")[0] if known else lines[-1].strip()
    last = ""
    with suppress(OSError):
        words = [line for line in last_words.read_text(errors="replace").splitlines() if line.strip()]
        fatal = [line for line in words if line.startswith("Fatal Python error")]
        last = "".join(f": {line.strip()}" for line in (fatal or words)[-1:])
    return f"{name} died: {cause}{last or '; possibly out of memory'}"
