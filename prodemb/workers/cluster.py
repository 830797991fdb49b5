"""A Ray cluster: the connection to it, how its machines are shared out, and whether its head is there."""

import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from prodemb.core.children import own_signals
from prodemb.core.device import DeviceName
from prodemb.core.errors import ConfigError, WorkerError
from prodemb.core.text import one_line
from prodemb.workers.crew import POLL_SECONDS

logger = logging.getLogger(__name__)

HEAD_SECONDS = 20.0
"""How long the cluster's head may be away. After 60 s Ray would end this process without a word to it."""


@contextmanager
def connected(address: str | None, *, table: str) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; a Ray that was not started here runs on afterwards.

    Args:
        address: of its head, `host:port`, or `auto`; by default what RAY_ADDRESS says, else a Ray is started here.
        table: of the setting `ray_address`, for messages.

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
            f"[{table}] engine: found 'ray', but ray is not installed; wanted pip install 'prodemb[ray]'"
        ) from None
    if ray.is_initialized():  # by a program that calls us
        found = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", found):
            raise ConfigError(f"[{table}] ray_address: found {address!r}, but this process is connected to {found}")
        yield ray
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"include_dashboard": False} if where == "local" else {}
    wanted = "wanted the address host:port of one that this machine is part of"
    if where not in ("auto", "local") and not Head(where).is_there():  # Ray would try for minutes
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


def resources(ray: Any) -> list[Mapping[str, float]]:
    """Those of each machine of the cluster that is alive, such as `CPU` and `GPU`."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def device_of(nodes: Sequence[Mapping[str, float]], *, wanted: DeviceName) -> Literal["cpu", "cuda"]:
    """What workers run on: GPUs where any machine has one and they are not unwanted.

    Args:
        nodes: `resources`.

    Raises:
        ConfigError: CUDA was asked for and no machine has it.
    """
    has_gpus = any(node.get("GPU", 0) >= 1 for node in nodes)
    if wanted == "cuda" and not has_gpus:
        raise ConfigError("device: found 'cuda', but no machine of the Ray cluster has a GPU")
    return "cuda" if has_gpus and wanted != "cpu" else "cpu"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How many actors a cluster is asked for, and what each one takes of its machine."""

    num_workers: int
    num_cores: int
    num_gpus: int


def lay_out(
    nodes: Sequence[Mapping[str, float]], *, with_gpus: bool, num_workers: int | None, num_tasks: int
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
    wanted, most = min(num_workers or default, num_tasks), capacity(1)
    if not most:
        raise ConfigError("found no core in the Ray cluster that workers may use, wanted at least one")
    if wanted > most:
        logger.warning("the Ray cluster has room for %d workers, not for %d", most, wanted)
    num_workers = min(wanted, most)
    most_cores = max(int(node.get("CPU", 0)) for node in nodes)
    num_cores = next(cores for cores in range(most_cores, 0, -1) if capacity(cores) >= num_workers)
    return Layout(num_workers=num_workers, num_cores=num_cores, num_gpus=int(with_gpus))


class Head:
    """The head of a cluster. What Ray is asked to do with actors waits for it without an end, so it is asked before."""

    def __init__(self, address: str, *, kept: str = "") -> None:
        """Args: kept: what there is of a run that ends because it is gone, for the message."""
        self._address, self._kept = address, kept
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
                raise WorkerError(
                    f"the head of the Ray cluster at {self._address} does not answer any more; {self._kept}"
                )
            time.sleep(POLL_SECONDS)
