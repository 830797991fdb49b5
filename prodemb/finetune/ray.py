"""Fine-tuning by the machines of a Ray cluster, together, as Ray Train starts them.

Ray Train starts the workers and brings them together, nothing else: checkpoints and states are those of one process.
An attempt ends when a worker dies; the next one resumes from the last saved step, with the machines that are there by
then. No wait is without an end.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prodemb.core.children import take_record
from prodemb.core.device import DeviceName
from prodemb.core.errors import BusyError, WorkerError
from prodemb.core.folders import holding
from prodemb.core.progress import ProgressCallback
from prodemb.core.text import counted
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.foreman import Foreman, Group, Loss
from prodemb.finetune.launch import KEPT, Work
from prodemb.finetune.state import state_folder
from prodemb.workers.actor import VERSIONS, read_end
from prodemb.workers.cluster import Head, connected, device_of, lay_out, resources
from prodemb.workers.crew import POLL_SECONDS
from prodemb.workers.ray import END_SECONDS, PATIENCE_SECONDS, RETRIES, SILENT_SECONDS, cause_of_death

logger = logging.getLogger(__name__)

_ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "60",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": f"{POLL_SECONDS:g}",
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": f"{SILENT_SECONDS:.0f}",
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "1",
}
"""Ray Train as it is wanted: without records of its own, and with ends to its waits.

Whoever has no room for so long is asked for anew, with the machines that are there by then.
"""

_LEAVE_SECONDS = 15.0
"""How long the workers of a killed command, or of an attempt, may take to end and leave the checkpoint alone."""
_FAREWELL_SECONDS = 30.0
"""How long Ray Train may take to end the other workers after one has raised something."""


def launch_on_ray(
    work: Work,
    *,
    config: FinetuneConfig,
    device: DeviceName,
    paths: tuple[Path, ...],
    on_progress: ProgressCallback | None,
) -> None:
    """Run `work` in the workers of a Ray cluster, which know of each other; the first one's progress is reported.

    There are `config.workers` or else one per GPU, without GPUs one per machine. When one dies all are started anew,
    until three attempts in a row have come no further than those before.

    Args:
        paths: what all machines must see beside the folder of `config.out`.

    Raises:
        ConfigError: Ray is not installed, there is no such cluster, or its machines do not see the same files.
        WorkerError: workers died, or none could be had.
        BusyError: another run writes to the same checkpoint.
        ProdembError: what a worker raised.
    """
    out = Path(config.out).absolute()
    with _run_folder(out) as folder, connected(config.ray_address, table="finetune") as ray:
        furthest = num_in_vain = 0
        asked_at = time.monotonic()
        while True:
            attempt = _Attempt(ray, config=config, device=device, folder=folder, paths=paths)
            try:
                how = attempt.run(work, on_progress=on_progress)
            except BusyError as error:
                num_in_vain += 1
                if num_in_vain > RETRIES:
                    raise
                logger.warning("%s; trying again", error)
                _wait_until_free(out)
                continue
            if how is None:
                return
            if attempt.had_no_room:
                if time.monotonic() - asked_at > PATIENCE_SECONDS:
                    raise WorkerError(how)
                continue
            asked_at = time.monotonic()
            num_in_vain = 1 if attempt.furthest > furthest else num_in_vain + 1
            furthest = max(furthest, attempt.furthest)
            if num_in_vain > RETRIES:
                raise WorkerError(f"{how}; {counted(num_in_vain, 'attempt')} came no further; {KEPT}")
            logger.warning("%s; fine-tuning goes on from the last saved step", how)


@contextmanager
def _run_folder(out: Path) -> Iterator[Path]:
    """A folder beside the checkpoint for what is gone with the run; one run at a time has it, once nobody writes the
    checkpoint."""
    folder = out.with_name(f"{out.name}.ray")
    with holding(folder, kind="training state"):
        try:
            _wait_until_free(out)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _wait_until_free(out: Path) -> None:
    """See that nobody writes to the checkpoint; a worker of a killed command or an attempt may do so a little longer.

    Raises:
        BusyError: another run does.
    """
    state, until = state_folder(out), time.monotonic() + _LEAVE_SECONDS
    while state.exists():
        try:
            with holding(state, kind="training state"):
                return
        except BusyError:
            if time.monotonic() > until:
                raise
        time.sleep(POLL_SECONDS)


class _Attempt:
    """The workers as they are started once, until they have finished or one of them is lost."""

    def __init__(
        self, ray: Any, *, config: FinetuneConfig, device: DeviceName, folder: Path, paths: tuple[Path, ...]
    ) -> None:
        self.furthest = 0
        """The last step that was heard of."""
        self.had_no_room = False
        """Whether no worker was started, because others use the cluster."""
        self._ray, self._head = ray, Head(ray.get_runtime_context().gcs_address, kept=KEPT)
        self._head.wait()
        nodes = resources(ray)
        on_cuda = device_of(nodes, wanted=device) == "cuda"
        layout = lay_out(nodes, with_gpus=on_cuda, num_workers=config.workers, num_tasks=config.batch_size)
        self._group = Group(
            num_workers=layout.num_workers,
            num_cores=layout.num_cores,
            num_gpus=layout.num_gpus,
            folder=folder,
            home=Path.cwd(),
            paths=tuple(path.absolute() for path in paths),
            versions=VERSIONS,
        )
        self._hosts: dict[int, str] = {}
        self._raised: Exception | None = None

    def run(self, work: Work, *, on_progress: ProgressCallback | None) -> str | None:
        """Work until it is done, or return how workers were lost.

        Raises:
            ProdembError: what a worker raised.
        """
        ray = self._ray
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        kind = ray.remote(num_cpus=0, concurrency_groups={"tell": 1, "take": 1})(Foreman)
        foreman = kind.options(scheduling_strategy=here, runtime_env={"env_vars": _ENVIRONMENT}).remote()
        running = foreman.run.remote([ray.put(work)], self._group)  # in a list it stays a reference
        try:
            losses = self._listen(foreman, running, on_progress=on_progress)
        except ray.exceptions.RayError as error:
            return f"what watches over the workers died: {_last_line(str(error))}"
        finally:
            self._end(foreman, running)
        return self._how(losses) if losses else None

    def _listen(self, foreman: Any, running: Any, *, on_progress: ProgressCallback | None) -> list[Loss]:
        """Pass on what is told until the attempt has ended; returns why it has failed, or raises what was raised."""
        started_at = heard_at = raised_at = time.monotonic()
        has_ended = False
        call = None
        while True:
            self._head.wait()
            call = call or foreman.take.options(concurrency_group="take").remote()
            ready, _ = self._ray.wait([call], timeout=POLL_SECONDS)
            now = time.monotonic()
            if ready:
                messages, call, heard_at = self._ray.get(call), None, now
                for message in messages:
                    self._hear(*message, on_progress=on_progress)
            raised_at = now if self._raised is None else raised_at
            if self._raised is not None and (has_ended or now - raised_at > _FAREWELL_SECONDS):
                raise self._raised
            if has_ended and ready and not messages:
                return list(self._ray.get(running))
            has_ended = has_ended or bool(self._ray.wait([running], timeout=0)[0])
            if now - heard_at > SILENT_SECONDS or (not self._hosts and now - started_at > 2 * SILENT_SECONDS):
                silence = f"{now - max(heard_at, started_at):.0f} s"
                raise WorkerError(f"Ray Train has not started the workers, or not answered, for {silence}; {KEPT}")

    def _hear(self, name: str, value: Any, *, on_progress: ProgressCallback | None) -> None:
        match name:
            case "started":
                rank, host = value
                self._hosts[rank] = host
            case "progress":
                self.furthest = max(self.furthest, value[0])
                if on_progress is not None:
                    on_progress(*value)
            case "log":
                take_record(value)
            case "failed":
                self._raised = self._raised or value

    def _no_room(self) -> str:
        group = self._group
        wanted = f"{counted(group.num_cores, 'core')}{' and a GPU' if group.num_gpus else ''} of a machine"
        return (
            f"the Ray cluster has not had room for {counted(group.num_workers, 'worker')} at once for "
            f"{PATIENCE_SECONDS:.0f} s; each wanted {wanted}, which others may use; {KEPT}"
        )

    def _how(self, losses: list[Loss]) -> str:
        """How an attempt was lost, in one line: a death tells more than what the others met with because of it."""
        loss = min(losses, key=lambda loss: not loss.is_dead)
        self.had_no_room = loss.is_no_room
        if loss.is_no_room:
            return self._no_room()
        if loss.rank is None:
            return f"Ray Train could not start the workers: {_last_line(loss.text)}"
        host = self._hosts.get(loss.rank)
        name = f"fine-tuning worker {loss.rank}{f' on {host}' if host else ''}"
        if loss.is_dead:
            return cause_of_death(name, loss.text, words=read_end(str(self._group.last_words(loss.rank))))
        return f"{name} failed: {_last_line(loss.text)}"

    def _end(self, foreman: Any, running: Any) -> None:
        """End the foreman, and with it all that it has started.

        Ray gives back at once what its dead actors held, but what Ray Train had reserved for a start only when this
        process ends; so Ray Train comes to its end by itself wherever that does not take long.
        """
        if self._head.is_there():
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(foreman)
                self._ray.wait([running], timeout=END_SECONDS)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "for no known reason")
